"""The exact spectrum of the spiked kernel k₁(x, x') = E_w σ(<w, x>) σ(<w, x'>), w ~ N(0, Γ/d), Γ = A I + B uu^T.

Inputs are uniform on √d S^{d−1}, or N(0, I_d), which are ρ times such a point with ρ = ‖x‖/√d independent of it.
Rotations about u leave k₁ alone: its eigenfunctions are f(z, ρ) Y_ℓ(ω), z = <x, u>√d/‖x‖, and x ↦ −x splits each
block into f even and odd in z. The blocks K_ℓ come from `rmtfl.kernel.funk_hecke`, with p = √((A+B)/d) ρz and
s = √A ρ √(1 − z²/d); on the rules of `rmtfl.kernel.rules` each becomes a symmetric matrix (Nyström), whose
eigenvalues converge as fast as the rules do. At d = ∞ the block ℓ is d^{−ℓ} times a limit, which the same formulas give
with ω's part of the covariance gone (`rmtfl.kernel.limit`).

If σ is homogeneous of degree p, k₁ for Gaussian inputs is ρ^p ρ'^p times the sphere's: the same spectrum times
E ρ^{2p} = d (d + 2) … (d + 2p − 2)/d^p.

Errors are differences between two rules whose steps are no multiples of one another, plus rounding relative to the
largest eigenvalue. The trace identity Σ mult · λ = E k₁(x, x) is computed with every spectrum: what the asked blocks
leave out is `remainder`, and one that is negative beyond its error is a failure.

Breaks down where E k₁(x, x) is not finite (exp with a large spike, Gaussian inputs), which is refused by name. Checked
against sampled kernel matrices, closed spectra at B = 0, and the two kinds of blocks against each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.kernel.duals import Dual, closed_dual
from rmtfl.kernel.funk_hecke import Blocks, ClosedBlocks, FeatureBlocks
from rmtfl.kernel.rules import Line, line, radial_nodes, radius
from rmtfl.kernel.series import HermiteDual
from rmtfl.links import Link

Array = NDArray[np.float64]

EPSILON = float(np.finfo(float).eps)
ROUNDING = 32 * EPSILON  # of an eigenvalue, relative to the block's largest; 8 was seen at most, at d = 3
COARSER = 0.76  # step ratio of the two rules compared: no simple fraction, so that aliasing is not shared
REFINEMENTS = (1.0, 1.45, 2.1, 3.05)  # tried in turn until the tolerance is met
TAIL = 1e-9  # share of E k₁(x, x) that the outermost tenth of the rule may carry, if the integral is to be believed
UNSETTLED = 1e-3  # relative difference of E k₁(x, x) between two rules beyond which it is taken not to exist
Inputs = Literal["sphere", "gaussian"]


@dataclass(frozen=True)
class SpikedKernel:
    """The kernel of an activation with weights N(0, Γ/d), Γ = isotropic · I + spike · uu^T, and the law of its inputs.

    Attributes:
        activation: σ.
        dimension: d ≥ 3.
        isotropic: A > 0.
        spike: B ≥ −A.
        inputs: 'sphere' of radius √d, or 'gaussian' N(0, I_d).
    """

    activation: Link
    dimension: int
    isotropic: float
    spike: float
    inputs: Inputs = "sphere"

    @cached_property
    def dual(self) -> Dual | None:
        """The activation's dual in closed form, if there is one."""
        return closed_dual(self.activation)

    def blocks(self, refinement: float) -> Blocks:
        """The way to this kernel's Funk–Hecke blocks."""
        if self.dual is not None:
            return ClosedBlocks(self.dual, refinement)
        return FeatureBlocks(self.activation, refinement)

    def variance(self, q: Array) -> Array:
        """E σ(√q h)²."""
        return self.dual.variance(q) if self.dual is not None else HermiteDual(self.activation).variance(q)

    def radial_moment(self) -> float | None:
        """E ρ^{2p} where the radial part of the kernel factors out as (ρρ')^p, else None; 1 on the sphere."""
        if self.inputs == "sphere":
            return 1.0
        if self.dual is None or self.dual.homogeneity is None:
            return None
        return math.prod(1 + 2 * k / self.dimension for k in range(self.dual.homogeneity))

    def rule_width(self) -> float:
        """The distance of the kernel's singularities from z = 0, in the variable of `rules.line`."""
        return math.sqrt(self.isotropic / (self.isotropic / self.dimension + abs(self.spike) / self.dimension))


