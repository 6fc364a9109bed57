"""Algebraic edges against certified ones, and contact, which only exact arithmetic can decide."""

import pytest
import sympy as sp

from rmtfl.formulas import Inputs, formula
from rmtfl.formulas.law import gamma, m, z
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur

POPULATIONS = [
    ("1/10", "1,8", "1/2,1/2"),
    ("1/10", "1,3,10", "1/5,2/5,2/5"),
    ("2", "1,3", "1/3,2/3"),
    ("1/2", "1/2,7,9", "1/4,1/2,1/4"),
]


def edges(found):
    return [q.value for q in found.quantities if str(q.symbol).startswith("edge")]


@pytest.mark.parametrize(("ratio", "atoms", "weights"), POPULATIONS)
def test_edges(ratio, atoms, weights):
    found = formula("generalized-marchenko-pastur.edges", Inputs(ratio=ratio, atoms=atoms, weights=weights))
    law = GeneralizedMarchenkoPastur(
        float(sp.Rational(ratio)),
        *([float(sp.Rational(text)) for text in values.split(",")] for values in (atoms, weights)),
    )
    numeric = [edge for interval in law.support for edge in interval]
    assert [float(edge.evalf(30)) for edge in edges(found)] == pytest.approx(numeric, rel=1e-14)
    for edge in edges(found):
        assert any(
            abs(q.value.subs(z, edge.evalf(60))) < 1e-40 for q in found.quantities if str(q.symbol).startswith("M_")
        )


def test_edges_of_marchenko_pastur_are_radicals():
    found = formula("generalized-marchenko-pastur.edges", Inputs(ratio="1/2", atoms="1", weights="1"))
    assert edges(found) == [sp.Rational(3, 2) - sp.sqrt(2), sp.Rational(3, 2) + sp.sqrt(2)]


def test_the_hard_edge():
    found = formula("generalized-marchenko-pastur.edges", Inputs(ratio="1", atoms="1", weights="1"))
    assert edges(found) == [0, 4]


def test_contact_is_one_bulk():
    """Φ = γ Σ w t²/(u − t)² of two atoms is 1 at its minimum for this γ: 1/(Σ (w t²)^{1/3})³ · 3³ at distance 3."""
    atoms, weights = "1,64/8", "64/65,1/65"  # w t² ∝ 1, 1
    minimum = 2 * sp.Rational(64, 65) / sp.Rational(7, 2) ** 2
    close = formula("generalized-marchenko-pastur.edges", Inputs(ratio=str(1 / minimum), atoms=atoms, weights=weights))
    assert len(edges(close)) == 2
    apart = Inputs(ratio=str(1 / minimum - sp.Rational(1, 10**6)), atoms=atoms, weights=weights)
    assert len(edges(formula("generalized-marchenko-pastur.edges", apart))) == 4


def test_the_equation_with_a_symbolic_ratio():
    inputs = Inputs(atoms="1,3", weights="1/4,3/4")
    found = formula("generalized-marchenko-pastur.equation", inputs)
    law = GeneralizedMarchenkoPastur(0.25, [1, 3], [0.25, 0.75])
    for at in (0.5 + 0.2j, 4.0 + 0.1j, 30.0 + 0j):
        values = {gamma: sp.Rational(1, 4), z: at, m: complex(law.companion_stieltjes(at))}
        assert abs(complex(found["P"].subs(values))) < 1e-12
    D = found["D"].subs(gamma, sp.Rational(1, 4))
    for interval in law.support:
        for edge in interval:
            assert abs(D.subs(z, edge) / sp.diff(D, z).subs(z, edge)) < 1e-14 * edge
