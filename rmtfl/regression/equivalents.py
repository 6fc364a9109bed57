"""Training and test error of ridge regression on the features, by deterministic equivalents.

With F = σ(X̃W^T)/√N on ñ fresh samples, (F^T F + λ)^{-1} is close to a diagonal matrix r(a) up to the linear part of the
features, which couples neurons through the coordinates of w' and is of rank q, and their mean, of rank p. Unknown are
r, δ(t), by which a sample's own residual is smaller than one left out, 1 + δ, and the q × q matrix X:

    T = (ñ/N) E_t[C C^T/(1 + δ)],  P_b = ψ E_a[noise_b e e^T r],  D(a) = (ñ/N) E_t[v/(1 + δ)],
    X = T (1 + P̄T)^{-1},  1/r = λ + D + e^T (own X + Σ_b noise_b X_b) e,  δ = C^T P̄(1 + TP̄)^{-1} C/ψ + E_a[v r],

c(a, t) = e(a)^T C(t), P̄ and X_b the response of the rows to X (`rmtfl.regression.batches`). The mean and what is linear
along the directions of training are then a regression on few functions, and the variance is the linear response of δ to
a change of the load 1/(1 + δ) (theory/feature-regression.md, `feature-regression.resolvent`,
`feature-regression.errors`). Checked against closed forms and simulation in tests/regression.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.regression.batches import Response
from rmtfl.regression.features import Features
from rmtfl.solve import Anderson, FixedPoint, solve

Array = NDArray[np.float64]

CONVERGED = 1e-11  # relative, of the logarithms' changes
MAX_STEPS = 2000
TINY = 1e-300
LARGEST = 60.0  # of the logarithms: an accelerated step may overshoot


@dataclass(frozen=True)
class Errors:
    """Of one regression: test error on fresh noisy labels, and training error."""

    mse: float
    training: float


@dataclass(frozen=True)
class Resolvent:
    """The solution of the fixed point: r(a), δ(t), and T^{-1/2} X T^{-1/2}, between 0 and 1."""

    r: Array
    delta: Array
    share: Array


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
        e, C, batches = f.linear_left, f.linear_right, f.batches
        rank = len(C)
        one, known = np.eye(rank), count + f.sample.size

        def step(x: Array) -> Array:
            r, delta = np.exp(x[:count]), np.exp(x[count:known])
            load = samples / self.width * f.sample / (1 + delta)
            T = (C * load) @ C.T
            root = _root(T)
            response = self._response(r, root @ x[known:].reshape(rank, rank) @ root)
            inverse = np.linalg.inv(one + root @ response.whole @ root)
            resistance = f.rest @ load + batches.own * self._form(e, root @ inverse @ root)
            for noise, X in zip(batches.noise, response.loads(), strict=True):
                resistance += noise * self._form(e, X)
            answer = self._form(C.T, np.linalg.inv(one + response.whole @ T) @ response.whole) / self.psi
            answer += (f.neuron * r) @ f.rest
            logarithms = [-np.log(np.maximum(ridge + resistance, TINY)), np.log(np.maximum(answer, TINY))]
            return np.concatenate([*logarithms, inverse.ravel()])

        if start is None:
            size = float(f.neuron @ (f.rest @ f.sample)) + 1.0
            delta = size / (ridge + size)
            start = Resolvent(np.full(count, 1 / (ridge + size)), np.full(f.sample.size, delta), one / 2)
        x = np.concatenate([np.log(start.r), np.log(start.delta), start.share.ravel()])
        problem = FixedPoint(step, lambda x: np.clip(x, -LARGEST, LARGEST))
        try:
            found = solve(problem, Anderson(memory=8), x, tolerance=CONVERGED, max_steps=MAX_STEPS).value
        except (ToleranceNotMet, np.linalg.LinAlgError) as error:
            norm = float(np.sqrt(np.max(batches.own + batches.noise.sum(axis=0))))
            raise ToleranceNotMet(
                f"the equations of the regression are not solved at {samples:g} samples and ridge {ridge:g}: the steps "
                f"have made rows of norm 1 as long as {norm:.3g}; a smaller training.scale keeps them of order one"
            ) from error
        return Resolvent(np.exp(found[:count]), np.exp(found[count:known]), found[known:].reshape(rank, rank))

    def errors(self, samples: float, at: Resolvent) -> Errors:
        """Test and training error at a solution of the fixed point.

        Args:
            samples: ñ.
            at: the solution there.
        """
        f, psi, r, batches = self.features, self.psi, at.r, self.features.batches
        e, C = f.linear_left, f.linear_right
        load = samples / self.width * f.sample / (1 + at.delta)
        T = (C * load) @ C.T
        root = _root(T)
        response = self._response(r, root @ at.share @ root)
        L = np.asarray(np.linalg.inv(np.eye(len(T)) + response.whole @ T))
        X, H = np.asarray(T @ L), np.asarray(L @ response.whole)
        prediction, force = self._learned(load, r)
        bias = (f.label - prediction) ** 2 + self.noise**2
        # Unknown are x = (X', α, T') with X' = −dX and T' = dT = E_t[C C^T load mse], by their pairs i ≤ j, and α = −dr
        # under a load that grows by mse: mse(t) = bias − dδ. What is symmetric maps to A · A^T by `_congruence`(A).
        i, j = np.triu_indices(len(T))
        twice = np.where(i < j, 2.0, 1.0)
        count, neurons = i.size, r.size
        pairs, masses = slice(count), slice(count, count + neurons)
        forms = twice * e[:, i] * e[:, j]
        gather = psi * f.neuron * (e[:, i] * e[:, j]).T
        squares = batches.weight * batches.share
        of_X, of_r = np.zeros((count, count)), gather * batches.own  # −dP̄
        felt_X, felt_r = -batches.own[:, None] * forms, np.zeros((neurons, neurons))  # what 1/r gains
        for b, noise in enumerate(batches.noise):
            left, grown, P = response.left[b], np.asarray(X @ response.left[b]), response.parts[b]
            gathered = gather * noise
            of_X -= batches.phi * _congruence(np.asarray(left @ P), squares)
            of_r += _congruence(left, batches.weight) @ gathered
            felt_X -= noise[:, None] * (forms @ _congruence(left.transpose(0, 2, 1), batches.weight))
            felt_r += batches.phi * noise[:, None] * (forms @ (_congruence(grown, squares) @ gathered))
        outer, shrunk = _congruence(L), _congruence(X)
        seen = np.zeros((count + neurons, 2 * count + neurons))  # −dδ on the seen functions of t
        seen[:count] = twice[:, None] * np.hstack([outer @ of_X, outer @ of_r, _congruence(H)]) / psi
        seen[masses, masses] = np.diag(f.neuron)
        loaded = self._seen * (load / (1 + at.delta))
        back, given = loaded @ self._seen.T @ seen, loaded @ bias
        back[masses, pairs] += felt_X
        back[masses, masses] += felt_r
        held = -np.hstack([shrunk @ of_X, shrunk @ of_r, _congruence(L.T)])
        system = np.vstack([held, r[:, None] ** 2 * back[masses], back[pairs]])
        known = np.concatenate([np.zeros(count), r**2 * (given[masses] + force), given[pairs]])
        mse = bias + (seen @ np.linalg.solve(np.eye(len(system)) - system, known)) @ self._seen
        return Errors(float(f.sample @ mse), float(f.sample @ (mse / (1 + at.delta) ** 2)))

    @cached_property
    def _seen(self) -> Array:
        """The functions of t that δ is made of: products of two linear features, and the rest of each neuron's."""
        C = self.features.linear_right
        i, j = np.triu_indices(len(C))
        return np.vstack([C[i] * C[j], self.features.rest])

    def _response(self, r: Array, X: Array) -> Response:
        f = self.features
        e, mass = f.linear_left, self.psi * f.neuron * r
        parts = [(e.T * (mass * variance)) @ e for variance in (f.batches.own, *f.batches.noise)]
        return Response.at(f.batches, parts[0], np.reshape(parts[1:], (len(parts) - 1, *parts[0].shape)), X)

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

    @staticmethod
    def _form(vectors: Array, matrix: Array) -> Array:
        """v^T matrix v for each row v."""
        return np.asarray(((vectors @ matrix) * vectors).sum(axis=1))


def _root(T: Array) -> Array:
    """T^{1/2}, symmetric."""
    squares, vectors = np.linalg.eigh(T)
    return np.asarray((vectors * np.sqrt(np.maximum(squares, 0.0))) @ vectors.T)


def _congruence(matrices: Array, weights: Array | None = None) -> Array:
    """X ↦ A X A^T on the pairs i ≤ j of a symmetric X, for A of shape (q, q), or its weighted sum over (J, q, q)."""
    weights = np.ones(1) if weights is None else weights
    i, j = np.triu_indices(matrices.shape[-1])
    rows, others = (matrices.reshape(weights.size, *matrices.shape[-2:])[:, side] for side in (i, j))
    both = rows[:, :, i] * others[:, :, j] + rows[:, :, j] * others[:, :, i]
    return np.asarray(np.tensordot(weights, both, axes=1) * np.where(i < j, 1.0, 0.5))
