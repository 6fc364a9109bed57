"""The generalized Marchenko-Pastur law of an atomic population: eigenvalues of Σ^{1/2} X X^T Σ^{1/2} / n.

X is p x n with iid entries of mean 0 and variance 1, γ = p/n, and the eigenvalues of Σ follow H = Σ w δ_t.
The companion transform m (of the n x n Gram matrix) solves z = -1/m + γ Σ w t/(1 + t m) in C⁺ (Marchenko
and Pastur, 1967; Silverstein, J. Multivariate Anal. 55, 1995); everything here follows from u = -1/m and
its forward map (`forward`), from the edges (`edges`) and the certified root (`branch`):

    density of the p x p law = Im m/(π γ) = Im u/(π γ |u|²),
    distribution function = W + [x Im u/|u|² - (1 - γ W₊) arg u - γ Σ w arg(u - t)]/(π γ),

the latter from ∫ m dz = m z + log m - γ Σ w log(1 + t m); W is the weights' sum and W₊ that over positive
atoms. A population spike ℓ puts an eigenvalue at z(ℓ) iff z'(ℓ) > 0, with squared overlap ℓ z'(ℓ)/z(ℓ)
(Bai and Yao, 2012; Paul, 2007, for the overlap).

Given doubles are exact: nothing is renormalised. Where it breaks down: populations spread beyond 1e±30 are
refused; the distribution function is accurate absolutely (1e-15 times the number of atoms' square root), not
relatively to a small bulk's mass. Checked in tests/laws/test_generalized.py and, on 2000 populations against
certified 50-digit roots, by validation/laws/populations.py.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from math import pi

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.laws import precise
from rmtfl.laws.base import Evaluation, Floats, Interval, Law, Outlier, in_digits, real_or_complex
from rmtfl.laws.branch import Branch, Roots, Target
from rmtfl.laws.doubledouble import DoubleDouble
from rmtfl.laws.edges import blocks, structure
from rmtfl.laws.expansion import EPS
from rmtfl.laws.forward import ForwardMap, Indices, Points
from rmtfl.laws.structure import Structure

Complexes = NDArray[np.complex128]


class GeneralizedMarchenkoPastur(Law):
    """Law of the p eigenvalues of Σ^{1/2} X X^T Σ^{1/2} / n for an atomic population.

    Args:
        ratio: γ = p/n.
        atoms: Population eigenvalues, nonnegative; repeated ones are merged.
        weights: Their masses, which sum to 1 within 1e-12 and are used as they are.

    Raises:
        BadInput: If a value is out of range; the message names it.
    """

    def __init__(self, ratio: float, atoms: ArrayLike, weights: ArrayLike) -> None:
        self.forward = ForwardMap(ratio, atoms, weights)
        self.ratio = self.forward.ratio

    def __repr__(self) -> str:
        atoms, weights = self.forward.given
        return f"GeneralizedMarchenkoPastur({self.ratio!r}, {list(atoms)!r}, {list(weights)!r})"

    @cached_property
    def structure(self) -> Structure:
        """Edges in double-double, and how the interval structure was decided."""
        return structure(self.forward)

    @cached_property
    def branch(self) -> Branch:
        """The certified root of the forward map."""
        return Branch(self.forward, self.structure)

    @property
    def mass(self) -> float:
        """The sum of the weights."""
        return float(self.forward.exact_mass) + self.forward.zero_weight

    @property
    def support(self) -> tuple[Interval, ...]:
        """Intervals of the continuous part, each edge correctly rounded or next to it."""
        edges = self.structure.edges.to_float().tolist()
        return tuple(zip(edges[0::2], edges[1::2], strict=True))

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """The point mass at 0: the population's own, or what n < p leaves."""
        exact = self.forward.exact_mass
        null = self.forward.zero_weight + max(0.0, float(exact - 1 / self.forward.exact_ratio))
        return ((0.0, null),) if null > 0 else ()

    def locate(self, x: Floats) -> Indices:
        """Return for real x how many edges lie strictly below: odd inside a bulk."""
        return count_below(x, self.structure.edges)

    def inside(self, x: Floats, count: Indices) -> NDArray[np.bool_]:
        """Tell which real x are strictly inside a bulk, given how many edges lie below each."""
        edges = self.structure.edges
        inside = count % 2 == 1
        for edge in edges.hi[edges.lo == 0].tolist():
            inside &= x != edge
        return np.asarray(inside)

    def evaluate(self, x: ArrayLike) -> Evaluation:
        """Return the density at real x, any shape, with a certified bound on each relative error.

        Raises:
            BadInput: If a point is not finite, or the density is infinite there.
            ToleranceNotMet: If a point could not be certified.
        """
        points = finite(x)
        flat = points.ravel()
        value, error = np.zeros(flat.shape), np.zeros(flat.shape)
        if self.structure.edges.hi[0] == 0 and (flat == 0).any():
            raise BadInput("x: the density is infinite at 0, where γ Σ w = 1; ask for a positive point")
        count = self.locate(flat)
        inside = np.flatnonzero(self.inside(flat, count))
        for part in blocks(inside.size, self.forward.atoms.size):
            some = inside[part]
            found = self.evaluate_inside(_real(flat[some]), count[some] // 2)
            value[some], error[some] = found.value, found.error
        return Evaluation(value.reshape(points.shape), error.reshape(points.shape))

    def evaluate_inside(self, at: Target, bulk: Indices) -> Evaluation:
        """Return what `evaluate` does at points strictly inside the given bulks."""
        roots = self.branch.inside(at, bulk)
        u, off = roots.u, roots.error
        imag, size = u.imag, np.abs(u)
        # Im u and |u| each move by at most the root's error; |u| also by the rounding of anchor + h.
        rounding = 2 * EPS * (np.abs(roots.anchor.hi) + np.abs(roots.h))
        error = off / (imag - off) + 2 * (off + rounding) / (size - off) + 8 * EPS
        return Evaluation(imag / (size * size) / (pi * self.ratio), error)

    def density(self, x: ArrayLike) -> Floats:
        """Return the density of the continuous part at real x, any shape; see `evaluate` for its error."""
        return self.evaluate(x).value

    def roots(self, z: ArrayLike) -> Roots:
        """Return u(z) = -1/m(z), certified, for 1-D z in the closed upper half-plane."""
        values = real_or_complex(z).ravel()
        anchor = DoubleDouble(np.zeros(values.size))
        h, error = np.zeros(values.size, complex), np.zeros(values.size)
        on_axis = values.imag == 0
        count = self.locate(values.real)
        inside = on_axis & self.inside(values.real, count)
        for kind, chosen in enumerate((~on_axis, inside, on_axis & ~inside)):
            index = np.flatnonzero(chosen)
            for part in blocks(index.size, self.forward.atoms.size):
                some = index[part]
                x = values.real[some]
                if kind == 0:
                    found = self.branch.off_axis(values[some])
                elif kind == 1:
                    found = self.branch.inside(_real(x), count[some] // 2)
                else:
                    found = self.branch.outside(x, (count[some] + 1) // 2)
                anchor.hi[some], anchor.lo[some] = found.anchor.hi, found.anchor.lo
                h[some], error[some] = found.h, found.error
        return Roots(anchor, h, error)

    def companion_stieltjes(self, z: ArrayLike) -> Complexes:
        """Return the companion transform m(z) = -1/u, of the n x n Gram matrix; infinite at an atom in 0."""
        z = real_or_complex(z)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(-1 / self.roots(z).u).reshape(z.shape)

    def stieltjes(self, z: ArrayLike) -> Complexes:
        """Return the transform of the p x p law, -(1/z) [w₀ + Σ w u/(u - t)], any shape."""
        return self.transforms(z)[0]

    def stieltjes_slope(self, z: ArrayLike) -> Complexes:
        """Return its derivative, any shape; infinite at an edge."""
        return self.transforms(z)[1]

    def transforms(self, z: ArrayLike) -> tuple[Complexes, Complexes]:
        """Return both, any shape, from one root."""
        z = real_or_complex(z)
        m, slope = self._transform(z.ravel())
        return m.reshape(z.shape), slope.reshape(z.shape)

    def _transform(self, z: Complexes) -> tuple[Complexes, Complexes]:
        roots = self.roots(z)
        u, t, w = roots.u, self.forward.atoms, self.forward.weights.to_float()
        m, slope = np.empty_like(u), np.empty_like(u)
        zero = self.forward.zero_weight
        for part in blocks(u.size, t.size):
            inverse = 1 / (u[part, None] - t)
            # z = u q: m = -[w₀/z + Σ w/(u - t)/q], which has no 0/0 at z = 0.
            first, q = inverse @ w, 1 + self.ratio * (inverse @ (w * t))
            second, bend = (inverse**2) @ w, -self.ratio * (inverse**2 @ (w * t))
            rate = 1 / (1 - self.ratio * (inverse**2 @ (w * t**2)))
            with np.errstate(divide="ignore", invalid="ignore"):
                own = zero / z[part] if zero else 0.0
                m[part] = -first / q - own
                slope[part] = (second / q + first * bend / q**2) * rate + (own / z[part] if zero else 0.0)
        return m, slope

    def cdf(self, x: ArrayLike) -> Floats:
        """Return the distribution function, the atom at 0 included."""
        points = finite(x)
        flat = points.ravel()
        count = self.locate(flat)
        # Between bulks: the weights below, exactly.
        below = np.concatenate([[0.0], np.cumsum(self.forward.weights.to_float())])
        ends = np.append(np.flatnonzero(self.structure.gap), self.forward.atoms.size - 1) + 1
        levels = self.forward.zero_weight + np.concatenate([[0.0], below[ends]])
        levels[0] = self.atoms[0][1] if self.atoms else 0.0
        value = levels[count // 2]
        inside = np.flatnonzero(self.inside(flat, count))
        for part in blocks(inside.size, self.forward.atoms.size):
            some = inside[part]
            bulk = count[some] // 2
            value[some] = np.clip(self._accumulated(flat[some], bulk), levels[bulk], levels[bulk + 1])
        value = np.where(flat < 0, 0.0, value)
        return value.reshape(points.shape)

    def _accumulated(self, x: Floats, bulk: Indices) -> Floats:
        roots = self.branch.inside(_real(x), bulk)
        u, gw = roots.u, self.forward.gw.to_float()
        turned = np.angle(u[:, None] - self.forward.atoms) @ gw
        excess = float(self.forward.excess.hi)
        inner = x * u.imag / np.abs(u) ** 2 + excess * np.angle(u) - turned
        return np.asarray(self.mass + inner / (pi * self.ratio))

    def moments(self, count: int) -> Floats:
        """Return the moments, from the companion law's free cumulants γ Σ w t^k (a compound free Poisson law)."""
        w, t = self.forward.weights.to_float(), self.forward.atoms
        cumulants = [self.ratio * float(np.sum(w * t**k)) for k in range(1, count + 1)]
        return moments_from_free_cumulants(cumulants) / self.ratio

    def outlier(self, spike: float) -> Outlier:
        """Return the outlier of a population eigenvalue `spike`, with its overlap.

        Args:
            spike: A positive population eigenvalue of vanishing weight.

        Raises:
            BadInput: If the spike is not positive.
        """
        ell = float(spike)
        if not (np.isfinite(ell) and ell > 0):
            raise BadInput(f"spikes: {spike!r}: a positive population eigenvalue is needed")
        if ell in self.forward.exact_weights:
            return Outlier(ell, None, None, 0.0)
        nearest = np.argmin(np.abs(self.forward.atoms - ell), keepdims=True)
        difference = DoubleDouble(np.array([ell])) - self.forward.atoms[nearest]
        from_zero = bool(ell < 0.5 * self.forward.atoms[0])
        points = Points(
            np.array([-1]) if from_zero else nearest, DoubleDouble(np.array([ell])) if from_zero else difference
        )
        rest, rest_error = self.forward.phi_minus_one(points)
        place, place_error = self.forward.image(points)
        if abs(rest.hi[0]) <= rest_error[0]:
            sign = precise.sign_of_slope(self.forward, ell)
            if sign <= 0:
                return Outlier(ell, None, None, 0.0)
            raise ToleranceNotMet(f"spike {ell!r} is so near its threshold that its overlap has no correct digit")
        if rest.hi[0] > 0:
            return Outlier(ell, None, None, 0.0)
        location = place.to_float()[0]
        overlap = (-rest * ell / place).to_float()[0]
        error = float(rest_error[0] / abs(rest.hi[0]) + place_error[0] / abs(place.hi[0])) + 2 * EPS
        return Outlier(ell, float(location), float(overlap), error)

    def with_digits(
        self, digits: int, x: ArrayLike = (), spikes: ArrayLike = ()
    ) -> tuple[list[str], list[str], list[tuple[str, str] | None]]:
        """Return edges, densities and outliers to any number of digits, as decimal strings; the doubles are exact.

        Args:
            digits: Significant digits of every number.
            x: Points of the density; "0" off the support.
            spikes: Population eigenvalues; None where subcritical, else (location, squared overlap).

        Raises:
            ToleranceNotMet: If Newton does not reach the digits.
        """
        edges = [in_digits(edge, digits) for edge in precise.edges(self.forward, self.structure, digits)]
        points = finite(x).ravel()
        inside = self.inside(points, self.locate(points))
        roots = self.roots(points)
        densities = []
        for k in range(points.size):
            anchor = Fraction(float(roots.anchor.hi[k])) + Fraction(float(roots.anchor.lo[k]))
            start = complex(roots.h[k])
            value = precise.density(self.forward, float(points[k]), start, anchor, digits) if inside[k] else None
            densities.append("0" if value is None else in_digits(value, digits))
        outliers: list[tuple[str, str] | None] = []
        for spike in np.ravel(spikes).tolist():
            if self.outlier(spike).location is None:
                outliers.append(None)
            else:
                location, overlap = precise.outlier(self.forward, spike, digits)
                outliers.append((in_digits(location, digits), in_digits(overlap, digits)))
        return edges, densities, outliers


def _real(x: Floats) -> Target:
    return Target(DoubleDouble(x), np.zeros(x.shape))


def count_below(x: Floats, marks: DoubleDouble) -> Indices:
    """Return how many of the ascending marks lie strictly below each x."""
    count = np.searchsorted(marks.hi, x, side="left")
    for mark in marks.hi[marks.lo < 0].tolist():
        count += x == mark
    return np.asarray(count)


def finite(x: ArrayLike) -> Floats:
    """Return x as an array, refusing what is not finite."""
    points = np.asarray(x, float)
    if not np.isfinite(points).all():
        raise BadInput("x: every point must be a finite number")
    return points


def moments_from_free_cumulants(cumulants: list[float]) -> Floats:
    """Return the moments of the law with the given free cumulants κ_1, ..., κ_n.

    With M(s) = 1 + Σ m_k s^k, M = 1 + Σ κ_k (s M)^k (Nica and Speicher, lecture 10): m_k needs only lower
    ones.
    """
    n = len(cumulants)
    series = np.zeros(n + 1)
    series[0] = 1.0
    for k in range(1, n + 1):
        power, total = np.zeros(n + 1), 0.0
        power[0] = 1.0
        for j in range(1, k + 1):
            power = np.convolve(power, series)[: n + 1]
            total += cumulants[j - 1] * power[k - j]
        series[k] = total
    return series[1:]
