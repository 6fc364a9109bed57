"""Quadrature on the sphere √d S^{d−1} and for the radius of a Gaussian vector, stable for every d from 3 to infinity.

Each law is mapped to the whole line by a variable in which its density is analytic in a strip and falls off at least
exponentially; there the trapezoid rule errs by exp(−2πω/h), ω the half-width of the strip, and no orthogonal
polynomials, whose Gauss rules degenerate at large d, are needed. The maps:

- a coordinate z of the sphere: z = x/√(1 + x²/d), so that x has density ∝ (1 + x²/d)^{−d/2} (Student's with d − 1
  degrees; N(0, 1) at d = ∞), then x = w sinh v. Singularities of the integrand at ±iw are taken to ±iπ/2 whatever w,
  which is what a large spike needs: its kernels vary on the scale w = √(Ad/(A + B)).
- the cosine t between two directions in N dimensions: t = tanh y, density ∝ sech^{N−1} y. A singularity at t = 1 + ε
  is at distance π/2 from the real line for every ε > 0.
- the radius: ρ = e^s, density ∝ exp(N(s − e^{2s}/2)), then compressed to a Gauss rule by Lanczos.

Steps come from the strips, at `ACCURACY`, divided by the refinement asked for. Weights sum to one exactly by
construction; moments are tested against their closed forms in tests/kernel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ACCURACY = 42.0  # −log of the error aimed at, e^−42 = 6e-19: moments of degree 4 come out at 1e-15
CUT = 46.0  # −log of the weight, relative to the largest, beyond which a rule ends: 1e-20
FEW = 24  # dimensions up to which the trapezoid rule is compressed: its tails, of weight e^{−(d−1)v}, are long there
FEW_NODES = 12  # of the compressed half line, beside those that the strip in asinh(z/w) asks for
WIDEST = 3.0  # of the sinh map: beyond it the Gaussian factor exp(w²/4) costs more nodes than the map saves


@dataclass(frozen=True)
class Cosines:
    """Nodes t of a cosine, with 1 − t, 1 + t and 1 − t² to full relative precision, and weights of sum one."""

    t: Array
    below: Array
    above: Array
    complement: Array
    weights: Array


def cosines(dimension: int, refinement: float = 1.0) -> Cosines:
    """The law of the cosine between independent uniform directions in N = `dimension` ≥ 2 dimensions.

    Args:
        dimension: N.
        refinement: of the step.
    """
    power = dimension - 1
    strips = np.linspace(0.02, 1.0, 50) * (math.pi / 2 - 0.02)
    step = float(np.max(2 * math.pi * strips / (ACCURACY - power * np.log(np.cos(strips))))) / refinement
    y = np.arange(0.5, math.ceil(reach_of(power) / step)) * step
    y = np.concatenate([-y[::-1], y])
    weights = np.exp(log_sech(power, y))
    return Cosines(
        t=np.tanh(y),
        below=2 / (1 + np.exp(2 * y)),
        above=2 / (1 + np.exp(-2 * y)),
        complement=1 / np.cosh(y) ** 2,
        weights=weights / weights.sum(),
    )


def reach_of(power: int) -> float:
    """Where sech^power y is e^−CUT."""
    excess = math.expm1(CUT / power)  # cosh y − 1
    return math.log1p(excess + math.sqrt(excess * (excess + 2)))


def log_sech(power: int, y: Array) -> Array:
    """The logarithm of sech^power y, without cancellation at small y."""
    return np.asarray(-power / 2 * np.log1p(np.sinh(y) ** 2))


@dataclass(frozen=True)
class Line:
    """The positive half of a rule that is symmetric about 0, in a variable v in which the integrands are analytic.

    Attributes:
        z: nodes, ascending and positive.
        across: √(1 − z²/d), to full relative precision.
        weights: of the half line, sum one half.
        width: w of the map z = x/√(1 + x²/d), x = w sinh v.
        dimension: d, or infinity.
    """

    z: Array
    across: Array
    weights: Array
    width: float
    dimension: float

    @property
    def v(self) -> Array:
        """The nodes in the rule's variable: v, or asinh(z/w) in few dimensions."""
        x = self.z if self.dimension <= FEW else self.z / self.across
        return np.asarray(np.arcsinh(x / self.width))

    def locate(self, z: Array) -> Array:
        """The same for coordinates z of any shape, infinite beyond the sphere."""
        z = np.asarray(z, float)
        if self.dimension <= FEW:
            return np.asarray(np.arcsinh(z / self.width))
        inside = 1 - z * z / self.dimension
        with np.errstate(divide="ignore"):
            return np.asarray(np.arcsinh(z / np.sqrt(np.maximum(inside, 0)) / self.width))

    def at(self, v: Array) -> tuple[Array, Array]:
        """The coordinate z at points of the rule's variable, and its density there up to a constant."""
        if self.dimension <= FEW:
            z = self.width * np.sinh(v)
            inside = np.maximum(1 - z * z / self.dimension, 0)
            return z, np.asarray(inside ** ((self.dimension - 3) / 2) * np.cosh(v))
        x = self.width * np.sinh(v)
        return x / np.sqrt(1 + x * x / self.dimension), np.exp(_log_weight(v, self.width, self.dimension))


def _log_weight(v: Array, width: float, dimension: float) -> Array:
    x = width * np.sinh(v)
    gaussian = x * x / 2 if math.isinf(dimension) else dimension / 2 * np.log1p(x * x / dimension)
    return np.asarray(np.log(np.cosh(v)) - gaussian)


