"""Outliers of the conjugate kernel: the feature spikes, the mean spike among them, above the bulk.

The mean K(a, t) of the features is joined by what is of order one beside it: the component of each row along the
directions of training, and the norms ‖x‖² of samples and ‖w'‖² of rows, which move E σ by ½ E σ'' each. As functions of
a neuron these are orthogonal, with masses D = mass/(1 + δ) each; as functions of a sample they have a Gram matrix. An
eigenvalue outside the bulk is where one of

    ñ x D^{1/2} Gram D^{1/2},    x = −Q(z),

passes 1 (theory/features.md, `features.spikes`). With the squared loss the network's own output holds the linear part
back along ā, by a relative order s, which D then has as a rank-one part (`features.output`). `finite_width` keeps the
step sizes finite, `limit` lets s → 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.optimize import brentq

from rmtfl.errors import BadInput
from rmtfl.features.bulk import Bulk, Point
from rmtfl.features.operator import FeatureOperator
from rmtfl.setup import Setup
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]

DIFFERENCE = 1e-4  # of log x, in the derivative of an eigenvalue
ROOT = 1e-13
RANK = 1e-14  # of the largest eigenvalue of a Gram matrix: what is below is rounding
ROUNDING = 1e-10  # of a location: the root, and eigenvalues of a matrix with the mean spike in it


@dataclass(frozen=True)
class Spike:
    """An eigenvalue outside the bulk.

    Attributes:
        location: z.
        alignment: |ỹ^T û|²/ñ with fresh labels ỹ.
        constant: the same for a constant in place of the labels: near 1 for the mean spike.
        error: of the location, absolute, but for what the operator is off by.
        alignment_error: the same of the other two.
    """

    location: float
    alignment: float
    constant: float
    error: float
    alignment_error: float


@dataclass(frozen=True)
class Spiked:
    """A bulk with functions of a sample on top of it.

    Attributes:
        bulk: of what is neither mean nor shared.
        gram: ñ times the Gram matrix of the functions, shape (k, k).
        masses: D at a point of the bulk, shape (k,).
        label: √ñ times the mean product of each with the label.
        one: √ñ times the mean of each.
        held: q(a) ā in the functions of a neuron, along which the network's own output holds the linear part back.
        holding: 1 − Π(1 − s_t μ₁²)², by how much; below 0 where it grows instead.
    """

    bulk: Bulk
    gram: Array
    masses: Callable[[Point], Array]
    label: Array
    one: Array
    held: Array
    holding: float

    def outliers(self) -> list[Spike]:
        """The eigenvalues above the bulk, descending."""
        edge = self.bulk.edge
        above = int(np.sum(np.linalg.eigvalsh(self._matrix(edge)) > 1))
        return [self._spike(self._factor.shape[1] - 1 - j, edge) for j in range(above)]

    @cached_property
    def _factor(self) -> Array:
        """L of few columns, gram = L L^T to rounding where there is mass."""
        root = np.sqrt(np.maximum(self.masses(self.bulk.edge), 1e-300))
        squares, vectors = np.linalg.eigh(root[:, None] * self.gram * root)
        kept = squares > RANK * squares[-1]
        return np.asarray(vectors[:, kept] * np.sqrt(squares[kept]) / root[:, None])

    def _matrix(self, point: Point) -> Array:
        """The matrix x L^T D L, whose eigenvalues are those of x D^{1/2} gram D^{1/2}."""
        image = self._factor.T @ self._held(point)
        whole = (self._factor.T * self.masses(point)) @ self._factor
        return np.asarray(point.x * (whole - math.copysign(1.0, self.holding) * np.multiply.outer(image, image)))

    def _held(self, point: Point) -> Array:
        """The vector h of D − h h^T, or of D + h h^T where the output does not hold back but pushes on."""
        loaded = self.masses(point) * self.held
        strength = self._strength(point)
        return np.asarray(loaded * math.sqrt(abs(strength) / (1 + strength * float(loaded @ self.held))))

    @property
    def escapes(self) -> bool:
        """Whether the output has grown so much that what is linear along ā has an outlier of its own."""
        edge = self.bulk.edge
        return 1 + self._strength(edge) * float((self.masses(edge) * self.held) @ self.held) <= 0

    def _strength(self, point: Point) -> float:
        rate = self.bulk.sample_ratio * point.x
        return self.holding * rate / (self.bulk.width_ratio * (1 - rate * point.linear))

    def _spike(self, index: int, edge: Point) -> Spike:
        def excess(log_x: float) -> float:
            return math.log(float(np.linalg.eigvalsh(self._matrix(self._point(log_x)))[index]))

        high = math.log(edge.x)
        low = high - 1
        while excess(low) > 0:
            low -= 2
        log_x = float(brentq(excess, low, high, xtol=ROOT))
        point = self._point(log_x)
        _, vectors = np.linalg.eigh(self._matrix(point))
        # The neurons' function is √x (D − h h^T) L times the eigenvector, for an eigenvalue of 1.
        image, held = self._factor @ vectors[:, index], self._held(point)
        turned = math.copysign(1.0, self.holding) * float(held @ image)
        function = math.sqrt(point.x) * (self.masses(point) * image - held * turned)
        squares = point.x**2 * np.array([float(function @ self.label) ** 2, float(function @ self.one) ** 2])

        def slope(difference: float) -> float:
            """−dλ/dz."""
            above, below = min(log_x + difference, high), log_x - difference
            rise = math.exp(excess(above)) - math.exp(excess(below))
            return rise / (self._point(below).z - self._point(above).z)

        alignment, constant = squares / slope(DIFFERENCE)
        coarser = squares / slope(2 * DIFFERENCE)
        error = max(abs(alignment - coarser[0]), abs(constant - coarser[1]), ROUNDING)
        return Spike(point.z, float(alignment), float(constant), ROUNDING * point.z, float(error))

    def _point(self, log_x: float) -> Point:
        point = self.bulk.at(math.exp(log_x))
        assert point is not None  # between 0 and the edge there is always a solution
        return point


def output_holding(setup: Setup, stats: Statistics) -> float:
    """1 − Π(1 − s_t μ₁²)² for the squared loss, 0 for the correlation loss (theory/features.md, `features.output`)."""
    if setup.training.loss != "squared":
        return 0.0
    width = int(setup.sizes.width)
    kept = 1.0
    for step in range(setup.training.steps):
        kept *= 1 - setup.training.step_size(step, width) * stats.mu1**2
    return 1 - kept**2


def checked(setup: Setup, spiked: Spiked) -> Spiked:
    """What is given.

    Raises:
        BadInput: for steps so large that the network's own output has an outlier, which is not derived.
    """
    if spiked.escapes:
        raise BadInput(
            f"key 'training.scale': value {[str(scale) for scale in setup.training.scale]}: multiplies the network's "
            f"own output along the second layer by {math.sqrt(1 - spiked.holding):.3g} at width {setup.sizes.width}, "
            "which makes an outlier of its own that is not derived; expected smaller steps, of s_t μ₁² < 2 with s_t = "
            "scale_t N^(alpha_t - 1/2), or loss = 'correlation'"
        )
    return spiked


def layer_masses(weight: Array, curved: Array, frame: int) -> Callable[[Point], Array]:
    """D of a layer: its neurons, their components along the directions of training, and the norms of their rows.

    Args:
        weight: masses of the neurons.
        curved: what the norms move the mean by.
        frame: the number of directions.
    """

    def masses(point: Point) -> Array:
        norms = float(weight @ (point.load * curved**2))
        return np.concatenate([weight * point.load, np.full(frame, point.linear), [norms]])

    return masses


def finite_width(
    operator: FeatureOperator, target: Array, width: float, dimension: float, samples: float, holding: float
) -> Spiked:
    """The spikes of a layer.

    Args:
        operator: of the layer.
        target: y_k = E[ĥ_k(z) y].
        width: N.
        dimension: d.
        samples: ñ, of fresh ones.
        holding: as in `Spiked`.
    """
    neurons = operator.neurons
    count, frame = neurons.a.size, neurons.mean.shape[1]
    curved = operator.curvature / math.sqrt(2 * dimension)
    gram = np.zeros((count + frame + 1, count + frame + 1))
    gram[:count, :count] = operator.kernel + np.multiply.outer(curved, curved)
    gram[:count, count:-1] = operator.along / math.sqrt(dimension)
    gram[:count, -1] = operator.coefficients[0]
    gram[count:, :count] = gram[:count, count:].T
    gram[count:-1, count:-1] = np.eye(frame) / dimension
    gram[-1, -1] = 1
    along = np.zeros(frame)
    along[0] = target[1] / math.sqrt(dimension)

    return Spiked(
        bulk=Bulk(neurons.weight, operator.linear, operator.residual, width / dimension, samples / dimension),
        gram=samples * gram,
        masses=layer_masses(neurons.weight, curved, frame),
        label=math.sqrt(samples) * np.concatenate([operator.against_target(target), along, target[:1]]),
        one=math.sqrt(samples) * np.concatenate([operator.coefficients[0], np.zeros(frame), [1.0]]),
        held=np.concatenate([operator.linear * neurons.a, np.zeros(frame + 1)]),
        holding=holding,
    )


def limit(
    coefficients: Array,
    variance: float,
    direction: tuple[float, float],
    growth: float,
    target: Array,
    ratios: tuple[float, float],
) -> Spiked:
    """The spikes of order one as N → ∞ after steps with α = 0, where s → 0 and only the linear part of σ sees them.

    Args:
        coefficients: s_0, s_1, s_2 of σ; an s_0 other than 0 has a mean spike of order N beside what is given here.
        variance: E σ² − s_0².
        direction: (‖m‖, ⟨m, β⟩) of the mean row m = Σ η_t μ₁ b_t, in units of ā/√N.
        growth: Σ η_t c₀ μ₂, half of what ‖w‖² grows by in the same units.
        target: y_k = E[ĥ_k(z) y].
        ratios: ψ = N/d and ñ/d.
    """
    psi, ratio = ratios
    mean, slope, curve = (float(s) for s in coefficients[:3])
    norm, overlap = direction
    bulk = Bulk(np.ones(1), np.array([slope]), np.array([variance - slope**2]), psi, ratio)
    # Functions: ā times the direction of training, the rows' own component along it; without a mean spike the norms.
    shared = slope * norm / math.sqrt(psi)
    gram = ratio * np.array([[shared**2, shared], [shared, 1.0]])
    label = math.sqrt(ratio) * target[1] * (overlap / norm if norm else 0.0) * np.array([shared, 1.0])
    one = np.zeros(2)
    free = mean == 0 and curve != 0
    if free:
        moved = math.sqrt(2 * ratio / psi) * curve * growth  # the mean of σ moves by ½ E σ'' times what ‖w‖² grows by
        gram = scipy.linalg.block_diag(gram, ratio * curve**2, 1.0)
        gram[0, 0] += moved**2
        gram[0, 3] = gram[3, 0] = moved
        one = np.array([moved, 0.0, 0.0, 1.0])
        label = np.concatenate([label, np.zeros(2)]) + target[0] * one

    def masses(point: Point) -> Array:
        load = float(point.load[0])
        return np.array([load, point.linear, load, ratio * curve**2 * load] if free else [load, point.linear])

    return Spiked(bulk, gram, masses, label, one, held=np.zeros(label.size), holding=0.0)  # s → 0
