"""A and B as theory/spiked_covariance.py derives them, against numbers and against the symbolic answer."""

import numpy as np
import pytest
import sympy as sp

from rmtfl.formulas import Inputs, formula
from rmtfl.kernel.covariance import covariance
from rmtfl.links import parse
from rmtfl.pieces import X
from rmtfl.setup import Data
from theory.gaussian_calculus import h
from theory.spiked_covariance import Row, d, phi, step


@pytest.mark.parametrize("seed", range(4))
def test_second_moment(seed):
    rng = np.random.default_rng(seed)
    activation, target = (
        sum(sp.Rational(int(c), 4) * h**k for k, c in enumerate(rng.integers(-4, 5, degree + 1))) + h / 8
        for degree in (3, 2)
    )
    noise = sp.Rational(int(rng.integers(0, 4)), 5)
    A, B = Row(activation, target, noise).second_moment()
    texts = [str(sp.expand(f).subs(h, X)) for f in (activation, target)]
    found = formula("spiked-covariance.averaged", Inputs(*texts, str(noise)))
    symbols = {symbol: symbol for symbol in (d, phi, step)}
    assert sp.expand(found["A"].subs(symbols) - A) == 0 and sp.expand(found["B"].subs(symbols) - B) == 0
    numeric = covariance(parse(texts[0]), Data(target=texts[1], noise=str(noise)), 0.7, 60, 90)
    at = {step: sp.Rational(7, 10), d: 60, phi: sp.Rational(60, 90)}
    assert numeric.isotropic == pytest.approx(float(A.subs(at))) and numeric.spike == pytest.approx(float(B.subs(at)))
