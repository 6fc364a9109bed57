"""Pictures of studies, one module an observable."""
