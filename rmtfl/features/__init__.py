"""The features of the trained network on fresh samples: the spectrum of the conjugate kernel."""
