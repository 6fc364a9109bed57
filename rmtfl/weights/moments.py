"""The moments that the leading order rests on, in any number context, each with its error.

Two families: E[σ^(k)(h) σ'(h)^j h^i] of the activation, E[z^i y^p] of the label. A kinked activation has no σ^(k),
k ≥ 2, as a function; integrating by parts, E[σ^(k) p] = E[σ' D^{k−1} p] with D p = h p − p' for a polynomial p, and
with one self factor E[σ'' σ' h^i] = ½ E[σ'² D h^i]. Both hold for smooth activations too, where they are tested.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import comb, factorial
from typing import Any

import mpmath
import sympy as sp

from rmtfl.gaussian import Value, expectation
from rmtfl.links import Link, parse
from rmtfl.pieces import X
from rmtfl.setup import Setup

Key = tuple[str, int, int, int]


@dataclass
class Moments:
    """A table of moments, filled as they are asked for.

    Attributes:
        setup: whose activation and label.
        digits: None for doubles, else mpmath numbers of that many correct digits.
        shifted: a key whose moment is given shifted by its error, to see what that does to a result.
    """

    setup: Setup
    digits: int | None = None
    shifted: Key | None = None
    values: dict[Key, Value] = field(default_factory=dict)

    def number(self, value: Any) -> Any:
        """An exact rational in this number context."""
        fraction = sp.Rational(value)
        if self.digits is None:
            return float(fraction)
        return mpmath.mpf(int(fraction.p)) / int(fraction.q)

    def activation(self, order: int, self_power: int, power: int) -> Any:
        """E[σ^(order)(h) σ'(h)^self_power h^power]."""
        return self._get(("activation", order, self_power, power))

    def label(self, power: int, y_power: int) -> Any:
        """E[z^power y^y_power], noise included."""
        noise = self.setup.data.noise
        total = self.number(0)
        for even in range(0, y_power + 1, 2):
            if even and noise == 0:
                break
            gaussian = factorial(even) // (2 ** (even // 2) * factorial(even // 2))
            weight = self.number(sp.Rational(str(noise)) ** even * gaussian * comb(y_power, even))
            total += weight * self._get(("target", 0, y_power - even, power))
        return total

    def _get(self, key: Key) -> Any:
        if key not in self.values:
            self.values[key] = self._compute(key)
        found = self.values[key]
        return found.value + found.error if key == self.shifted else found.value

    def _is_odd(self, key: Key) -> bool:
        """Whether the integrand is odd: an exact zero, which later divisions must be able to tell from rounding."""
        family, order, link_power, power = key
        if family == "target":
            link, factors = self.setup.data.target, link_power
        else:
            link, factors = self.setup.network.activation, 1 + link_power
            power += order + link_power
        return link.parity != 0 and link.parity**factors * (-1) ** power == -1

    def _compute(self, key: Key) -> Value:
        family, order, link_power, power = key
        if self._is_odd(key):
            return Value(self.number(0), self.number(0))
        if family == "target":
            return expectation(*[self.setup.data.target] * link_power, *_monomial(power), digits=self.digits)
        activation = self.setup.network.activation
        slope = activation.derivative()
        if not activation.kinks:
            factors = [activation.derivative(order), *[slope] * link_power]
            return expectation(*factors, *_monomial(power), digits=self.digits)
        if order == 1:
            return expectation(*[slope] * (link_power + 1), *_monomial(power), digits=self.digits)
        if link_power == 0:
            return expectation(slope, _by_parts(power, order - 1), digits=self.digits)
        if order == 2 and link_power == 1:
            twice = expectation(slope, slope, _by_parts(power, 1), digits=self.digits)
            return Value(twice.value / 2, twice.error / 2)
        raise ValueError("a kinked activation has no such moment")


def _monomial(power: int) -> list[Link]:
    return [parse(f"x**{power}")] if power else []


def _by_parts(power: int, times: int) -> Link:
    polynomial = X**power
    for _ in range(times):
        polynomial = sp.expand(X * polynomial - sp.diff(polynomial, X))
    return parse(str(polynomial))
