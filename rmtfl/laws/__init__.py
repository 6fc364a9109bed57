"""Limiting spectral laws behind one interface (`rmtfl.laws.base.Law`), one law a module."""