@dataclass(frozen=True)
class Grid:
    """A rule on (ρ, z): the product of a radial rule and of a half line, mirrored.

    Attributes:
        line: the half line in z.
        rho: (R,) radii over √d.
        rho_weights: (R,) of sum one.
    """

    line: Line
    rho: Array
    rho_weights: Array

    @property
    def weights(self) -> Array:
        """(R·M,) weights of the half line, sum one half."""
        return np.outer(self.rho_weights, self.line.weights).ravel()

    def components(self, kernel: SpikedKernel) -> tuple[Array, Array]:
        """(R·M,) lengths of Γ^{1/2}x/√d along and across the target."""
        along = math.sqrt((kernel.isotropic + kernel.spike) / kernel.dimension) * self.line.z
        across = math.sqrt(kernel.isotropic) * self.line.across
        return np.outer(self.rho, along).ravel(), np.outer(self.rho, across).ravel()


@dataclass(frozen=True)
class Block:
    """The kernel on functions f(z, ρ) Y_ℓ(ω).

    Attributes:
        degree: ℓ.
        multiplicity: of every eigenvalue, the dimension of the harmonics Y_ℓ.
        eigenvalues: (modes,) descending.
        parities: (modes,) +1 where f is even in z, −1 where it is odd.
        functions: (modes, R, M) values of f on the grid's half line, unit in L².
        error: of each eigenvalue, absolute.
        trace: the sum of all the block's eigenvalues, without multiplicity.
    """

    degree: int
    multiplicity: int
    eigenvalues: Array
    parities: Array
    functions: Array
    error: float
    trace: float


@dataclass(frozen=True)
class Spectrum:
    """The leading eigenvalues of a spiked kernel, block by block.

    Attributes:
        kernel: whose it is.
        blocks: one for each degree asked for.
        grid: where the eigenfunctions are given.
            Where the radial part factors out, they carry a factor ρ^p/√(E ρ^{2p}) that the grid leaves out.
        trace: E k₁(x, x).
        trace_error: of the trace, absolute.
        mixing: where degree 0 is asked for, (modes, 2·modes) squared norms of the projections of its eigenfunctions on
            the functions f(ρ) Y_m, m = 0, 1, …; over all m each row sums to one.
        mixing_error: of each row, absolute: of order one for modes that are not told from rounding.
        coarse: the same on the coarser rule that it was compared with, without errors.
    """

    kernel: SpikedKernel
    blocks: tuple[Block, ...]
    grid: Grid
    trace: float
    trace_error: float
    mixing: Array | None = None
    mixing_error: Array | None = None
    coarse: Spectrum | None = None

    @property
    def remainder(self) -> float:
        """What all eigenvalues of the other degrees sum to, with multiplicity, by the trace identity."""
        return self.trace - math.fsum(block.multiplicity * block.trace for block in self.blocks)


