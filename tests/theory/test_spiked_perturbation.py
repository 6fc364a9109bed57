"""What theory/spiked_perturbation.py derives, against the exact spectrum of the relu kernel."""

import pytest
import sympy as sp

from rmtfl.kernel.isotropic import isotropic_eigenvalues
from rmtfl.kernel.published import first_order
from rmtfl.kernel.spectrum import SpikedKernel, spectrum
from rmtfl.links import parse
from theory.spiked_perturbation import (
    A,
    B,
    absolute_moment,
    constant_eigenvalue,
    d,
    mixing,
    published_mixing,
    quadratic_ratio,
    raised,
)


def test_isotropic_eigenvalues():
    assert quadratic_ratio() == 1 / (d + 1)
    assert all(
        raised(p).subs(d, 7) == sp.gammasimp((absolute_moment(p + 2) / absolute_moment(p)).subs(d, 7))
        for p in (0, 1, 2)
    )
    for dimension in (5, 30):
        kernel = SpikedKernel(parse("relu(x)"), dimension, 1.0, 0.0)
        zero, two = (isotropic_eigenvalues(kernel, degree, 1)[0] for degree in (0, 2))
        assert zero == pytest.approx(float(constant_eigenvalue().subs(d, dimension).evalf()), rel=1e-10)
        assert two == pytest.approx(zero / (dimension + 1) ** 2, rel=1e-8)


def test_mixing_is_the_published_one_times_what_its_limit_leaves_out():
    ratio = 2 * sp.pi * constant_eigenvalue() * (d + 2) / (d + 1)
    for dimension in (5, 30):
        left = (mixing() / published_mixing() - ratio).subs(d, dimension)
        assert abs(complex(left.evalf(30))) < 1e-20
        at = {d: dimension, A: 1.3, B: 1e-9}
        assert first_order(dimension, 1.3, 1e-9).tau == pytest.approx(
            float(published_mixing().subs(at).evalf()), rel=1e-6
        )
    square = ratio.subs(d, sp.Float(10**6, 40)) ** 2
    assert float(((square - 1) * 10**6).evalf(30)) == pytest.approx(3 + 1.5e-6, abs=1e-8)  # 1 + 3/d + 3/(2d²)


@pytest.mark.parametrize("dimension", [5])
def test_mixing_of_the_exact_top_eigenfunction(dimension):
    """The share of Y₂ in the top eigenfunction over B², as B → 0: two halvings take the next two orders out."""
    shares = []
    for spike in (0.02 * dimension, 0.01 * dimension, 0.005 * dimension):
        found = spectrum(SpikedKernel(parse("relu(x)"), dimension, 1.2, spike), (0,), 3, 1e-11)
        shares.append(found.mixing[0, 2] / spike**2)
    exact = float((mixing() / B).subs({d: dimension, A: sp.Rational(6, 5)}).evalf()) ** 2
    assert (8 * shares[2] - 6 * shares[1] + shares[0]) / 3 == pytest.approx(exact, rel=1e-4)
