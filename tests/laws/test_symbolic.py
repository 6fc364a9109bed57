"""The algebraic equation and its discriminant against the numeric law."""

import numpy as np
import pytest
import sympy as sp

from rmtfl.laws import symbolic
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur
from tests.problems import REFERENCE


@pytest.mark.parametrize("problem", REFERENCE, ids=lambda r: r.slug)
def test_the_discriminant_holds_the_edges(problem):
    law = GeneralizedMarchenkoPastur(problem.ratio, problem.atoms, problem.weights)
    roots = np.array([float(r) for r in symbolic.edge_candidates(problem.ratio, problem.atoms, problem.weights)])
    for edge in law.edges:
        assert np.abs(roots / edge - 1).min() < 4e-16


def test_the_transform_solves_the_equation():
    law = GeneralizedMarchenkoPastur(0.4, [1, 3, 7], [0.25, 0.5, 0.25])
    poly = symbolic.equation(0.4, [1, 3, 7], [0.25, 0.5, 0.25])
    assert sp.Poly(poly.as_expr(), symbolic.M).degree() == 4
    evaluate = sp.lambdify((symbolic.M, symbolic.Z), poly.as_expr())
    slope = sp.lambdify((symbolic.M, symbolic.Z), sp.diff(poly.as_expr(), symbolic.M))
    for z in (0.5 + 0.2j, 4.0 + 0j, 30.0 + 0j):
        m = complex(law.companion_stieltjes(z))
        assert abs(evaluate(m, z) / slope(m, z)) < 1e-13 * abs(m)


def test_marchenko_pastur_with_symbols():
    gamma, t = sp.symbols("gamma t", positive=True)
    found = symbolic.discriminant(gamma, [t], [1]).as_expr()
    # (z - t (1 + γ))² - 4 γ t², up to a factor.
    expected = (symbolic.Z - t * (1 + gamma)) ** 2 - 4 * gamma * t**2
    assert sp.simplify(found / expected).free_symbols <= {gamma, t}
