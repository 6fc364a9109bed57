"""The spiked kernel as d → ∞ at fixed κ = B/d: the limits of d^ℓ times the eigenvalues of the block of degree ℓ.

A coordinate z becomes N(0, 1), ‖x_⊥‖²/d becomes 1, and the cosine across the target vanishes, so that by Rodrigues'
formula d^ℓ K_ℓ tends to

    M_ℓ(z, z') = A^ℓ ∂_c^ℓ k(A + κz², A + κz'², κzz') = E_u[ψ_ℓ(√κ u z) ψ_ℓ(√κ u z')],  ψ_ℓ(x) = E[He_ℓ(g) σ(√A g + x)],

the same for the sphere and for Gaussian inputs. The first form serves closed duals, the second any link. Finite d
differs by O(1/d), which tests/kernel shows by the ratio of the differences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.gaussian import density, panels
from rmtfl.kernel.duals import Dual, Pair, closed_dual
from rmtfl.kernel.rules import line
from rmtfl.kernel.spectrum import COARSER, REFINEMENTS, ROUNDING
from rmtfl.links import Link, parse

Array = NDArray[np.float64]

REACH = 12.0  # of g: φ(12) is 2e-32
PANELS = 14  # of 16 nodes between two kinks: at most 1.7 wide, which resolves φ, and tanh's poles at ±iπ/2, to 1e-13


@dataclass(frozen=True)
class LimitBlock:
    """One block's limit.

    Attributes:
        degree: ℓ.
        eigenvalues: (modes,) limits of d^ℓ λ, descending.
        error: of each, absolute.
    """

    degree: int
    eigenvalues: Array
    error: float


def limit_block(
    activation: Link, isotropic: float, ratio: float, degree: int, modes: int, tolerance: float = 1e-10
) -> LimitBlock:
    """The leading eigenvalues of M_ℓ on L²(N(0, 1)).

    Args:
        activation: σ.
        isotropic: A > 0.
        ratio: κ = B/d ≥ 0.
        degree: ℓ.
        modes: how many.
        tolerance: relative to the largest.

    Raises:
        ToleranceNotMet: if the finest rule does not reach the tolerance.
    """
    dual = closed_dual(activation)
    previous = _eigenvalues(activation, dual, isotropic, ratio, degree, modes, COARSER)
    for refinement in REFINEMENTS:
        current = _eigenvalues(activation, dual, isotropic, ratio, degree, modes, refinement)
        error = float(np.max(np.abs(current - previous))) + ROUNDING * float(current[0])
        if error <= tolerance * current[0]:
            return LimitBlock(degree, current, error)
        previous = current
    raise ToleranceNotMet(f"the limit of degree {degree} is off by {error / current[0]:.1e}; ask for less")


def _eigenvalues(
    link: Link, dual: Dual | None, isotropic: float, ratio: float, degree: int, modes: int, refinement: float
) -> Array:
    width = math.sqrt(isotropic / ratio) if ratio > 0 else math.inf
    half = line(math.inf, width, refinement)
    same, opposite = (
        _closed(dual, isotropic, ratio, degree, half.z)
        if dual is not None
        else _features(link, isotropic, ratio, degree, half.z, refinement)
    )
    root = np.sqrt(half.weights)
    values = [np.linalg.eigvalsh(root[:, None] * (same + sign * opposite) * root) for sign in (1, -1)]
    return np.sort(np.concatenate(values))[::-1][:modes]


def _closed(dual: Dual, isotropic: float, ratio: float, degree: int, z: Array) -> tuple[Array, Array]:
    q = np.broadcast_to((isotropic + ratio * z * z)[:, None], (z.size, z.size))
    determinant = isotropic**2 + isotropic * ratio * (z[:, None] ** 2 + z**2)  # qq' − c² without its cancellation
    c = ratio * np.outer(z, z)
    scale = isotropic**degree
    return (
        scale * dual.derivative(degree, Pair(q, q.T, c, determinant)),
        scale * dual.derivative(degree, Pair(q, q.T, -c, determinant)),
    )


def _features(
    link: Link, isotropic: float, ratio: float, degree: int, z: Array, refinement: float
) -> tuple[Array, Array]:
    reach = math.sqrt(ratio) * float(z[-1])
    scale = min(1.0, math.sqrt(isotropic)) if link.kinks else 1.0
    half = line(math.inf, scale / reach if reach > 0 else math.inf, refinement)
    u, weights = np.concatenate([-half.z[::-1], half.z]), np.concatenate([half.weights[::-1], half.weights])
    features = smoothed(link, isotropic, degree, math.sqrt(ratio) * np.outer(z, u))
    weighted = features * weights
    return weighted @ features.T, weighted @ features[:, ::-1].T


def smoothed(link: Link, isotropic: float, degree: int, x: Array) -> Array:
    """ψ_ℓ(x) = E[He_ℓ(g) σ(√A g + x)] at every x, cut at the kinks."""
    spread, hermite = math.sqrt(isotropic), parse(f"He{degree}(x)").numpy()
    kinks = [np.clip((k - x) / spread, -REACH, REACH) for k in link.breakpoints]
    ends = [np.full(x.shape, -REACH), *kinks, np.full(x.shape, REACH)]
    nodes, weights = panels(np.linspace(0.0, 1.0, PANELS + 1).tolist())
    total = np.zeros(x.shape)
    for piece, left, right in zip(link.piece_functions(), ends[:-1], ends[1:], strict=True):
        for node, weight in zip(nodes, weights, strict=True):
            g = left + (right - left) * node
            total += weight * (right - left) * density(g) * hermite(g) * piece(spread * g + x)
    return total
