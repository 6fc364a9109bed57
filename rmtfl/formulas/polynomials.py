"""Gaussian means of polynomials, exact over the rationals."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import sympy as sp
from sympy.polys.rings import PolyElement, ring

from rmtfl.errors import BadInput
from rmtfl.links import Link
from rmtfl.pieces import X

MAX_DEGREE = 8  # of a link: with four orders that is E y^10 of degree 80, and some seconds

RING, PHI, Y, G, H, XI = ring("phi, y, G, h, xi", sp.QQ)
PLACES = {generator: place for place, generator in enumerate(RING.gens)}


def polynomial(link: Link, key: str) -> sp.Poly:
    """A link as a polynomial in `X` with rational coefficients.

    Raises:
        BadInput: if it is none, or of a degree above `MAX_DEGREE`.
    """
    accepted = f"a polynomial in x with rational coefficients, of degree at most {MAX_DEGREE}, such as 'x + He2(x)/3'"
    if not link.is_polynomial:
        raise BadInput(f"{key}: value {link.text!r}: symbolic answers need {accepted}")
    found = sp.Poly(link.pieces[0], X, domain="QQ")
    if found.degree() > MAX_DEGREE:
        raise BadInput(f"{key}: value {link.text!r}: is of degree {found.degree()}; expected {accepted}")
    return found


def in_ring(found: sp.Poly) -> PolyElement:
    """The polynomial as an element of the ring, in h."""
    return RING.from_dict({_powers(h=power): sp.QQ(c.p, c.q) for (power,), c in found.terms()})


def gaussian_moment(power: int) -> int:
    """E h^power for h ~ N(0, 1)."""
    return 0 if power % 2 else int(sp.factorial2(power - 1))


def mean(found: PolyElement, variances: Mapping[PolyElement, Any]) -> PolyElement:
    """The mean over independent centred Gaussian variables of the given variances; the rest stays."""
    total = RING.zero
    for powers, coefficient in found.terms():
        rest, factor = list(powers), RING.one
        for variable, variance in variances.items():
            power, rest[PLACES[variable]] = rest[PLACES[variable]], 0
            if power:
                factor = factor * gaussian_moment(power) * variance ** (power // 2)
        total += RING.from_dict({tuple(rest): coefficient}) * factor
    return total


@lru_cache(maxsize=1024)
def label_moment(target: sp.Poly, noise: sp.Rational, z_power: int, y_power: int) -> sp.Rational:
    """E[z^i y^p] for y = target(z) + noise · N(0, 1)."""
    total = sp.Integer(0)
    for even in range(0, y_power + 1, 2):
        weight = sp.binomial(y_power, even) * noise**even * gaussian_moment(even)
        powers = target ** (y_power - even) * sp.Poly(X**z_power, X, domain="QQ")
        total += weight * sum(c * gaussian_moment(power) for (power,), c in powers.terms())
    return total


def _powers(**powers: int) -> tuple[int, ...]:
    return tuple(powers.get(str(generator), 0) for generator in RING.gens)
