"""What theory/two_step.py derives, against the package on random polynomial links, and its claims in numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

from rmtfl.gaussian import density, rule
from rmtfl.links import parse
from rmtfl.outliers import RigidBulk
from rmtfl.pieces import X
from rmtfl.setup import Setup
from rmtfl.weights import conditional, finite_width, kinked, leading, piecewise_linear, second_layer, threshold
from rmtfl.weights import rows as explicit
from rmtfl.weights.limit import leading_order, learning
from rmtfl.weights.moments import Moments
from rmtfl.weights.statistics import statistics
from theory import two_step
from theory.two_step import G, Kink, Means, Model, h, phi, psi, theta, w, y, z


def setup_of(
    activation="tanh(x + 7/10)",
    target="tanh(x)",
    *,
    width=10**12,
    reused=True,
    loss="squared",
    law="gaussian",
    noise=0,
    alpha=("3/10", "2/5"),
    scale=(2, 6),
    ratios=(1, 1),
):
    return Setup.model_validate(
        {
            "network": {"activation": activation, "second_layer": law},
            "data": {"target": target, "noise": noise},
            "sizes": {"width_ratio": ratios[0], "sample_ratio": ratios[1], "width": width},
            "training": {
                "batches": "reused" if reused else "independent",
                "loss": loss,
                "alpha": list(alpha),
                "scale": list(scale),
            },
        }
    )


def random_model(seed, reused, degree=3):
    """A polynomial model and the setup of the same links, φ = 2/3 or 3/2."""
    rng = np.random.default_rng(seed)

    def polynomial(order):
        return sum(sp.Rational(int(c), 4) * h**k for k, c in enumerate(rng.integers(1, 5, order + 1)) if k)

    activation, target = polynomial(degree), polynomial(2)
    noise, ratio = sp.Rational(int(rng.integers(1, 4)), 5), (sp.Rational(3, 2), sp.Rational(2, 3))[seed % 2]
    model = Model(activation, target, 1 / ratio, noise, reused)
    texts = [str(f.subs(h, X)) for f in (activation, target)]
    return model, setup_of(*texts, width=30_000, reused=reused, noise=str(noise), ratios=("1", str(ratio)))


# ------------------------------------------------------------------------------------------------ preactivation


@pytest.mark.parametrize("seed", [1, 2])
def test_the_first_update_on_a_sample(seed):
    model, setup = random_model(seed, reused=True)
    stats = statistics(setup)
    found = two_step.update_on_a_sample(model.activation, model.target, model.noise)
    assert found.covariance == 0
    assert float(found.shared.coeff(z)) == pytest.approx(stats.mu1 * stats.c1)
    assert float(found.specific.coeff(h)) == pytest.approx(stats.c0 * stats.mu2)
    assert float(found.shared_variance.subs(phi, model.phi)) == pytest.approx((stats.mu1 * stats.perpendicular) ** 2)
    assert float(found.specific_variance.subs(phi, model.phi)) == pytest.approx(stats.specific**2)


@pytest.mark.parametrize(("seed", "reused"), [(1, True), (2, False)])
def test_averages_over_a_neuron_are_the_expansion_summed(seed, reused):
    """σ is a polynomial, so that its expansion in S = s₁ ā ends."""
    model, setup = random_model(seed, reused)
    stats, shift, direction, label = statistics(setup), np.array([-0.3, 0.2]), np.array([-1.1, 0.4]), np.array([0.7])
    if reused:
        found = conditional.reused(setup.network.activation, stats, shift, direction / stats.tau, label, 24, 2)
    else:
        found = conditional.independent(setup.network.activation, stats, shift, direction, 2)
        found = [values[:, :, None] for values in found]
    for function, values in zip((model.activation, model.slope), found, strict=True):
        terms = [sp.lambdify((y, G), model.expanded(function, k)) for k in range(4)]
        expected = [[sum(S**k * term(label[0], g) for k, term in enumerate(terms)) for g in direction] for S in shift]
        np.testing.assert_allclose(values[:, :, 0], expected, rtol=1e-9)


# ------------------------------------------------------------------------------------------------ gram

FIRST, SECOND, PRODUCT = Means(*sp.symbols("z1 G1 y1")), Means(*sp.symbols("z2 G2 y2")), sp.Symbol("P")


@pytest.mark.parametrize("reused", [True, False])
def test_gram_products_are_those_of_the_explicit_vectors(reused):
    gram = two_step.gram(FIRST, SECOND, PRODUCT, reused)
    assert sp.simplify(gram - two_step.explicit_product(FIRST, SECOND, PRODUCT, reused)) == 0


def test_the_response_of_a_reused_batch():
    response = two_step.gram(FIRST, SECOND, PRODUCT, True) - two_step.gram(FIRST, SECOND, PRODUCT, False)
    assert sp.simplify(response - phi * (FIRST.slope * SECOND.y + FIRST.y * SECOND.slope)) == 0
    with_direction = two_step.gram_with_direction(FIRST, True) - two_step.gram_with_direction(FIRST, False)
    assert sp.simplify(with_direction - phi * FIRST.y) == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_the_slope_of_a_function_is_its_mean_derivative(seed):
    model, _ = random_model(seed, reused=True)
    for k in range(3):
        H = model.term(k)
        assert sp.simplify(model.means(H).slope.subs(model.constants) - model.mean(sp.diff(H, G))) == 0


@pytest.mark.parametrize(("seed", "reused"), [(1, True), (2, False)])
def test_rows_of_a_polynomial_network(seed, reused):
    """With the correlation loss V(ā) = Σ_k S^k V_k ends: the Gram products of the rows are known exactly."""
    model, setup = random_model(seed, reused)
    setup = setup.model_copy(update={"training": setup.training.model_copy(update={"loss": "correlation"})})
    nodes, step = np.array([-0.8, 0.5, 1.3]), 0.2
    resolution = explicit.Resolution.at(np.full(explicit.FIELDS, 2))
    found = explicit.build(setup, statistics(setup), step, nodes, np.full(3, 1 / 3), resolution)
    vectors = found.mixing @ found.vectors
    powers = np.vander(step * nodes, 3, increasing=True)
    gram = np.array(model.right_gram(3, (0, 1)), dtype=float)
    np.testing.assert_allclose(vectors @ vectors.T, powers @ gram @ powers.T, rtol=1e-8)
    with_direction = [float(model.product_with_direction(model.term(k))) for k in range(3)]
    np.testing.assert_allclose(vectors @ found.direction, powers @ with_direction, rtol=1e-8)
    np.testing.assert_allclose(vectors[:, 0], powers @ [float(model.kappa(k)) for k in range(3)], rtol=1e-8, atol=1e-8)


# ------------------------------------------------------------------------------------------------ threshold, constants


def test_exponents():
    for alpha in ((Fraction(3, 10), Fraction(2, 5)), (Fraction(7, 20), Fraction(9, 20))):
        found = threshold(*alpha)
        rationals = [sp.Rational(a.numerator, a.denominator) for a in alpha]
        exponents = [two_step.exponent(sp.Integer(k), *rationals) for k in range(found.generic_count + 1)]
        assert [sp.Rational(str(found.exponent(k))) for k in range(1, found.generic_count)] == exponents[1:-1]
        assert exponents[-2] >= 0 > exponents[-1]
        assert found.critical == (exponents[-2] == 0)


def test_strengths_at_separated_scales_are_products_of_residuals():
    for strength, product in two_step.separated_strengths(3):
        assert sp.simplify(strength - product) == 0


@pytest.mark.parametrize(("seed", "reused"), [(1, True), (2, False)])
def test_leading_order_of_a_polynomial_network(seed, reused):
    model, setup = random_model(seed, reused)
    joined = (3 * model.mu1, sp.Integer(2))
    right = model.right_gram(3, joined)
    left = sp.Matrix(3, 3, lambda j, k: two_step.expect(h ** (j + k + 2), h))
    found = leading.terms(Moments(setup), 3, reused, tuple(float(j) for j in joined))
    for k, term in enumerate(found):
        assert term.norm == pytest.approx(float(right[k, k]))
        assert term.right == pytest.approx(float(two_step.residual(right, k)), rel=1e-7)
        assert term.left == pytest.approx(float(two_step.residual(left, k)))
        along = joined[0] * model.constants[two_step.c1] + joined[1] * model.kappa(0) if k == 0 else model.kappa(k)
        assert term.kappa == pytest.approx(float(along))


# ------------------------------------------------------------------------------------------------ resummed


def moments_of(law, count):
    return np.array([[float(second_layer.moment(law, j + k + 2)) for k in range(count)] for j in range(count)])


@pytest.mark.parametrize("law", ["gaussian", "rademacher", "uniform"])
@pytest.mark.parametrize("reused", [True, False])
def test_strengths_at_a_width_of_a_polynomial_network(law, reused):
    """The operator has finite rank: θ² are the eigenvalues of N A B with the powers of s₁ in B."""
    model, _ = random_model(1, reused, degree=2)
    texts = [str(f.subs(h, X)) for f in (model.activation, model.target)]
    setup = setup_of(
        *texts, width=3000, reused=reused, loss="correlation", law=law, noise=str(model.noise), ratios=("1", "2/3")
    )
    first, second = (setup.training.step_size(step, 3000) for step in range(2))
    joined, scales = sp.Float(first / second) * model.mu1, second * np.array([1, first])
    right = np.outer(scales, scales) * np.array(model.right_gram(2, (joined, sp.Integer(1))), dtype=float)
    along = scales * np.array([joined * model.constants[two_step.c1] + model.kappa(0), model.kappa(1)], dtype=float)
    squares, vectors = np.linalg.eig(3000 * moments_of(law, 2) @ right)  # q_j = Σ_k vectors[k, j] r_k, to be normalised
    overlaps = (along @ vectors) ** 2 / np.einsum("kj,kl,lj->j", vectors, right, vectors)
    order = np.argsort(-squares)[: np.sum(squares > finite_width.SMALLEST**2)]
    found = finite_width.finite_rank(setup, 1e-8)
    np.testing.assert_allclose(found.strengths, np.sqrt(squares[order]), rtol=1e-7)
    np.testing.assert_allclose(found.overlaps, overlaps[order], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("links", [("tanh(x + 7/10)", "tanh(x)"), ("sigmoid(2*x + 1)", "erf(x)")])
@pytest.mark.parametrize("reused", [True, False])
@pytest.mark.parametrize(("loss", "power"), [("squared", 1), ("correlation", 2)])
def test_the_leading_order_is_approached_at_the_rate_of_the_first_step(links, reused, loss, power):
    """The residual y − f̄ moves every strength by O(s₁); without it parity in ā leaves O(s₁²)."""
    gaps = []
    widths = (10**8, 10**11, 10**14)
    for width in widths:
        setup = setup_of(*links, width=width, reused=reused, loss=loss)
        found, expected = finite_width.finite_rank(setup, 1e-5).strengths, leading_order(setup).strengths
        gaps.append(found[:3] / expected[:3] - 1)
    assert np.all(np.abs(gaps[1:]) < 0.02)
    rates = np.log(np.abs(gaps[2] / np.array(gaps[1]))) / np.log(widths[2] / widths[1])
    assert np.all(np.abs(rates + 0.2 * power) < 0.2 * power * np.array([0.06, 0.06, 0.15]))


@pytest.mark.parametrize(("seed", "reused"), [(1, True), (2, False)])
def test_the_first_correction_to_the_leading_order(seed, reused):
    """θ₀ falls by the part of its vector that the network has already learned of the labels, at first order in s₁."""
    model, setup = random_model(seed, reused, degree=2)
    setup = setup.model_copy(update={"sizes": setup.sizes.model_copy(update={"width": 10**15})})
    first, second = (setup.training.step_size(step, 10**15) for step in range(2))
    learned = model.mu1 * model.response()
    right = model.right_gram(1, (first * model.mu1, second))[0]
    along = first * model.mu1 * model.product_with_direction(learned) + second * model.product(model.term(0), learned)
    expected = -first * second * float(along / right)
    gap = finite_width.finite_rank(setup, 1e-6).strengths[0] / leading_order(setup).strengths[0] - 1
    assert gap == pytest.approx(expected, rel=0.05)


# ------------------------------------------------------------------------------------------------ outliers


def test_the_finite_rank_determinant_factorises():
    L, R = sp.symbols("L R")
    strengths = sp.symbols("theta1:4", positive=True)
    expected = sp.prod([strength**2 * L * R - 1 for strength in strengths])
    assert sp.expand(two_step.secular_equation(3) ** 2 - expected**2) == 0


def test_outliers_of_the_rigid_bulk():
    derived = two_step.outliers()
    rng = np.random.default_rng(13)
    for ratio in rng.uniform(0.2, 4, 4):
        bulk = RigidBulk(float(ratio))
        strength = bulk.threshold * rng.uniform(1.05, 4)
        at = {psi: ratio, theta: strength}
        assert bulk.threshold == pytest.approx(float(derived.threshold.subs(at)))
        assert bulk.location(strength) == pytest.approx(float(derived.location.subs(at)))
        assert bulk.location_slope(strength) == pytest.approx(float(sp.diff(derived.location, theta).subs(at)))
        assert bulk.right_overlap(strength) == pytest.approx(float(derived.right_overlap.subs(at)))
        assert bulk.right_overlap_slope(strength) == pytest.approx(
            float(sp.diff(derived.right_overlap, theta).subs(at))
        )
        assert bulk.left_overlap(strength) == pytest.approx(float(derived.left_overlap.subs(at)))
        assert bulk.location(bulk.threshold) == pytest.approx(bulk.upper)


# ------------------------------------------------------------------------------------------------ learning

HE2, HE3 = h**2 - 1, h**3 - 3 * h
ODD, GENERIC = h + HE3 / 5, h + HE2 / 3 + HE3 / 5


def kappas(activation, target, reused, count=3):
    return [Model(activation, target, sp.Integer(1), sp.Rational(1, 3), reused).kappa(k) for k in range(count)]


@pytest.mark.parametrize("target", [HE2, HE3, HE2 + HE3])
def test_independent_batches_learn_nothing_beyond_information_exponent_one(target):
    assert kappas(GENERIC, target, reused=False) == [0, 0, 0]


def test_what_a_reused_batch_learns():
    assert [kappa != 0 for kappa in kappas(GENERIC, HE3, True)] == [False, False, True]
    assert [kappa != 0 for kappa in kappas(GENERIC, HE2 + HE3, True)] == [False, True, True]
    assert [kappa != 0 for kappa in kappas(ODD, HE2 + HE3, True)] == [False, False, True]
    assert kappas(GENERIC, HE2, True) == [0, 0, 0]
    assert kappas(GENERIC, HE2 + h**4, True) == [0, 0, 0]


def test_the_highest_power_of_the_label_in_a_term():
    model = Model(GENERIC, HE3, sp.Rational(2, 3), sp.Integer(0), True)
    for k in range(3):
        self_mean = two_step.expect(sp.diff(GENERIC, h, k + 1) * sp.diff(GENERIC, h) ** k, h)
        assert sp.Poly(model.term(k), y).coeff_monomial(y ** (k + 1)) == model.phi**k * self_mean / sp.factorial(k)


@pytest.mark.parametrize(("activation", "target"), [(GENERIC, HE3), (GENERIC, HE2 + HE3), (ODD, HE2 + HE3), (ODD, HE2)])
def test_the_table_of_what_is_learned(activation, target):
    texts = [str(sp.expand(f).subs(h, X)) for f in (activation, target)]
    setup = setup_of(*texts, width="limit", noise="1/3", alpha=("3/10", "2/5"))
    found = learning(setup, threshold(*setup.training.alpha))
    for batches, reused in (("independent", False), ("reused", True)):
        expected = [float(kappa) for kappa in kappas(sp.expand(activation), sp.expand(target), reused)]
        assert found[batches]["kappa"] == pytest.approx(expected, abs=1e-9)
        assert found[batches]["smallest_k"] == next((k for k, kappa in enumerate(expected) if kappa), None)


# ------------------------------------------------------------------------------------------------ kinks

LEAKY = Kink(sp.Rational(1, 3), sp.Rational(-1, 2), sp.Integer(2))
LEAKY_LINK = parse("-x/2 + 5/2*relu(x - 1/3)")


def test_the_exact_crossing_of_a_kink():
    rng = np.random.default_rng(17)
    exact = sp.lambdify((two_step.S, w, two_step.kappa1, y, phi), two_step.crossed(LEAKY), modules=["scipy", "numpy"])
    mean = float(LEAKY.p + (LEAKY.q - LEAKY.p) * (1 - two_step.cumulative(LEAKY.at)))
    for S, shift, stretch, label in rng.uniform(-0.6, 0.6, (20, 4)):
        arguments = (S * stretch, S * shift, 1e-9, S * label)
        _, slope = piecewise_linear.conditional_means(LEAKY_LINK, *(np.array([v]) for v in arguments))
        assert slope[0] - mean == pytest.approx(float(exact(S, shift, stretch, label, 1.0)), abs=1e-8)


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_first_order_has_an_even_part_besides_the_odd_one(signs):
    below, above = (two_step.displacement(LEAKY, side) for side in (-1, 1))
    odd, even = two_step.first_order(LEAKY)
    even = even.subs({sp.Abs(below): signs[0] * below, sp.Abs(above): signs[1] * above})
    right, left = (two_step.one_sided_terms(LEAKY, signs, side, 1)[0] for side in (1, -1))
    assert sp.simplify(right - (odd + even)) == 0
    assert sp.simplify(left - (odd - even)) == 0


def test_the_odd_part_is_the_distribution_rule():
    kinks = [Kink(sp.Integer(-1), sp.Integer(0), sp.Integer(1)), Kink(sp.Integer(1), sp.Integer(1), sp.Integer(0))]
    setup = setup_of("clip(x, -1, 1) + relu(x - 2)/2")
    kinks.append(Kink(sp.Integer(2), sp.Integer(0), sp.Rational(1, 2)))
    assert Moments(setup).activation(2, 1, 0) == pytest.approx(float(two_step.odd_self_part(kinks)))


def test_an_independent_batch_has_no_even_part():
    _, even = two_step.first_order(LEAKY)
    assert even.subs(phi, 0) == 0  # no self term


def one_sided(setup, kink):
    """Nodes, weights and H⁺, H⁻ of a piecewise-linear activation with one kink, on a grid in (z, g) without noise."""
    stats = statistics(setup)
    x, weight = rule((), 2, 9.0)
    zs, gs = (grid.ravel() for grid in np.meshgrid(x, x))
    labels, direction = setup.data.target.numpy()(zs), stats.c1 * zs + stats.perpendicular * gs
    folded = sp.lambdify((sp.Symbol("a", real=True), sp.Symbol("nu", positive=True)), two_step.folded_mean(), "scipy")
    slopes = [float(kink.p), float(kink.q)]
    rates = [stats.mu1 * direction + stats.c0 * stats.mu2 * float(kink.at) + stats.phi * labels * p for p in slopes]
    folds = [folded(rate, stats.specific) for rate in rates]
    factor = (slopes[1] - slopes[0]) * float(density(np.array(float(kink.at)))) / 2
    odd, even = factor * (rates[0] + rates[1]), factor * (folds[0] - folds[1])
    weights = np.outer(weight, weight).ravel()
    return stats, (zs, direction, labels, weights), (labels * (odd + even), labels * (odd - even))


@pytest.mark.parametrize(("text", "kink"), [("relu(x)", Kink(sp.S(0), sp.S(0), sp.S(1))), (LEAKY_LINK.text, LEAKY)])
def test_spikes_of_the_first_order_of_a_kinked_activation(text, kink):
    setup = setup_of(text, "tanh(x)", ratios=("1", "3/2"))
    stats, (zs, direction, labels, weights), sides = one_sided(setup, kink)
    functions = [stats.mu1 * labels, *sides]
    values = {two_step.c1: stats.c1, two_step.m2: stats.m2, phi: stats.phi}
    means = [Means(*(float(weights @ (v * H)) for v in (zs, direction, labels))) for H in functions]
    pairs = list(zip(means, functions, strict=True))
    right = np.array(
        [[float(two_step.gram(p, q, weights @ (H * K), True).subs(values)) for q, K in pairs] for p, H in pairs]
    )
    left = np.array([[1, 0, 0], [0, 1.5, 0], [0, 0, 1.5]])  # ā against ā² on either side: E|ā|³ below, E ā⁴/2
    left[0, 1:] = left[1:, 0] = np.sqrt(2 / np.pi) * np.array([1, -1])
    rest = [gram[1:, 1:] - np.outer(gram[1:, 0], gram[0, 1:]) / gram[0, 0] for gram in (left, right)]
    expected = 12 * np.sqrt(np.sort(np.linalg.eigvals(rest[0] @ rest[1]).real)[::-1])
    blocks = kinked.constants(setup, 2, (0.0, 1.0))
    assert [block.constant for block in blocks] == pytest.approx(expected, rel=1e-6)
    assert abs(kinked.kappas(setup, 2)[1]) == pytest.approx(max(abs(m.z) for m in means[1:]), rel=1e-6)


def test_a_neuron_by_neuron_average_has_the_even_part():
    """E σ'(h⁽¹⁾) over drawn h, for S and −S: their sum is the even part, which no power series has."""
    rng = np.random.default_rng(19)
    neurons, S, shift, label = rng.standard_normal(2_000_000), 0.02, 0.5, 1.4
    slope = LEAKY_LINK.derivative().numpy()
    drawn = sum(slope(neurons + side * S * (shift + label * slope(neurons))) - slope(neurons) for side in (1, -1)) / 2
    expected = two_step.first_order(LEAKY)[1].subs({w: shift, two_step.kappa1: 0, phi: 1, y: label})
    error = drawn.std() / np.sqrt(drawn.size)
    assert drawn.mean() == pytest.approx(S * float(expected), abs=4 * error + S**2)
    assert abs(drawn.mean()) > 20 * error


def test_a_third_spike_at_a_width():
    setup = setup_of("relu(x)", "tanh(x)")
    found = finite_width.finite_rank(setup, 1e-6)
    spikes = [block.constant * 1e12**0.2 for block in kinked.constants(setup, 2, (0.0, 1.0))]
    assert found.strengths[1:3] == pytest.approx(sorted(spikes, reverse=True), rel=0.02)


def test_two_valued_second_layers_have_no_third_left_direction():
    assert finite_width.finite_rank(setup_of("relu(x)", "tanh(x)", law="rademacher"), 1e-6).strengths.size == 2
