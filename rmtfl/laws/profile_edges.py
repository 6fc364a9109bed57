"""The intervals of a block variance profile's law, from the levels that its distribution function can have in a gap.

In a gap all m_i and b_j of `profile_equation` are real, and the distribution function is

    Σ α_i (i with m_i < 0) - Σ β_j/γ (j with b_j < 0),

so that a gap can be only where it passes one of these finitely many levels. Each level's place is looked up, a little
below and a little above, and a real solution between the two proves the gap. Its ends are folds of that solution: with
u_i = m_i'/m_i, unbounded there, they solve G(m, x) = 0 and (1 - m K m) u = 0, u > 0, by Newton's method.

Where it breaks down: a gap that is narrower than about the 3/4 power of LEVEL_STEP, relative to the bulks beside it,
is not told from their touching; a law that begins above 0 but below LEAST of its bound is taken to begin at 0.
"""

from __future__ import annotations

from itertools import chain, combinations
from math import fsum

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.laws.base import Floats
from rmtfl.laws.diagonal import CLEAR, EPS, FLOOR, Complexes, radius
from rmtfl.laws.profile_equation import ProfileEquation
from rmtfl.solve import Damped, FixedPoint, solve

#: How far on either side of a level its place is looked up; levels that are closer are one.
LEVEL_STEP = 1e-12

#: The least place that is looked at, relative to the bound of the support.
LEAST = 1e-20

#: Levels' places are known to this, relative; points that are looked at together.
PLACE, TOGETHER = 1e-11, 512

#: Points between the two places of a level at which a real solution is looked for, as parts of the way.
PROBES = (0.5, 0.25, 0.75, 0.1, 0.9, 0.01, 0.99)

#: Bisections that bring a real solution near to its fold.
BISECTIONS = 24


def null_mass(equation: ProfileEquation) -> float:
    """Return the point mass at 0: what rows are left over when each is matched to a column it shares variance with.

    By Hall's theorem that is the largest excess, over sets of row classes, of their share over their columns'.
    """
    linked = equation.variances > 0
    classes = range(equation.rows.size)
    worst = 0.0
    for chosen in map(list, chain.from_iterable(combinations(classes, k) for k in range(1, len(classes) + 1))):
        met = fsum(equation.columns[linked[chosen].any(axis=0)]) / equation.ratio
        worst = max(worst, fsum(equation.rows[chosen]) - met)
    return worst if worst > 4 * EPS else 0.0


def levels(equation: ProfileEquation, null: float) -> Floats:
    """Return the levels strictly between that at 0 and 1 at which a gap can be, ascending."""
    sums = np.zeros(1)
    for mass in (*equation.rows, *(-equation.columns / equation.ratio)):
        sums = np.concatenate([sums, sums + mass])
    sums = np.sort(sums[(sums > null + 4 * LEVEL_STEP) & (sums < 1 - 4 * LEVEL_STEP)])
    return sums[np.diff(sums, prepend=-1.0) > 4 * LEVEL_STEP]


def edges(equation: ProfileEquation, null: float) -> tuple[Floats, float]:
    """Return the edges, ascending, and a bound on their relative error.

    Args:
        equation: The profile.
        null: Its point mass at 0.

    Raises:
        ToleranceNotMet: If an end of a gap was not found.
    """
    least = LEAST * equation.bound
    inner = levels(equation, null)
    places = quantiles(equation, np.concatenate([[null + LEVEL_STEP], inner - LEVEL_STEP, inner + LEVEL_STEP]))
    first, below, above = places[0], places[1 : inner.size + 1], places[inner.size + 1 :]
    last = quantiles(equation, np.array([1 - LEVEL_STEP]))[0]
    # Gaps as (a point inside the bulk to the left, one inside the bulk to the right); the outermost have one only.
    low = np.concatenate([[least], below, [last]])
    high = np.concatenate([[first], above, [2 * equation.bound]])
    parts = np.array(PROBES)
    # Left of the first bulk and right of the last one no level bounds the gap.
    probes = low[:, None] + (high - low)[:, None] * parts
    probes[0] = least * (first / least) ** parts
    probes[0, -1] = least
    probes[-1, -1] = high[-1]
    flat = probes.ravel()
    m, apart = equation.outside(flat, equation.above(flat + 0j))
    apart = apart.reshape(probes.shape)
    width = radius(equation.terms(flat + 0j, m)).reshape(probes.shape)
    best = np.argmin(np.where(apart, width, np.inf), axis=1)
    start, real = [], []
    for k in np.flatnonzero(apart.any(axis=1)).tolist():
        for side in (low[k], high[k]):
            if (k, side) not in ((0, low[0]), (low.size - 1, high[-1])):
                start.append((probes[k, best[k]], side))
                real.append(m.reshape(*probes.shape, -1)[k, best[k]])
    found, error = folds(equation, np.array(start), np.array(real))
    # Without a gap next to 0 the law begins there.
    ends = found if apart[0].any() else np.concatenate([[0.0], found])
    if ends.size % 2 or (np.diff(ends) <= 0).any():
        raise ToleranceNotMet(f"variance profile: its edges {ends.tolist()} do not make intervals")
    return ends, error


