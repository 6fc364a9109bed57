"""The limit: the finite width tends to it, what vanishes says why, digits agree with doubles."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.weights import predict
from rmtfl.weights.finite_width import finite_rank
from rmtfl.weights.learning import information_exponent
from rmtfl.weights.limit import leading_order, limit
from tests.weights.setups import setup

FAR = 10**12


@pytest.mark.parametrize("target", ["tanh(x)", "tanh(x + 1/2) + x**2/4"])
@pytest.mark.parametrize("batches", ["reused", "independent"])
@pytest.mark.parametrize("alpha", [("3/10", "2/5"), ("3/10", "3/10"), ("3/10", "1/5")])
def test_the_finite_width_tends_to_the_leading_order(batches, alpha, target):
    """K = 2, 1, 1 with the joined vector for k = 0; a large second scale, so that all are among the strengths kept."""
    problem = setup(target=target, batches=batches, alpha=alpha, width=FAR, scale=("1/2", 100))
    found, leading = finite_rank(problem, 1e-3), leading_order(problem)
    count = 3 if alpha[1] == "2/5" else 2
    assert leading.strengths.size == count
    np.testing.assert_allclose(found.strengths[:count], leading.strengths, rtol=0.02)
    np.testing.assert_allclose(found.overlaps[:count], leading.overlaps, rtol=0.04, atol=1e-12)


def test_the_rate_of_the_approach():
    """The distance shrinks like s1 = N^(α - 1/2), or faster where the first order cancels."""
    distances = []
    for width in (10**8, 10**10, 10**12):
        problem = setup(width=width, alpha=("3/10", "3/10"))
        distances.append(abs(finite_rank(problem, 1e-8).strengths[0] / leading_order(problem).strengths[0] - 1))
    rates = np.diff(np.log(distances)) / np.log(100)
    assert np.all(rates < -0.18)


@pytest.mark.parametrize("batches", ["reused", "independent"])
def test_without_an_order_zero_later_orders_are_not_orthogonal_to_it(batches):
    """E σ' = 0: the left vector ā carries nothing, so that all of ā³ counts; with the correlation loss, at O(s₁²)."""
    links = {"activation": "He2(x) + He3(x)/2", "target": "tanh(x + 1/2)"}
    problem = setup(**links, batches=batches, loss="correlation", alpha=("3/10", "2/5"), width=FAR, scale=("1/2", 100))
    found, leading = finite_rank(problem, 1e-3).strengths, leading_order(problem).strengths
    np.testing.assert_allclose(found[:2], leading, rtol=1e-3)
    digits = limit(setup(**links, batches=batches, alpha=("3/10", "2/5"), width="limit", scale=("1/2", 100), digits=20))
    sizes = [float(spike.constant) * FAR ** float(spike.exponent) for spike in digits.spikes if spike.vanishes is None]
    assert sizes == pytest.approx(leading.tolist())  # with independent batches V₁ and V₂ are parallel: one spike


def test_a_kinked_activation_without_an_order_zero():
    problem = setup(
        "abs(x) + He3(x)/3", "tanh(x)", loss="correlation", width=FAR, alpha=("3/10", "2/5"), scale=("1/2", 100)
    )
    found, leading = finite_rank(problem, 1e-1).strengths, leading_order(problem).strengths
    np.testing.assert_allclose(found[:3], leading[:3], rtol=0.05)


def test_an_even_kinked_activation_has_no_order_on_a_reused_batch():
    assert all(reasons(activation="abs(x)", target="relu(x)", alpha=("3/10", "2/5")))


def test_kinked_blocks_are_what_the_finite_width_tends_to():
    problem = setup("relu(x)", width=FAR, alpha=("3/10", "2/5"), scale=("1/2", 6))
    found, leading = finite_rank(problem, 1e-5).strengths, leading_order(problem).strengths
    np.testing.assert_allclose(found[:3], leading[:3], rtol=0.02)


def reasons(**changes):
    return [spike.vanishes for spike in limit(setup(width="limit", **changes)).spikes]


def test_odd_activations_kill_odd_orders():
    first, second, third = reasons(activation="tanh(x)", batches="independent", alpha=("3/10", "2/5"))
    assert first is None and third is None
    assert "E[sigma^(2)" in second and "odd" in second


@pytest.mark.parametrize("batches", ["reused", "independent"])
def test_orders_that_vanish_up_to_rounding_leave_the_others_alone(batches):
    # sigmoid(x) = 1/2 + tanh(x/2)/2: of the two, only the odd one's even derivatives vanish to the last bit.
    changes = {"target": "x + x**2/2", "batches": batches, "alpha": ("2/5", "2/5"), "width": "limit"}
    found, expected = (limit(setup(activation=a, **changes)).spikes for a in ("sigmoid(x)", "tanh(x/2)/2"))
    for name in ("constant", "kappa", "alignment"):
        np.testing.assert_allclose(
            [getattr(spike, name) for spike in found], [getattr(spike, name) for spike in expected], rtol=1e-9
        )
    assert max(spike.error for spike in found) < 1e-10


