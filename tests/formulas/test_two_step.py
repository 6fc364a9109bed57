"""Exact constants, Gram matrices and overlaps against the numeric ones, on random polynomial links."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

from rmtfl.formulas import Inputs, formula
from rmtfl.formulas.two_step import CASES, alpha1, alpha2, e1, e2, order, phi, psi, theta
from rmtfl.outliers import RigidBulk
from rmtfl.weights import threshold
from rmtfl.weights.leading import terms
from rmtfl.weights.learning import kappas
from rmtfl.weights.limit import limit
from rmtfl.weights.moments import Moments
from rmtfl.weights.statistics import statistics
from tests.weights.setups import setup
from theory import two_step as derived
from theory.gaussian_calculus import h

EXPONENTS = {CASES[0]: ("7/20", "3/10"), CASES[1]: ("3/10", "3/10"), CASES[2]: ("3/10", "2/5")}


def random_inputs(seed):
    """Links, noise, batches, second layer and ratio, all random; E σ' = 0 in one out of three."""
    rng = np.random.default_rng(seed)

    def link(degree):
        return " + ".join(f"{c}/4*x**{k}" for k, c in enumerate(rng.integers(-4, 5, degree + 1)) if c) + " + x/8"

    chosen = {
        "activation": "He3(x)/2 - He2(x)/4" if seed % 3 == 2 else link(3),
        "target": link(2),
        "noise": f"{rng.integers(0, 4)}/5",
        "batches": str(rng.choice(["reused", "independent"])),
        "second_layer": str(rng.choice(["gaussian", "rademacher", "uniform"])),
    }
    return chosen, Fraction(int(rng.integers(2, 9)), 4)


def same_setup(chosen, ratio, alpha=("3/10", "2/5"), scale=("1/2", "3")):
    return setup(**chosen, alpha=alpha, scale=scale, width="limit", ratios=(1, str(ratio)))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("case", CASES)
def test_constants(seed, case):
    chosen, ratio = random_inputs(seed)
    problem = same_setup(chosen, ratio, EXPONENTS[case])
    exact = formula("two-step.constants", Inputs(**chosen, orders=3)).case(case)
    values = {phi: sp.Rational(1, 1) / sp.Rational(str(ratio)), e1: sp.Rational(1, 2), e2: 3}
    for spike in limit(problem).spikes:
        constant = float(exact[f"theta_{spike.k}"].subs(values))
        assert constant == pytest.approx(spike.constant, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_gram_matrices(seed):
    chosen, ratio = random_inputs(seed + 20)
    problem = same_setup(chosen, ratio)
    found = formula("two-step.gram", Inputs(**chosen, orders=3))
    right = found["B"].subs(phi, 1 / sp.Rational(str(ratio)))
    numeric = terms(Moments(problem), 3, chosen["batches"] == "reused", (0.0, 1.0))
    for k, term in enumerate(numeric):
        assert term.norm == pytest.approx(float(right[k, k]), rel=1e-9, abs=1e-12)
        assert term.kappa == pytest.approx(float(found["v_beta"][k].subs(phi, 1 / sp.Rational(str(ratio)))), rel=1e-9)


@pytest.mark.parametrize("reused", [True, False])
def test_gram_matrices_are_those_of_the_derivation(reused):
    """The same expressions in φ, by theory/two_step.py: two codes and no number in common."""
    model = derived.Model(h + (h**2 - 1) / 3, h + h**2 / 2, derived.phi, sp.Rational(1, 2), reused)
    batches = "reused" if reused else "independent"
    found = formula("two-step.gram", Inputs("x + He2(x)/3", "x + x**2/2", "1/2", batches=batches))
    assert sp.simplify(model.right_gram(2, (0, 1)).subs(derived.phi, phi) - found["B"]) == sp.zeros(2, 2)
    for k in range(2):
        assert sp.expand(model.term(k).subs(derived.phi, phi) - found[f"H_{k}"]) == 0
        with_b = model.product_with_direction(model.term(k)).subs(derived.phi, phi)
        assert sp.simplify(with_b - found["v_b"][k]) == 0


@pytest.mark.parametrize("seed", range(3))
def test_preactivation(seed):
    chosen, ratio = random_inputs(seed + 40)
    stats = statistics(same_setup(chosen, ratio))
    found = formula("two-step.preactivation", Inputs(**chosen))
    values = {phi: 1 / sp.Rational(str(ratio))}
    expected = {
        "mu_1": stats.mu1,
        "mu_2": stats.mu2,
        "v_1": stats.v1,
        "c_0": stats.c0,
        "c_1": stats.c1,
        "m_2": stats.m2,
        "tau2": stats.tau**2,
        "xi2": stats.specific**2,
    }
    for name, value in expected.items():
        assert float(found[name].subs(values)) == pytest.approx(value, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("pair", [("3/10", "2/5"), ("7/20", "9/20"), ("1/10", "1/10"), ("2/5", "1/5")])
def test_threshold(pair):
    found, counted = formula("two-step.threshold"), threshold(*(Fraction(a) for a in pair))
    values = dict(zip((alpha1, alpha2), map(sp.Rational, pair), strict=True))
    assert found["K"].subs(values) == counted.threshold
    assert found["exponent_0"].subs(values) == sp.Rational(str(counted.exponent(0)))
    for k in range(1, counted.generic_count):
        assert found["exponent_k"].subs({**values, order: k}) == sp.Rational(str(counted.exponent(k)))


def test_orders_that_vanish_are_named():
    assert "k = 2 vanishes" in formula("two-step.threshold", Inputs("x + He2(x)", "x", orders=3)).remarks[-1]
    found = formula("two-step.constants", Inputs("x + He2(x) + He3(x)", "x", second_layer="rademacher", orders=3))
    assert found["theta_2"] == 0 and "+1 and -1" in found.remarks[0]
    found = formula("two-step.constants", Inputs("He2(x) + He3(x)", "1", orders=3))  # y = 1: V₁ and V₂ are parallel
    assert found["theta_2"] == 0 and "span" in found.remarks[1]


@pytest.mark.parametrize(("activation", "target"), [("x + He2(x)/3", "He3(x)"), ("x + He3(x)/5", "He2(x) + He3(x)")])
@pytest.mark.parametrize("batches", ["reused", "independent"])
def test_learning(activation, target, batches):
    found = formula("two-step.learning", Inputs(activation, target, "1/3", batches=batches, orders=3))
    numeric = kappas(setup(activation, target, noise="1/3", width="limit"), batches, 3)
    exact = [float(found[f"kappa_{k}"].subs(phi, 1)) for k in range(3)]
    assert exact == pytest.approx(numeric, rel=1e-9, abs=1e-9)


def test_outliers():
    found = formula("two-step.outliers")
    rng = np.random.default_rng(3)
    for ratio in rng.uniform(0.2, 4, 4):
        bulk = RigidBulk(float(ratio))
        strength = bulk.threshold * rng.uniform(1.05, 4)
        expected = {
            "threshold": bulk.threshold,
            "location": bulk.location(strength),
            "left": bulk.left_overlap(strength),
            "right": bulk.right_overlap(strength),
        }
        for name, value in expected.items():
            assert float(found[name].subs({psi: ratio, theta: strength})) == pytest.approx(value)
