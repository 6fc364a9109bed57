"""The derivation's identities hold, and the code uses the same forward map."""

import numpy as np
import pytest
import sympy as sp

from rmtfl.laws.doubledouble import DoubleDouble
from rmtfl.laws.forward import ForwardMap, Points
from theory import generalized_marchenko_pastur as theory


@pytest.mark.parametrize("name", ["(1)", "(2)", "(3)", "(4) Φ", "(4) z", "(5)", "(6)"])
def test_identities(name):
    expression = theory.identities()[name]
    names = sorted(expression.free_symbols, key=str)
    # A rational function of these degrees that vanishes at random rational points vanishes (Schwartz-Zippel).
    rng = np.random.default_rng(np.random.SeedSequence(17))
    for _ in range(3):
        point = {symbol: sp.Rational(int(rng.integers(1, 10**6)), 99991) for symbol in names}
        value = expression.subs(point)
        assert sp.simplify(value) == 0


def test_the_code_uses_this_map():
    forward = ForwardMap(0.3, [1.0, 2.0, 5.0], [0.25, 0.25, 0.5])
    values = {theory.GAMMA: 0.3, **dict(zip(theory.ATOMS, [1, 2, 5], strict=True))}
    values |= dict(zip(theory.WEIGHTS, [0.25, 0.25, 0.5], strict=True))
    points = Points(np.array([1, -1]), DoubleDouble(np.array([0.5, -0.25])))
    for u, z, rest in zip((2.5, -0.25), forward.image(points)[0].hi, forward.phi_minus_one(points)[0].hi, strict=True):
        assert z == pytest.approx(float(theory.forward(theory.U).subs({theory.U: u, **values})), rel=1e-14)
        assert rest == pytest.approx(float(theory.phi(theory.U).subs({theory.U: u, **values})) - 1, rel=1e-14)
