"""Closed forms of a complex pair against roots that are known, and against the equation."""

import numpy as np
import pytest

from rmtfl.laws.closed import near_edge, pair, polynomials

RNG = np.random.default_rng(np.random.SeedSequence(20260517))


@pytest.mark.parametrize("degree", [2, 3, 4])
def test_the_pair_of_a_polynomial(degree):
    count = 400
    z = RNG.normal(size=count) + 1j * np.abs(RNG.normal(size=count)) + 0.05j
    real = RNG.normal(size=(count, degree - 2))
    rows = [np.poly([a, a.conjugate(), *b]).real[:0:-1] for a, b in zip(z, real, strict=True)]
    error = np.abs(pair(np.array(rows).T) - z)
    # Starting points: nearly all to rounding, the worst where a real root comes close to the pair or to 0.
    assert np.median(error) < 1e-15 and error.max() < 1e-6


@pytest.mark.parametrize("atoms", [1, 2, 3])
def test_the_polynomial_is_the_equation_times_its_denominators(atoms):
    d, b = RNG.normal(size=(atoms, 5)), RNG.uniform(0.1, 1, (atoms, 5))
    slope = 1 - b.sum(0)
    own, factor = polynomials(slope, d, b)
    a0, h = 0.37, 0.3 - 1.1j
    expected = (a0 + slope * h + h**2 * (b / (d + h)).sum(0)) * np.prod(d + h, axis=0)
    powers = h ** np.arange(atoms + 1)
    np.testing.assert_allclose(powers @ (own + a0 * factor) + h ** (atoms + 1), expected, rtol=1e-13)


def test_two_terms_next_to_an_edge():
    # An edge: Σ b = 1 and Σ b/d > 0; the equation is then a0 + h² Σ b/(d + h) = 0.
    d, b = np.array([[0.4], [-3.0], [2.0]]), np.array([[0.5], [0.2], [0.3]])
    for a0 in (1e-8, 1e-10):
        h, share = near_edge(np.array([a0]), d, b)
        residual = a0 + h**2 * (b / (d + h)).sum(0)
        assert np.abs(residual / a0) < 10 * a0 / 0.4**2
        assert share == pytest.approx(a0 / (b / d).sum() / 0.4**2)
