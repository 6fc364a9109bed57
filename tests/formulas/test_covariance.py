"""The spiked covariance in symbols against numbers."""

import pytest
import sympy as sp

from rmtfl.formulas import Inputs, formula
from rmtfl.formulas.covariance import dimension, step
from rmtfl.formulas.two_step import phi
from rmtfl.kernel.covariance import conditional, covariance
from rmtfl.links import parse
from rmtfl.setup import Data

LINKS = [("x + He2(x)/3", "x + 3", "0"), ("x**3/5 - x**2 + x", "x**2 - x/2 + 1", "1/2"), ("He2(x)", "x**2", "0")]
AT = {step: sp.Rational(7, 10), dimension: 60, phi: sp.Rational(60, 90)}


@pytest.mark.parametrize(("activation", "target", "noise"), LINKS)
def test_every_form(activation, target, noise):
    found = formula("spiked-covariance.averaged", Inputs(activation, target, noise))
    data = Data(target=target, noise=noise)
    for suffix, form in (("", "derived"), ("_mean", "mean-gradient"), ("_printed", "published")):
        expected = covariance(parse(activation), data, 0.7, 60, 90, form)
        assert float(found[f"A{suffix}"].subs(AT)) == pytest.approx(expected.isotropic, rel=1e-12)
        assert float(found[f"B{suffix}"].subs(AT)) == pytest.approx(expected.spike, rel=1e-12)
    assert float(found["S"]) == pytest.approx(expected.curvature)


@pytest.mark.parametrize(("activation", "target", "noise"), LINKS)
def test_given_the_batch(activation, target, noise):
    found = formula("spiked-covariance.batch", Inputs(activation, target, noise))
    expected = conditional(parse(activation), Data(target=target, noise=noise), 0.7, 60, 90)
    for name in ("spike", "overlap", "noise"):
        assert float(found[name].subs(AT)) == pytest.approx(getattr(expected, name), rel=1e-12, abs=1e-15)