def test_signs_leave_two_left_directions():
    found = reasons(second_layer="rademacher", alpha=("3/10", "2/5"))
    assert found[:2] == [None, None] and "+1 and -1" in found[2]


def test_without_a_mean_slope_the_first_vanishes():
    assert "mu_1" in reasons(activation="He2(x)", batches="independent")[0]


def test_polynomials_run_out_of_derivatives():
    found = reasons(activation="x", batches="independent", alpha=("3/10", "2/5"))
    assert found[0] is None
    assert found[1:] == ["E[sigma^(2) zeta^1] is 0 (an odd activation kills odd k)", "E[sigma^(3) zeta^2] is 0"]


@pytest.mark.parametrize(
    ("target", "order"),
    [("tanh(x)", 1), ("He2(x)", 2), ("He3(x)", 3), ("x**2 + x", 1), ("abs(x)", 2), ("He2(x) + He3(x)", 2), ("1", None)],
)
def test_information_exponent(target, order):
    assert information_exponent(setup(target=target, width="limit")) == order


@pytest.mark.parametrize(
    ("activation", "target", "independent", "reused"),
    [
        ("tanh(x + 7/10)", "tanh(x)", 0, 0),
        ("tanh(x + 7/10)", "He3(x)", None, 2),
        ("tanh(x + 7/10)", "He2(x) + He3(x)", None, 1),
        ("tanh(x + 7/10)", "He2(x)", None, None),
        ("tanh(x + 7/10)", "cos(x)", None, None),
    ],
)
def test_what_is_learned(activation, target, independent, reused):
    found = limit(setup(activation, target, width="limit", alpha=("2/5", "2/5"))).learning
    assert found["independent"]["smallest_k"] == independent
    assert found["reused"]["smallest_k"] == reused
    assert found["reused"]["learned_here"] == (reused is not None)


def test_an_odd_activation_learns_nothing_at_the_first_order():
    found = limit(setup("tanh(x)", "He2(x) + He3(x)", width="limit", alpha=("2/5", "2/5"))).learning
    assert abs(found["reused"]["kappa"][1]) < 1e-12
    assert found["reused"]["smallest_k"] >= 2


@pytest.mark.parametrize("batches", ["reused", "independent"])
def test_fifty_digits_against_doubles(batches):
    changes = {"batches": batches, "width": "limit", "alpha": ("3/10", "2/5"), "noise": "3/10"}
    doubles, digits = limit(setup(**changes)), limit(setup(**changes, digits=50))
    assert len(doubles.spikes) == len(digits.spikes) == 3
    for double, precise in zip(doubles.spikes, digits.spikes, strict=True):
        assert isinstance(precise.constant, str) and isinstance(precise.error, str)
        assert len(precise.constant.replace(".", "").lstrip("0")) == 50
        with mpmath.workdps(60):
            assert abs(mpmath.mpf(precise.constant) - double.constant) <= double.error + mpmath.mpf(10) ** -45
            assert mpmath.mpf(precise.error) < mpmath.mpf(10) ** -49 * mpmath.mpf(precise.constant)


def test_polynomials_are_exact():
    """σ = x + x²/2: μ₁ = 1, E σ'' = 1; one batch a step, ā Gaussian: the constant of k = 1 by hand, φ = ψ = 1."""
    found = limit(setup("x + x**2/2", "x", width="limit", batches="independent", scale=(1, 1)))
    # c1 = 1, τ² = 2, c0 = 0, H0 = y = z, H1 = y G: V0 and b share the target only.
    # joined: b + V0, of squared norm 2 + 2 + 2⟨V0, b⟩ with ⟨V0, b⟩ = E[G y] = 1: 6.
    assert found.spikes[0].constant == pytest.approx(np.sqrt(6), rel=1e-12)
    # V1 = X^T (z G)/n: v_H = 0, squared norm E[z² G²] = 3 + 1 = 4, orthogonal to the joined; left E ā⁴ - 0 = 3.
    assert found.spikes[1].constant == pytest.approx(np.sqrt(3 * 4) / 1, rel=1e-12)


def test_finite_widths_and_kinks_have_the_digits_of_doubles():
    with pytest.raises(ToleranceNotMet, match=r"theory\.digits"):
        predict(setup(digits=50))
    with pytest.raises(ToleranceNotMet, match=r"theory\.digits"):
        predict(setup("relu(x)", width="limit", digits=50))


def test_exponents_next_to_one_half_are_answered():
    near = ("4999/10000", "4999/10000")
    assert predict(setup(alpha=near, scale=("1/1000", "1/10"), batches="independent")).threshold == 4999
    with pytest.raises(BadInput, match=r"training\.alpha.* 5000 spikes"):
        predict(setup(alpha=near, width="limit"))


def test_the_left_vector_of_an_order_is_the_next_power():
    found = limit(setup(alpha=("3/10", "2/5"), width="limit")).spikes
    assert [(spike.k, spike.left) for spike in found] == [(0, 1), (1, 2), (2, 3)]