def spectrum(
    kernel: SpikedKernel, degrees: tuple[int, ...], modes: int, tolerance: float = 1e-10, *, shortcut: bool = True
) -> Spectrum:
    """Eigenvalues, eigenfunctions and their errors.

    Args:
        kernel: the kernel and its inputs.
        degrees: the blocks asked for.
        modes: eigenvalues a block.
        tolerance: on the error, relative to the largest eigenvalue of all the blocks asked for.
        shortcut: whether a homogeneous σ may factor its radial part out.

    Raises:
        BadInput: if E k₁(x, x) is not finite.
        ToleranceNotMet: if the finest rule is not accurate enough, or the trace identity is violated.
    """
    radial = kernel.radial_moment() if shortcut else (1.0 if kernel.inputs == "sphere" else None)
    previous, worst = _level(kernel, degrees, modes, COARSER, radial), math.inf
    for refinement in REFINEMENTS:
        current = _level(kernel, degrees, modes, refinement, radial)
        _check_finite(kernel, current.trace, previous.trace)
        top = max(float(block.eigenvalues[0]) for block in current.blocks)
        blocks = tuple(_with_error(fine, coarse) for fine, coarse in zip(current.blocks, previous.blocks, strict=True))
        worst = max(block.error for block in blocks) / top
        # Blocks that vanish by symmetry have no eigenvalue to measure by, only the kernel's own rounding.
        if worst <= tolerance or worst * top <= EPSILON * current.trace:
            error = abs(current.trace - previous.trace) + ROUNDING * current.trace
            mixing, mixing_error = _mixing(current, previous, 2 * modes)
            found = Spectrum(kernel, blocks, current.grid, current.trace, error, mixing, mixing_error, previous)
            _check_trace(found)
            return found
        previous = current
    raise ToleranceNotMet(
        f"the spectrum is off by {worst:.1e} of its largest eigenvalue on the finest rule, {tolerance:.1e} was asked "
        "for; an activation that varies on a scale well below 1 needs more than this quadrature offers"
    )


def _with_error(fine: Block, coarse: Block) -> Block:
    error = float(np.max(np.abs(fine.eigenvalues - coarse.eigenvalues))) + ROUNDING * float(fine.eigenvalues[0])
    return Block(fine.degree, fine.multiplicity, fine.eigenvalues, fine.parities, fine.functions, error, fine.trace)


def _mixing(fine: Spectrum, coarse: Spectrum, harmonics: int) -> tuple[Array | None, Array | None]:
    tables = [
        zonal_shares(block, found.grid, harmonics)
        for found in (fine, coarse)
        for block in found.blocks
        if block.degree == 0
    ]
    if not tables:
        return None, None
    # An eigenvector's own rounding is that of the eigenvalue over its gap, which no second rule would show.
    values = next(block.eigenvalues for block in fine.blocks if block.degree == 0)
    rounding = ROUNDING * values[0] / np.maximum(np.abs(values), EPSILON * values[0])
    return tables[0], np.minimum(np.max(np.abs(tables[0] - tables[1]), axis=1) + rounding, 1.0)


def zonal_shares(block: Block, grid: Grid, harmonics: int) -> Array:
    """Squared norms of each eigenfunction's projections on the functions f(ρ) Y_m: (modes, harmonics)."""
    zonal = zonal_harmonics(grid.line, harmonics)
    overlaps = np.einsum("jam,nm,m->jan", block.functions, zonal, 2 * grid.line.weights)
    same = block.parities[:, None] == (-1.0) ** np.arange(harmonics)
    return np.asarray(np.einsum("jan,a->jn", overlaps**2, grid.rho_weights) * same)


def _check_trace(found: Spectrum) -> None:
    slack = found.trace_error + sum(
        float(block.multiplicity) * (10 * block.error + ROUNDING * block.trace) for block in found.blocks
    )
    if found.remainder < -slack:
        raise ToleranceNotMet(
            f"the blocks sum to {-found.remainder:.2e} more than the trace {found.trace:.6g}; "
            "the quadrature does not resolve this kernel"
        )


