"""Outliers of the conjugate kernel: the feature spikes, the mean spike among them, above the bulk.

The mean K(a, t) of the features is joined by what is of order one beside it: the component of each row along the
directions of training, and the norms ‖x‖² of samples and ‖w'‖² of rows, which move E σ by ½ E σ'' each. An eigenvalue z
outside the bulk is where the largest eigenvalues of

    ñ x D^{1/2} Gram D^{1/2},    x = −Q(z),   D = mass/(1 + δ),

pass 1, Gram the Gram matrix of these functions of a sample (theory/features.md, `features.spikes`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.optimize import brentq

from rmtfl.features.bulk import Bulk, Point
from rmtfl.features.operator import FeatureOperator

Array = NDArray[np.float64]

DIFFERENCE = 1e-4  # of log x, in the derivative of an eigenvalue
ROOT = 1e-13


@dataclass(frozen=True)
class Spike:
    """An eigenvalue outside the bulk.

    Attributes:
        location: z.
        alignment: |ỹ^T û|²/ñ with fresh labels.
        constant: the squared overlap of its left function of a sample with the constant: near 1 for the mean spike.
    """

    location: float
    alignment: float
    constant: float


class Spiked:
    """The finite-rank part on top of a bulk.

    Args:
        operator: of the layer.
        target: y_k = E[ĥ_k(z) y].
        dimension: d.
        samples: ñ.
        width: N.
    """

    def __init__(
        self, operator: FeatureOperator, target: Array, dimension: float, samples: float, width: float
    ) -> None:
        neurons = operator.neurons
        frame = neurons.mean.shape[1]
        count = neurons.a.size
        self.samples, self.weight = samples, neurons.weight
        self.square, self.curved = operator.linear**2, operator.curvature / math.sqrt(2 * dimension)
        gram = np.zeros((count + frame + 1, count + frame + 1))
        gram[:count, :count] = operator.kernel + np.multiply.outer(self.curved, self.curved)
        gram[:count, count:-1] = operator.along / math.sqrt(dimension)
        gram[:count, -1] = operator.coefficients[0]
        gram[count:-1, :count], gram[-1, :count] = gram[:count, count:-1].T, gram[:count, -1]
        gram[count:-1, count:-1] = np.eye(frame) / dimension
        gram[-1, -1] = 1
        self.gram, self.frame = gram, frame
        first = target[1] if target.size > 1 else 0.0
        along = np.zeros(frame)
        along[0] = first / math.sqrt(dimension)
        self.label = np.concatenate([operator.against_target(target), along, target[:1]])
        self.bulk = Bulk(neurons.weight, operator.linear, operator.residual, width / dimension, samples / dimension)

    def outliers(self) -> list[Spike]:
        """The eigenvalues above the bulk, descending."""
        edge = self.bulk.edge
        above = int(np.sum(self._values(edge) > 1))
        return [self._spike(j, edge) for j in range(above)]

    def _root(self, point: Point) -> Array:
        curved = float(self.weight @ (point.load * self.curved**2))
        masses = np.concatenate([self.weight * point.load, np.full(self.frame, point.linear), [curved]])
        return np.asarray(np.sqrt(masses))

    def _matrix(self, point: Point) -> Array:
        root = self._root(point)
        return np.asarray(self.samples * point.x * root[:, None] * self.gram * root)

    def _values(self, point: Point) -> Array:
        return np.asarray(np.linalg.eigvalsh(self._matrix(point))[::-1])

    def _spike(self, index: int, edge: Point) -> Spike:
        size = self.gram.shape[0] - 1 - index

        def excess(log_x: float) -> float:
            point = self._point(log_x)
            return math.log(scipy.linalg.eigvalsh(self._matrix(point), subset_by_index=(size, size))[0])

        high = math.log(edge.x)
        low = high - 1
        while excess(low) > 0:
            low -= 2
        log_x = float(brentq(excess, low, high, xtol=ROOT))
        point = self._point(log_x)
        _, vectors = scipy.linalg.eigh(self._matrix(point), subset_by_index=(size, size))
        f = vectors[:, 0] * self._root(point)
        up, down = self._point(min(log_x + DIFFERENCE, high)), self._point(log_x - DIFFERENCE)
        rise = math.exp(excess(math.log(up.x))) - math.exp(excess(math.log(down.x)))
        slope = rise / (down.z - up.z)  # −dλ/dz
        alignment = self.samples * point.x**2 * float(f @ self.label) ** 2 / slope
        constant = self.samples * point.x * float(f @ self.gram[:, -1]) ** 2
        return Spike(point.z, alignment, constant)

    def _point(self, log_x: float) -> Point:
        point = self.bulk.at(math.exp(log_x))
        assert point is not None
        return point