def line(dimension: float, width: float, refinement: float = 1.0) -> Line:
    """The law of a coordinate on √d S^{d−1}; N(0, 1) at d = infinity.

    Args:
        dimension: d ≥ 3, or infinity.
        width: distance from 0 to the nearest singularity of the integrands, in x.
        refinement: of the step.
    """
    w = min(width, WIDEST)
    step = math.pi**2 / 2 / (ACCURACY + w * w / 4) / refinement
    few = dimension <= FEW
    if few:  # compression forgives a step that is finer than needed
        step /= 2
    v = np.arange(0.5, math.ceil(_end(w, dimension) / step)) * step
    logs = _log_weight(v, w, dimension)
    weights = np.exp(logs - logs.max())
    x = w * np.sinh(v)
    root = np.sqrt(1 + x * x / dimension)
    if few:
        return _compressed(x / root, 1 / root, weights, w, dimension, refinement)
    return Line(x / root, 1 / root, weights / (2 * weights.sum()), w, dimension)


def _end(w: float, dimension: float) -> float:
    """The v at which the weight is e^−CUT of its largest value."""
    low, high = 0.0, 1.0
    top = float(np.max(_log_weight(np.linspace(0, 12, 1201), w, dimension)))
    while _log_weight(np.array([high]), w, dimension)[0] > top - CUT:
        low, high = high, 2 * high
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if _log_weight(np.array([middle]), w, dimension)[0] > top - CUT else (low, middle)
    return high


def _compressed(z: Array, across: Array, weights: Array, w: float, dimension: float, refinement: float) -> Line:
    """The Gauss rule in asinh(z/w), which is bounded on the sphere, of the trapezoid rule."""
    bound = math.asinh(math.sqrt(dimension) / w)
    u = np.arcsinh(z / w) / bound
    nodes = 2 * math.ceil((FEW_NODES + ACCURACY * bound / math.pi / 2) * refinement)
    points, masses = gauss(np.concatenate([-u[::-1], u]), np.concatenate([weights[::-1], weights]), nodes)
    positive = points > 0
    z = w * np.sinh(bound * points[positive])
    half = masses[positive]
    return Line(z, np.sqrt(np.maximum(1 - z * z / dimension, 0)), half / (2 * half.sum()), w, dimension)


def radius(dimension: int, nodes: int) -> tuple[Array, Array]:
    """A Gauss rule for ρ = ‖g‖/√N, g ~ N(0, I_N): nodes and weights of sum one, exact to degree 2·nodes − 1."""
    n = dimension
    # At b = π/4 the shifted density no longer falls off: e^{2s} turns imaginary.
    strip = np.linspace(0.02, 0.8, 40) * math.pi / 4
    step = float(np.max(2 * math.pi * strip / (ACCURACY + n * np.sin(strip) ** 2)))
    # The log-density n (s + 1/2 − e^{2s}/2) is below −CUT outside these bounds.
    low = -min(CUT / n + 1.0, 2 * math.sqrt(CUT / n) + CUT / n)
    high = min(math.log(2 * (CUT / n + 1)) / 2 + 0.5, 2 * math.sqrt(CUT / n))
    s = np.arange(math.floor(low / step), math.ceil(high / step) + 1) * step
    log_weight = n * (s - np.expm1(2 * s) / 2)
    weights = np.exp(log_weight - log_weight.max())
    # In (ρ − 1)/spread, which is of order one, no digits go to the common 1.
    spread = 1 / math.sqrt(2 * n)
    points, masses = gauss(np.expm1(s) / spread, weights, nodes)
    return 1 + spread * points, masses


def radial_nodes(dimension: int, refinement: float) -> int:
    """How many nodes of `radius` a smooth kernel needs: ρ spreads by 1/√(2N) around one."""
    return math.ceil((5 + 25 / math.sqrt(dimension)) * refinement)


def gauss(x: Array, weights: Array, nodes: int) -> tuple[Array, Array]:
    """The Gauss rule of a discrete measure, by Lanczos: nodes and weights, of sum one.

    The measure is given by its points and positive weights, of any sum; there must be more points than nodes.
    """
    nodes = min(nodes, x.size)
    basis = np.sqrt(weights / weights.sum())[None, :]
    diagonal, off = np.zeros(nodes), np.zeros(nodes - 1)
    for k in range(nodes):
        image = x * basis[k]
        diagonal[k] = image @ basis[k]
        for _ in range(2):  # twice is enough to keep the basis orthogonal
            image = image - (basis @ image) @ basis
        if k + 1 < nodes:
            off[k] = np.linalg.norm(image)
            basis = np.vstack([basis, image / off[k]])
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return values, vectors[0] ** 2


def gegenbauer_rule(dimension: int, nodes: int) -> tuple[Array, Array]:
    """The Gauss rule of a cosine's law in N = `dimension` ≥ 2 dimensions, for integrands analytic beyond [−1, 1]."""
    k = np.arange(1.0, nodes)
    # t P_k couples to P_{k±1} by √(k (k + N − 3) / ((2k + N − 2)(2k + N − 4))), a limit at k = 1, N = 2.
    square = np.where(
        k == 1,
        1 / dimension,
        k * (k + dimension - 3) / ((2 * k + dimension - 2) * np.maximum(2 * k + dimension - 4, 1)),
    )
    values, vectors = np.linalg.eigh(np.diag(np.sqrt(square), 1) + np.diag(np.sqrt(square), -1))
    return values, vectors[0] ** 2