def _level(
    kernel: SpikedKernel, degrees: tuple[int, ...], modes: int, refinement: float, radial: float | None
) -> Spectrum:
    """The spectrum on one rule; errors are left at zero."""
    half = line(kernel.dimension, kernel.rule_width(), refinement)
    if radial is None:
        rho, rho_weights = radius(kernel.dimension, radial_nodes(kernel.dimension, refinement))
        factor = 1.0
    else:
        rho, rho_weights, factor = np.ones(1), np.ones(1), radial
    grid = Grid(half, rho, rho_weights)
    along, across = grid.components(kernel)
    trace = factor * _mean_variance(kernel, grid, along**2 + across**2)
    if not math.isfinite(trace):
        return Spectrum(kernel, (), grid, trace, 0.0)
    blocks = kernel.blocks(refinement)
    found = []
    for degree in degrees:
        same, opposite = blocks.pairs(degree, kernel.dimension - 1, along, across)
        found.append(_solve(degree, kernel.dimension, factor * same, factor * opposite, grid, modes))
    return Spectrum(kernel, tuple(found), grid, trace, 0.0)


def _mean_variance(kernel: SpikedKernel, grid: Grid, q: Array) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        terms = 2 * grid.weights * kernel.variance(q)
        total = float(terms.sum())
        last = grid.line.z > 0.9 * grid.line.z[-1] if grid.line.z[-1] ** 2 < kernel.dimension / 2 else None
        tail = float(terms.reshape(grid.rho.size, -1)[:, last].sum()) if last is not None else 0.0
    return math.inf if tail > TAIL * total else total


def _check_finite(kernel: SpikedKernel, fine: float, coarse: float) -> None:
    if not math.isfinite(fine) or not abs(fine - coarse) <= UNSETTLED * fine:
        raise BadInput(
            f"key 'network.activation': value {kernel.activation.text}: its kernel with spike {kernel.spike:g} in "
            f"dimension {kernel.dimension} has no finite mean diagonal E k(x, x) that could be computed; expected an "
            "activation that grows slower, or a smaller spike"
        )


def _solve(degree: int, dimension: int, same: Array, opposite: Array, grid: Grid, modes: int) -> Block:
    root = np.sqrt(grid.weights)
    values, parities, functions = [], [], []
    for parity in (1.0, -1.0):
        matrix = root[:, None] * (same + parity * opposite) * root
        eigenvalues, vectors = np.linalg.eigh(matrix)
        keep = slice(None, -modes - 1, -1)
        values.append(eigenvalues[keep])
        parities.append(np.full(eigenvalues[keep].size, parity))
        functions.append((vectors[:, keep] / (math.sqrt(2) * root[:, None])).T)
    merged = np.concatenate(values)
    order = np.argsort(-merged, kind="stable")[:modes]
    shape = (order.size, grid.rho.size, grid.line.z.size)
    return Block(
        degree=degree,
        multiplicity=harmonic_dimension(degree, dimension - 1),
        eigenvalues=merged[order],
        parities=np.concatenate(parities)[order],
        functions=np.concatenate(functions)[order].reshape(shape),
        error=0.0,
        trace=float(2 * grid.weights @ np.diag(same)),
    )


def harmonic_dimension(degree: int, dimension: int) -> int:
    """The number of independent spherical harmonics of the degree in R^dimension, exact."""
    if degree == 0:
        return 1
    lower = math.comb(degree + dimension - 3, degree - 2) if degree >= 2 else 0
    return math.comb(degree + dimension - 1, degree) - lower


def zonal_harmonics(half: Line, count: int) -> Array:
    """Zonal harmonics Y_0, …, Y_{count−1} of S^{d−1} around the target, orthonormal, at the nodes: (count, M)."""
    d, z = half.dimension, half.z
    found = [np.ones_like(z), z]
    for m in range(1, count - 1):
        found.append((z * found[m] - math.sqrt(_coupling(m, d)) * found[m - 1]) / math.sqrt(_coupling(m + 1, d)))
    return np.array(found[:count])


def _coupling(m: int, d: float) -> float:
    """β_m of z Y_m = √β_{m+1} Y_{m+1} + √β_m Y_{m−1}; tends to m as d → ∞."""
    return m if math.isinf(d) else d * m * (m + d - 3) / ((2 * m + d - 2) * (2 * m + d - 4))
