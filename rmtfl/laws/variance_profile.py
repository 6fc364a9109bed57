"""The law of Y Y^T where the entries of Y have a block variance profile.

Y is p x n with independent entries of mean 0; rows fall into classes of shares α_i, columns into classes of shares
β_j, and an entry of classes (i, j) has variance s_ij/n (Girko; Hachem, Loubaton and Najim, Ann. Appl. Probab. 17,
2007). The transform is Σ α_i m_i of `profile_equation`, the intervals are those of `profile_edges`; the distribution
function is in closed form in m, and moments follow from the equation as a power series in 1/z.

Where it breaks down: as `profile_edges` says; densities are in plain doubles, and `evaluate` says how good they are
near an edge. Checked in tests/laws/test_variance_profile.py against Marchenko-Pastur laws, generalized ones, an
enclosure of a fold in many digits, quadrature and sampled matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import fsum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtfl.errors import BadInput
from rmtfl.laws import profile_edges
from rmtfl.laws.base import Evaluation, Floats, Interval, Law, real_or_complex
from rmtfl.laws.diagonal import EPS, Complexes
from rmtfl.laws.generalized import finite
from rmtfl.laws.profile_equation import ProfileEquation

#: Row and column classes together: the levels at which a gap can be are two to that power.
MOST_CLASSES = 12

#: Newton's error bound holds while twice this is below 1; no error is given beyond it.
KANTOROVICH = 0.25


class VarianceProfile(Law):
    """Law of the p eigenvalues of Y Y^T.

    Args:
        ratio: γ = p/n.
        variances: s_ij, shape (row classes, column classes), nonnegative.
        rows: Shares α_i, which sum to 1 within 1e-12; equal ones unless given.
        columns: Shares β_j, likewise.

    Raises:
        BadInput: If shapes or values do not fit.
    """

    def __init__(
        self,
        ratio: float,
        variances: ArrayLike,
        rows: Sequence[float] | None = None,
        columns: Sequence[float] | None = None,
    ) -> None:
        if not (np.isfinite(ratio) and ratio > 0):
            raise BadInput(f"ratio = {ratio!r}: a positive number is needed")
        table = _table(variances)
        down, across = _shares("rows", rows, table.shape[0]), _shares("columns", columns, table.shape[1])
        self.equation = ProfileEquation(float(ratio), *_merged(table, down, across))

    @cached_property
    def _edges(self) -> tuple[Floats, float]:
        return profile_edges.edges(self.equation, self._null)

    @cached_property
    def _null(self) -> float:
        return profile_edges.null_mass(self.equation)

    @property
    def support(self) -> tuple[Interval, ...]:
        """Intervals of the continuous part, ascending; see `edges_error`."""
        ends = self._edges[0].tolist()
        return tuple(zip(ends[0::2], ends[1::2], strict=True))

    @property
    def edges_error(self) -> float:
        """Bound on the relative error of every edge."""
        return self._edges[1]

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """The point mass at 0: what shape and vanishing variances leave of the rank."""
        return ((0.0, self._null),) if self._null > 0 else ()

    def resolvents(self, z: ArrayLike) -> Complexes:
        """Return m_i, shape (points, row classes), at z in the closed upper half-plane, flat, z ≠ 0.

        On the real axis inside the support it is the limit from above. Classes that share all their variances are one.
        """
        values = real_or_complex(z).ravel()
        if (values == 0).any():
            raise BadInput("z: a number other than 0 is needed")
        m = np.empty((values.size, self.equation.rows.size), complex)
        off = (values.imag == 0) & ~self._inside(values.real)
        m[~off] = self.equation.limit(values[~off])
        if off.any():
            m[off] = self.equation.outside(values[off].real, self.equation.above(values[off]))[0]
        return m

    def _inside(self, x: Floats) -> NDArray[np.bool_]:
        inside = np.zeros(x.shape, bool)
        for low, high in self.support:
            inside |= (x > low) & (x < high)
        return inside

    def stieltjes(self, z: ArrayLike) -> Complexes:
        """Return m(z) = Σ α_i m_i, any shape."""
        return np.asarray(self.resolvents(z) @ self.equation.rows).reshape(np.shape(z))

    def stieltjes_slope(self, z: ArrayLike) -> Complexes:
        """Return m'(z), any shape: (1 - m K m) (m'/m) = m."""
        values = real_or_complex(z).ravel()
        m = self.resolvents(values)
        matrix = np.eye(self.equation.rows.size) - self.equation.terms(values, m).coupling
        rate = np.linalg.solve(matrix, m[:, :, None])[:, :, 0]
        return np.asarray((m * rate) @ self.equation.rows).reshape(np.shape(z))

    def evaluate(self, x: ArrayLike) -> Evaluation:
        """Return the density at real x, any shape, with a bound on each relative error; infinite where there is none.

        The residual, its rounding included, bounds the root's error through the Jacobian's inverse (Newton and
        Kantorovich).

        Raises:
            BadInput: If a point is not finite, or the density is infinite there.
        """
        points = finite(x)
        flat = points.ravel()
        value, error = np.zeros(flat.shape), np.zeros(flat.shape)
        if self.support[0][0] == 0 and (flat == 0).any():
            raise BadInput("x: the density is infinite at 0, where the law begins; ask for a positive point")
        at = np.flatnonzero(self._inside(flat))
        if at.size:
            z = flat[at] + 0j
            m = self.equation.limit(z)
            terms = self.equation.terms(z, m)
            matrix = np.eye(m.shape[1]) - terms.coupling
            inverse = np.abs(np.linalg.inv(matrix))
            residual = np.abs(terms.residual) + 4 * terms.noise
            moved = (inverse @ residual[:, :, None])[:, :, 0]
            # The second derivative in log m is a few times the largest coupling; its inverse's norm multiplies it.
            size = inverse.sum(axis=2).max(axis=1)
            curvature = 2 * (1 + np.abs(terms.coupling).sum(axis=2).max(axis=1))
            trusted = size * curvature * moved.max(axis=1) < KANTOROVICH
            value[at] = (m.imag @ self.equation.rows) / np.pi
            off = 2 * ((np.abs(m) * moved) @ self.equation.rows) / np.pi
            error[at] = np.where(trusted, off / value[at] + 8 * EPS, np.inf)
        return Evaluation(value.reshape(points.shape), error.reshape(points.shape))

    def density(self, x: ArrayLike) -> Floats:
        """Return the density of the continuous part at real x, any shape; see `evaluate` for its error."""
        return self.evaluate(x).value

    def cdf(self, x: ArrayLike) -> Floats:
        """Return the distribution function, the atom at 0 included."""
        points = finite(x)
        flat = points.ravel()
        value = np.where(flat < 0, 0.0, self._null)
        at = np.flatnonzero(flat > 0)
        if at.size:
            m = self.resolvents(flat[at])
            value[at] = np.clip(self.equation.share(flat[at], m), self._null, 1.0)
        return value.reshape(points.shape)

    def moments(self, count: int) -> Floats:
        """Return the moments: -z m_i = h_i and 1/b_j = g_j are series with h = 1 + (B g) h/z, g = 1 + (C h) g/z."""
        h, g = np.zeros((count + 1, self.equation.rows.size)), np.zeros((count + 1, self.equation.columns.size))
        h[0], g[0] = 1.0, 1.0
        for k in range(1, count + 1):
            pull, push = g[:k] @ self.equation.to_rows.T, h[:k] @ self.equation.to_columns.T
            h[k], g[k] = np.sum(pull * h[k - 1 :: -1], axis=0), np.sum(push * g[k - 1 :: -1], axis=0)
        return np.asarray(h[1:] @ self.equation.rows)


def _table(variances: ArrayLike) -> Floats:
    accepted = "a list of rows of equal length, of finite numbers, not all 0, none negative"
    try:
        table = np.asarray(variances, float)
    except (TypeError, ValueError):
        raise BadInput(f"variances = {variances!r}: {accepted} is needed") from None
    if table.ndim != 2 or not np.isfinite(table).all() or (table < 0).any() or not table.any():
        raise BadInput(f"variances = {table.tolist()}: {accepted} is needed")
    if sum(table.shape) > MOST_CLASSES:
        raise BadInput(f"variances of shape {table.shape}: at most {MOST_CLASSES} classes, rows and columns together")
    return table


def _shares(key: str, given: Sequence[float] | None, size: int) -> Floats:
    share = np.full(size, 1 / size) if given is None else np.asarray(given, float)
    if share.shape != (size,):
        raise BadInput(f"{key} = {share.tolist()}: as many shares are needed as variances have {key}, {size}")
    if not (share > 0).all() or abs(share.sum() - 1) > 1e-12:
        raise BadInput(f"{key} = {share.tolist()}: positive shares that sum to 1 are needed")
    return share


def _merged(table: Floats, rows: Floats, columns: Floats) -> tuple[Floats, Floats, Floats]:
    """Return variances and shares with equal classes as one."""
    table, rows = _merged_rows(table, rows)
    across, columns = _merged_rows(table.T, columns)
    return np.ascontiguousarray(across.T), rows, columns


def _merged_rows(table: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """Return the different rows in the order given, and the sum of the shares of each."""
    _, first = np.unique(table, axis=0, return_index=True)
    kept = table[np.sort(first)]
    return kept, np.array([fsum(shares[(table == row).all(axis=1)]) for row in kept])
