"""Training and test error of ridge regression on the features, by deterministic equivalents.

With F = σ(X̃W^T)/√N on ñ fresh samples, (F^T F + λ)^{-1} is close to a diagonal matrix r(a) up to the linear part of the
features, which couples neurons through the coordinates of w' and is of rank q, and their mean, of rank p. Unknown are
r and δ(t), by which a sample's own residual is smaller than one left out, 1 + δ:

    T = (ñ/N) E_t[C C^T/(1 + δ)],  P = ψ E_a[ρ² e e^T r],  D(a) = (ñ/N) E_t[v/(1 + δ)],
    1/r = λ + D + ρ² e^T (P^{-1} + T)^{-1}… e,   δ = C^T (P^{-1} + T)^{-1} C/ψ + E_a[v r],

c(a, t) = e(a)^T C(t). The mean and what is linear along the directions of training are then a regression on few
functions, and the variance is one linear system (theory/feature-regression.md, `feature-regression.resolvent`,
`feature-regression.errors`). Checked against closed forms and simulation in tests/regression.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rmtfl.regression.features import Features
from rmtfl.solve import Anderson, FixedPoint, solve

Array = NDArray[np.float64]

CONVERGED = 1e-11  # relative, of the logarithms' changes
MAX_STEPS = 2000
LARGEST = 60.0  # of the logarithms: an accelerated step may overshoot


@dataclass(frozen=True)
class Errors:
    """Of one regression: test error on fresh noisy labels, and training error."""

    mse: float
    training: float


@dataclass(frozen=True)
class Resolvent:
    """The solution of the fixed point: r(a) and δ(t)."""

    r: Array
    delta: Array


@dataclass(frozen=True)
class Regression:
    """Ridge regression on the features of one layer.

    Attributes:
        features: the equivalent.
        noise: standard deviation of the label noise.
        width: N.
        psi: N/d.
    """

    features: Features
    noise: float
    width: int
    psi: float

    def resolvent(self, samples: float, ridge: float, start: Resolvent | None = None) -> Resolvent:
        """Solve the fixed point.

        Args:
            samples: ñ.
            ridge: λ.
            start: the solution of a regression close by.

        Raises:
            ToleranceNotMet: if it does not converge.
        """
        f, count = self.features, self.features.neuron.size

        def step(x: Array) -> Array:
            r, delta = np.exp(x[:count]), np.exp(x[count:])
            load = samples / self.width * f.sample / (1 + delta)
            T, P = self._linear_load(load), self._linear_response(r)
            inverse = np.linalg.inv(np.eye(len(T)) + P @ T)
            resistance = f.rest @ load + f.variance * self._form(f.linear_left, T @ inverse)
            answer = self._form(f.linear_right.T, inverse @ P) / self.psi + (f.neuron * r) @ f.rest
            return np.concatenate([-np.log(ridge + resistance), np.log(np.maximum(answer, 1e-300))])

        if start is None:
            size = float(f.neuron @ (f.rest @ f.sample)) + 1.0
            start = Resolvent(np.full(count, 1 / (ridge + size)), np.full(f.sample.size, size / (ridge + size)))
        x = np.log(np.concatenate([start.r, start.delta]))
        problem = FixedPoint(step, lambda x: np.clip(x, -LARGEST, LARGEST))
        found = solve(problem, Anderson(memory=8), x, tolerance=CONVERGED, max_steps=MAX_STEPS)
        return Resolvent(np.exp(found.value[:count]), np.exp(found.value[count:]))

    def errors(self, samples: float, ridge: float, at: Resolvent) -> Errors:
        """Test and training error at a solution of the fixed point."""
        f, psi, r = self.features, self.psi, at.r
        e, C = f.linear_left, f.linear_right
        load = samples / self.width * f.sample / (1 + at.delta)
        T, P = self._linear_load(load), self._linear_response(r)
        L = np.linalg.inv(np.eye(len(T)) + T @ P)
        prediction, force = self._learned(load, r)
        bias = (f.label - prediction) ** 2 + self.noise**2
        # Unknown are x = (Q, α), Q by its pairs i ≤ j: mse(t) = bias + C^T Q C + E_a[v α].
        i, j = np.triu_indices(len(T))
        twice = np.where(i < j, 2.0, 1.0)
        count = i.size
        products = C[i] * C[j]
        seen = np.vstack([twice[:, None] * products, f.neuron[:, None] * f.rest])
        load2 = load / (1 + at.delta)
        against = np.column_stack([seen.T, bias])
        fields, noise = (products * load2) @ against, (f.rest * load2) @ against
        inner, outer = e @ L, e @ (L @ T)
        felt = f.variance[:, None] * twice * inner[:, i] * inner[:, j]
        echo = f.variance[:, None] * twice * outer[:, i] * outer[:, j]
        weights = r[:, None] ** 2 * (felt @ fields + noise)
        gathered = f.neuron * f.variance * (e[:, i] * e[:, j]).T
        weights[:, count:-1] += psi * r[:, None] ** 2 * (echo @ gathered)
        weights[:, -1] += r**2 * force
        G = L.T @ P
        turned = (G[np.ix_(i, i)] * G[np.ix_(j, j)] + G[np.ix_(i, j)] * G[np.ix_(j, i)]) * twice / 2
        coordinates = turned @ fields / psi
        coordinates[:, count:-1] += f.neuron * f.variance * (inner[:, i] * inner[:, j]).T
        system = np.vstack([coordinates, weights])
        x = np.linalg.solve(np.eye(len(system)) - system[:, :-1], system[:, -1])
        mse = bias + x @ seen
        return Errors(float(f.sample @ mse), float(f.sample @ (mse / (1 + at.delta) ** 2)))

    def _learned(self, load: Array, r: Array) -> tuple[Array, Array]:
        """The mean prediction at the nodes in t, and the squares that it takes of the weights, over r²."""
        f, functions = self.features, self._functions
        terms = f.mean_left.shape[1]
        response = np.zeros((len(functions), len(functions)))
        response[:terms, :terms] = (f.mean_left.T * (f.neuron * r)) @ f.mean_left
        response[terms:, terms:] = np.tensordot(f.neuron * r, self._fluctuating, axes=1) * self.psi / self.width
        weighted = functions * (self.width * load)
        force = np.linalg.solve(np.eye(len(functions)) + (weighted @ functions.T) @ response, weighted @ f.label)
        squares = (f.mean_left @ force[:terms]) ** 2 / self.width
        squares = squares + self.psi / self.width**2 * ((self._fluctuating @ force[terms:]) @ force[terms:])
        return (response @ force) @ functions, squares

    @cached_property
    def _functions(self) -> Array:
        """What the mean prediction is made of: functions of t in the means, and in what single neurons add to them."""
        f = self.features
        return np.vstack([f.mean_right, *(f.linear_right * t for t in f.coordinates), f.bent_right])

    @cached_property
    def _fluctuating(self) -> Array:
        """Given ā, d × the covariance of the coefficients that single neurons add, shape (m, functions, functions)."""
        f = self.features
        axes, rank = f.coordinates.shape[0], f.linear_left.shape[1]
        owner = np.repeat(np.arange(axes + 1), [rank] * axes + [f.bent_left.shape[1]])
        left = np.column_stack([*[f.linear_left] * axes, f.bent_left])
        return np.asarray(f.fluctuation[:, owner[:, None], owner] * left[:, :, None] * left[:, None, :])

    def _linear_load(self, load: Array) -> Array:
        right = self.features.linear_right
        return np.asarray((right * load) @ right.T)

    def _linear_response(self, r: Array) -> Array:
        f = self.features
        return np.asarray(self.psi * (f.linear_left.T * (f.neuron * f.variance * r)) @ f.linear_left)

    @staticmethod
    def _form(vectors: Array, matrix: Array) -> Array:
        """v^T matrix v for each row v."""
        return np.asarray(((vectors @ matrix) * vectors).sum(axis=1))
