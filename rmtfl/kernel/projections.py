"""A target's projections on the kernel's eigenfunctions, and its norm, with the target cut at its kinks.

Only eigenfunctions of degree 0 see a function of z alone. They are known on the nodes of a rule in a variable v (see
`rmtfl.kernel.rules`) and analytic in it, so that they are interpolated between the nodes to the rule's own accuracy:
by cardinal sines where the rule is a trapezoid one (weighted by the root of the density, which makes them decay), by
polynomials where it is a compressed one. Panels between the target's kinks then integrate the product exactly, jumps
included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.gaussian import panels
from rmtfl.kernel.rules import FEW, Line, radial_nodes, radius
from rmtfl.kernel.spectrum import Block, Spectrum
from rmtfl.links import Link

Array = NDArray[np.float64]

PANEL = 0.25  # width of a panel of 16 nodes, in v: twice the step of the rules
ROUNDING = 1e-13  # of the norm: what the interpolation's sums of cancelling terms lose


@dataclass(frozen=True)
class Projections:
    """A target in the eigenbasis.

    Attributes:
        coefficients: (modes,) its inner products with the eigenfunctions of degree 0.
        norm: its squared norm E g².
        error: of norm and of each squared coefficient, absolute.
    """

    coefficients: Array
    norm: float
    error: float

    def rest_beyond(self, modes: NDArray[np.int_]) -> float:
        """The squared norm of what the given modes leave out."""
        kept = self.coefficients[modes]
        return max(self.norm - float(kept @ kept), 0.0)


def projections(found: Spectrum, target: Link) -> Projections:
    """⟨g(<x, u>), e_j⟩ for the eigenfunctions e_j of degree 0, under the law of the kernel's inputs.

    Args:
        found: a spectrum with a block of degree 0.
        target: g.
    """
    block = next(block for block in found.blocks if block.degree == 0)
    rho, rho_weights, power = _radial(found)
    coefficients = np.zeros(block.eigenvalues.size)
    norm = 0.0
    for a, (length, weight) in enumerate(zip(rho, rho_weights, strict=True)):
        v, z, weights = _panels(found.grid.line, [k / length for k in target.breakpoints])
        values = target.numpy()(length * z)
        row = 0 if found.grid.rho.size == 1 else a
        functions = _interpolate(found.grid.line, block, row, v)
        coefficients += weight * power[a] * (functions @ (weights * values))
        norm += weight * float(weights @ values**2)
    return Projections(coefficients, norm, ROUNDING * norm)


def _radial(found: Spectrum) -> tuple[Array, Array, Array]:
    """A radial rule for the target, and the eigenfunctions' radial factor where it was factored out."""
    kernel, grid = found.kernel, found.grid
    if kernel.inputs == "sphere":
        return np.ones(1), np.ones(1), np.ones(1)
    if grid.rho.size > 1:
        return grid.rho, grid.rho_weights, np.ones_like(grid.rho)
    rho, weights = radius(kernel.dimension, 2 * radial_nodes(kernel.dimension, 1.0))
    degree = kernel.dual.homogeneity if kernel.dual is not None else None
    factor = rho ** (degree or 0)
    return rho, weights, factor / math.sqrt(float(weights @ factor**2))


def _panels(half: Line, kinks: list[float]) -> tuple[Array, Array, Array]:
    """Nodes v and z, of both signs, and weights of sum one for the law of z, cut at the kinks."""
    end = float(half.locate(np.array(math.sqrt(half.dimension)))) if half.dimension <= FEW else float(half.v[-1])
    cuts = half.locate(np.array(kinks)).tolist()
    count = math.ceil(end / PANEL)
    edges = sorted({*np.linspace(-end, end, 2 * count + 1).tolist(), *(cut for cut in cuts if abs(cut) < end)})
    v, weights = panels(edges)
    if half.dimension <= FEW:  # the density's root at the ends of the sphere is taken out by v = end · sin θ
        angles, weights = panels(sorted(math.asin(edge / end) for edge in edges))
        v, weights = end * np.sin(angles), weights * end * np.cos(angles)
    z, density = half.at(v)
    weights = weights * density
    return v, z, weights / weights.sum()


def _interpolate(half: Line, block: Block, row: int, v: Array) -> Array:
    """The eigenfunctions at points of the rule's variable: (modes, points)."""
    interpolation = _barycentric if half.dimension <= FEW else _sines
    matrices = {parity: interpolation(half, v, parity) for parity in (1.0, -1.0)}
    return np.array(
        [
            matrices[float(parity)] @ values
            for parity, values in zip(block.parities, block.functions[:, row, :], strict=True)
        ]
    )


def _sines(half: Line, points: Array, parity: float) -> Array:
    v = half.v
    step = v[1] - v[0]
    at_nodes, at_points = half.at(v)[1], half.at(points)[1]
    kernel = np.sinc((points[:, None] - v) / step) + parity * np.sinc((points[:, None] + v) / step)
    return np.asarray(kernel * np.sqrt(at_nodes) / np.sqrt(at_points)[:, None])


def _barycentric(half: Line, points: Array, parity: float) -> Array:
    v = half.v
    nodes = np.concatenate([-v[::-1], v])
    gaps = nodes[:, None] - nodes
    np.fill_diagonal(gaps, 1.0)
    logs = -np.log(np.abs(gaps)).sum(axis=1)
    weights = np.exp(logs - logs.max()) * np.prod(np.sign(gaps), axis=1)
    distance = points[:, None] - nodes
    exact = np.abs(distance) < 1e-15
    terms = weights / np.where(exact, 1.0, distance)
    terms = np.where(exact.any(axis=1)[:, None], exact.astype(float), terms)
    matrix = terms / terms.sum(axis=1)[:, None]
    return np.asarray(matrix[:, v.size :] + parity * matrix[:, : v.size][:, ::-1])
