"""Enclosures that are proved: edges, thresholds, outliers, moments and Gaussian coefficients, by ball arithmetic.

Everything here is computed with python-flint's Arb: each number is a ball that holds the true value, rounded
outwards, for the inputs taken as exact rationals. Only what is made here may be called proved. The proofs:

1. *Interval structure.* Φ(u) = γ Σ w t²/(u - t)² is convex between neighbouring atoms. A point with Φ < 1 proves a
   gap. For no gap, Φ >= Φ(c) + Φ'(c)(u - c) >= Φ(c) - |Φ'(c)| width at an approximate minimiser c must exceed 1.
2. *Edges.* Beside each atom that borders a gap (and outside all) there is exactly one critical point; a sign
   change of Φ - 1 over a ball [u - r, u + r] on the right side of the minimiser proves that it is in there. With
   z' = 1 - Φ, the edge is in z(u) + z'([u - r, u + r]) [-r, r].
3. *Outliers.* z(ℓ) and ℓ z'(ℓ)/z(ℓ), with z'(ℓ) of proved sign.
4. *Densities*. z(u) = x has at most one root in C⁺; if u - (z(u) - x)/z'(U) is in the ball U around u, that root is in
   there too (the interval Newton theorem).
5. *Moments* of the law are rational in the inputs, and are computed as rationals.
6. *Gaussian coefficients* E[He_k(h) σ(h)]: Arb's rigorous integration of each analytic piece over [-L, L] plus
   the tail, bounded with |σ(x)| <= Σ c_j |x|^j read off the expression.

Where it breaks down: an exact contact of two bulks has no proof by (1), and says so; links that grow faster than
a polynomial are refused. Checked in tests/test_certify.py against closed forms and certified polynomial roots.
"""

from __future__ import annotations

from rmtfl.certify.balls import Enclosure
from rmtfl.certify.gaussian import hermite_coefficient
from rmtfl.certify.law import CertifiedOutlier, density, edges, moments, outlier, thresholds

__all__ = [
    "CertifiedOutlier",
    "Enclosure",
    "density",
    "edges",
    "hermite_coefficient",
    "moments",
    "outlier",
    "thresholds",
]
