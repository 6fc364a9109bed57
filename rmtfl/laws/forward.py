"""The forward map of the generalized Marchenko-Pastur law of an atomic population, in two precisions.

With u = -1/m, m the companion transform, γ the ratio p/n and H = Σ w δ_t,

    z(u) = u + γ Σ w t u / (u - t),      z'(u) = 1 - Φ(u),      Φ(u) = γ Σ w t² / (u - t)².

A real point u is never stored as a double: it is a *reference* (one of the atoms, or the origin) plus an
offset in double-double, so that u - t keeps its relative accuracy next to the atom, where bulks of small
weight live, and u and z next to 0, where the lower edge goes as γ → 1. At the origin Φ - 1 and z are written
over γ Σ w - 1, which is formed exactly:

    Φ(u) - 1 = (γ Σ w - 1) + u γ Σ w (2t - u)/(u - t)²,   z(u) = u (1 - γ Σ w + u γ Σ w/(u - t)).

Around an anchor a, z(a + h) - z(a) = h (1 - Φ(a)) + h² Σ b/(a - t + h), b = γ w t²/(a - t)², exactly: at an
edge the linear term is 0 and nothing is left to cancel. Checked in tests/laws/test_few.py in exact rationals.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import fsum, inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtfl.errors import BadInput
from rmtfl.laws.doubledouble import UNIT, DoubleDouble, two_sum

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Reference of a `Points` entry that is measured from the origin and not from an atom.
ORIGIN = -1

#: Atoms, weights and ratio outside these powers of ten are refused: t² w γ and its low part must stay inside
#: what double-double holds (about 1e±140), with the fourth power of a difference of atoms beside it.
SMALLEST, LARGEST = 1e-30, 1e30

#: Weights may miss 1 by this much (they are never renormalised).
WEIGHT_SLACK = 1e-12


@dataclass(frozen=True)
class Points:
    """Real points reference + offset: `reference` indexes the atoms, or is ORIGIN."""

    reference: Indices
    offset: DoubleDouble

    def __getitem__(self, key: NDArray[np.bool_] | Indices | slice) -> Points:
        return Points(self.reference[key], self.offset[key])

    @property
    def size(self) -> int:
        """How many points."""
        return int(self.reference.size)


def _exact(x: Fraction) -> tuple[float, float]:
    hi = float(x)
    return hi, float(x - Fraction(hi))


class ForwardMap:
    """z(u) and its derivative for an atomic population.

    Attributes:
        ratio: γ = p/n.
        atoms: Distinct positive atoms, ascending, shape (K,).
        zero_weight: Weight of an atom at 0.
    """

    def __init__(self, ratio: float, atoms: ArrayLike, weights: ArrayLike) -> None:
        t, w = np.atleast_1d(np.asarray(atoms, float)), np.atleast_1d(np.asarray(weights, float))
        gamma = float(ratio)
        _check(gamma, t, w)
        self.ratio, self.given = gamma, (tuple(t.tolist()), tuple(w.tolist()))
        exact: dict[float, Fraction] = {}
        for atom, weight in zip(t.tolist(), w.tolist(), strict=True):
            exact[atom] = exact.get(atom, Fraction(0)) + Fraction(weight)
        self.exact_ratio = Fraction(gamma)
        self.zero_weight = float(exact.pop(0.0, Fraction(0)))
        self.exact_weights = {a: exact[a] for a in sorted(exact) if exact[a] > 0}
        if not self.exact_weights:
            raise BadInput("atoms: at least one positive atom with positive weight is needed")
        self.atoms = np.array(list(self.exact_weights))

    # What follows is made when it is first asked for: a law of few atoms needs little of it.

    @cached_property
    def exact_mass(self) -> Fraction:
        """The sum of the positive atoms' weights."""
        return sum(self.exact_weights.values(), Fraction(0))

    @cached_property
    def exact_gw(self) -> list[Fraction]:
        """γ w."""
        return [self.exact_ratio * w for w in self.exact_weights.values()]

    @cached_property
    def exact_excess(self) -> Fraction:
        """γ Σ w - 1."""
        return sum(self.exact_gw, Fraction(-1))

    @cached_property
    def excess(self) -> DoubleDouble:
        """The same, in double-double."""
        return DoubleDouble(*_exact(self.exact_excess))

    @cached_property
    def weights(self) -> DoubleDouble:
        """w, shape (K,)."""
        pairs = np.array([_exact(v) for v in self.exact_weights.values()])
        return DoubleDouble(pairs[:, 0], pairs[:, 1])

    @cached_property
    def gw(self) -> DoubleDouble:
        """γ w."""
        return self.weights * self.ratio

    @cached_property
    def gwt(self) -> DoubleDouble:
        """γ w t."""
        return self.gw * self.atoms

    @cached_property
    def gwt2(self) -> DoubleDouble:
        """γ w t²."""
        return self.gwt * self.atoms

    @cached_property
    def double_gwt2(self) -> Floats:
        """The same in doubles, to three roundings."""
        return np.asarray(np.array([float(gw) for gw in self.exact_gw]) * self.atoms * self.atoms)

    def differences(self, points: Points) -> DoubleDouble:
        """Return u - t, shape (points, atoms)."""
        base = np.where(points.reference == ORIGIN, 0.0, self.atoms[points.reference])
        s, e = two_sum(base[:, None], -self.atoms[None, :])
        return DoubleDouble(s, e) + DoubleDouble(points.offset.hi[:, None], points.offset.lo[:, None])

    def position(self, points: Points) -> DoubleDouble:
        """Return u itself."""
        return points.offset + np.where(points.reference == ORIGIN, 0.0, self.atoms[points.reference])

    def phi_minus_one(self, points: Points, d: DoubleDouble | None = None) -> tuple[DoubleDouble, Floats]:
        """Return Φ(u) - 1 and a bound on the error of that; d is `differences`, where it is known."""
        d = self.differences(points) if d is None else d
        square = d * d
        plain = self.gwt2 / square
        value = plain.sum() - 1.0
        size = plain.hi.sum(-1) + 1.0
        near = points.reference == ORIGIN
        if near.any():
            u = points.offset[near]
            column = DoubleDouble(u.hi[:, None], u.lo[:, None])
            terms = self.gw * (2 * self.atoms - column) / square[near]
            rest = u * terms.sum() + self.excess
            value.hi[near], value.lo[near] = rest.hi, rest.lo
            size[near] = np.abs(u.hi) * np.abs(terms.hi).sum(-1) + abs(float(self.excess.hi))
        return value, UNIT * self._growth * size

    def image(self, points: Points, d: DoubleDouble | None = None) -> tuple[DoubleDouble, Floats]:
        """Return z(u) and a bound on the error of that (for u exactly as given); d as above."""
        d = self.differences(points) if d is None else d
        u = self.position(points)
        terms = self.gwt / d
        value = u * (terms.sum() + 1.0)
        size = np.abs(u.hi) * (np.abs(terms.hi).sum(-1) + 1.0)
        near = points.reference == ORIGIN
        if near.any():
            v = u[near]
            inner = self.gw / d[near]
            bracket = v * inner.sum() - self.excess
            rest = v * bracket
            value.hi[near], value.lo[near] = rest.hi, rest.lo
            moduli = np.abs(v.hi) * np.abs(inner.hi).sum(-1) + abs(float(self.excess.hi))
            size[near] = np.abs(v.hi) * moduli
        return value, UNIT * self._growth * size

    @property
    def _growth(self) -> float:
        """How many operations' errors a sum over the atoms collects, with room."""
        return 8.0 + 3.0 * float(np.log2(self.atoms.size))


def _check(gamma: float, t: Floats, w: Floats) -> None:
    if not SMALLEST <= gamma <= LARGEST:
        raise BadInput(f"ratio = {gamma!r}: p/n between {SMALLEST:g} and {LARGEST:g} is needed")
    if t.ndim != 1 or t.shape != w.shape or t.size == 0:
        raise BadInput(
            f"atoms and weights: two lists of the same positive length are needed, not {t.size} and {w.size}"
        )
    for atom in t.tolist():
        if not (atom == 0 or SMALLEST <= atom <= LARGEST):
            raise BadInput(
                f"atoms: {atom!r} is neither 0 nor between {SMALLEST:g} and {LARGEST:g}; "
                "a covariance has nonnegative eigenvalues"
            )
    for weight in w.tolist():
        if not (weight == 0 or SMALLEST <= weight < inf):
            raise BadInput(f"weights: {weight!r} is neither 0 nor a number of at least {SMALLEST:g}")
    total = fsum(w.tolist())
    if abs(total - 1) > WEIGHT_SLACK:
        raise BadInput(f"weights: they sum to {total!r}; a sum within 1e-12 of 1 is accepted")
