"""rmtfl: a random-matrix-theory solver for feature learning in two-layer networks."""

__version__ = "0.1.0"