def quantiles(equation: ProfileEquation, level: Floats) -> Floats:
    """Return where the distribution function has the given levels, or the least place that is looked at.

    A search in log x that cuts every level's interval into as many parts as are cheap to look at together: next to a
    gap the derivative says nothing.
    """
    low = np.full(level.shape, np.log(LEAST * equation.bound))
    width = np.log(1.001 * equation.bound) - low[0]
    parts = max(2, TOGETHER // level.size)
    part = np.arange(1, parts) / parts
    guess: Complexes | None = None
    while width > PLACE:
        x = np.exp(low[:, None] + width * part)
        flat = x.ravel()
        start = None if guess is None else np.repeat(guess, parts - 1, axis=0)
        m = equation.limit(flat * (1 + 1j * FLOOR), start)
        below = np.sum(equation.share(flat, m).reshape(x.shape) < level[:, None], axis=1)
        low = low + width * below / parts
        width /= parts
        guess = m.reshape(*x.shape, -1)[np.arange(level.size), np.maximum(below - 1, 0)]
    return np.asarray(np.exp(low + 0.5 * width))


def folds(equation: ProfileEquation, pairs: Floats, m: Complexes) -> tuple[Floats, float]:
    """Return the ends of gaps and a bound on their relative error.

    Args:
        equation: The profile.
        pairs: One an end: a point in the gap, and one in the bulk beyond the end, shape (ends, 2).
        m: The real solutions at the former.
    """
    off, beyond = np.log(pairs).T
    for _ in range(BISECTIONS):
        middle = 0.5 * (off + beyond)
        new, apart = equation.outside(np.exp(middle), m)
        off, beyond = np.where(apart, middle, off), np.where(apart, beyond, middle)
        m = np.where(apart[:, None], new, m)
    count, classes = m.shape
    sign = np.sign(m.real)
    values, vectors = np.linalg.eig(equation.terms(np.exp(off) + 0j, m).coupling.real)
    top = np.argmax(np.abs(values), axis=1)
    towards = np.take_along_axis(vectors, top[:, None, None], axis=2)[:, :, 0].real
    # m K m has the signs of m: K is nonnegative.
    towards = towards / np.sum(towards * sign, axis=1, keepdims=True)

    def unpack(flat: Floats) -> tuple[Floats, Floats, Floats]:
        state = flat.reshape(count, 2 * classes + 1)
        return sign * np.exp(state[:, :classes]), np.exp(state[:, classes]), state[:, classes + 1 :]

    def step(flat: Floats) -> Floats:
        place, x, u = unpack(flat)
        matrix, right = _fold_system(equation, place, x, u, sign)
        return np.asarray(flat - np.linalg.solve(matrix, right[:, :, None])[:, :, 0].ravel())

    start = np.concatenate([np.log(np.abs(m)), off[:, None], towards], axis=1).ravel()
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = solve(FixedPoint(step), Damped(), start, tolerance=1e-13, max_steps=20, throw=False)
    place, x, u = unpack(found.value)
    terms = equation.terms(x + 0j, place + 0j)
    # The left null vector of 1 - m K m is α u, K being symmetric but for α on the right.
    left = equation.rows * u
    rate = np.abs(np.sum(left * place, axis=1) * x)
    moved = np.max(np.abs(step(found.value) - found.value).reshape(count, -1)[:, :classes], axis=1)
    off_by = np.sum(np.abs(left) * (np.abs(terms.residual) + 8 * terms.noise), axis=1)
    bend = np.sum(np.abs(left), axis=1) * (1 + np.abs(terms.coupling).sum(axis=(1, 2))) * moved**2
    error = (off_by + bend) / rate + 4 * EPS
    right_one = (u * sign > -CLEAR).all(axis=1) & (np.abs(np.log(x) - off) <= np.abs(off - np.log(pairs[:, 1])) + 1e-12)
    if not (right_one & (error < 1e-3)).all():
        where = np.exp(off[~(right_one & (error < 1e-3))][0])
        raise ToleranceNotMet(f"variance profile: the edge near {where:.12g} was not found; its bulks nearly touch")
    return x, float(error.max())


def _fold_system(
    equation: ProfileEquation, m: Floats, x: Floats, u: Floats, sign: Floats
) -> tuple[Floats, NDArray[np.float64]]:
    """Return the Jacobian and the residual of G = 0, (1 - m K m) u = 0, Σ |u| = 1 in log |m|, log x and u."""
    count, k = m.shape
    terms = equation.terms(x + 0j, m + 0j)
    coupling, inverse = terms.coupling.real, terms.inverse.real
    matrix, right = np.zeros((count, 2 * k + 1, 2 * k + 1)), np.empty((count, 2 * k + 1))
    one = np.arange(k)
    right[:, :k] = terms.residual.real
    matrix[:, :k, :k] = coupling
    matrix[:, one, one] += terms.residual.real - 1
    matrix[:, :k, k] = m * x[:, None]
    pulled = (coupling @ u[:, :, None])[:, :, 0]
    right[:, k : 2 * k] = u - pulled
    # dK = -2 B diag(b^{-3} C dm) C, between m and m u.
    flow = (m * u) @ equation.to_columns.T
    bend = (equation.to_rows * (inverse**3 * flow)[:, None, :]) @ equation.to_columns
    matrix[:, k : 2 * k, :k] = 2 * m[:, :, None] * bend * m[:, None, :] - coupling * u[:, None, :]
    matrix[:, k + one, one] -= pulled
    matrix[:, k : 2 * k, k + 1 :] = -coupling
    matrix[:, k + one, k + 1 + one] += 1
    right[:, 2 * k] = np.sum(u * sign, axis=1) - 1
    matrix[:, 2 * k, k + 1 :] = sign
    return matrix, right
