"""Three and more steps on independent batches: against the two-step prediction, closed forms and trained networks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.gaussian import expectation
from rmtfl.links import parse
from rmtfl.montecarlo.weights import stream, train
from rmtfl.outliers import RigidBulk
from rmtfl.setup import Training
from rmtfl.weights import many_steps, predict, second_layer, threshold
from rmtfl.weights.finite_width import by_recursion, finite_rank
from rmtfl.weights.statistics import statistics
from tests.weights.setups import setup as two_steps


def setup(*arguments, steps=3, **changes):
    """The two-step setup of the other tests on independent batches, with more steps."""
    given = {"batches": "independent", "alpha": ["3/10"] * steps, "scale": [2] * (steps - 1) + [4], "width": 1000}
    return two_steps(*arguments, **{**given, **changes})


def spikes(problem, level):
    """Strengths and squared target overlaps at one resolution, and the rows."""
    width = problem.sizes.width
    rows = many_steps.rows(problem, statistics(problem), width, many_steps.Resolution.at(level))
    matrix = np.sqrt(width * rows.weights)[:, None] * rows.vectors
    _, strengths, right = np.linalg.svd(matrix)
    return strengths, (right @ rows.target)[: strengths.size] ** 2, rows


TWO = {
    "tanh": {},
    "relu, correlation": {"activation": "relu(x)", "loss": "correlation"},
    "target with a mean, noise": {"target": "tanh(x) + 1/2", "noise": "3/10", "ratios": (2, "1/2")},
    "signs, jumping target": {"second_layer": "rademacher", "target": "sign(x - 1/2)"},
    "softplus, uniform, even target": {"activation": "softplus(x)", "second_layer": "uniform", "target": "He2(x)"},
    "steps of order one": {"alpha": ["2/5", "2/5"], "scale": [2, 3], "width": 300},
}


@pytest.mark.parametrize("case", TWO)
def test_two_steps_are_the_two_step_prediction(case):
    problem = setup(steps=2, **TWO[case])
    exact = finite_rank(problem, 1e-7)
    found = by_recursion(problem, statistics(problem), problem.sizes.width, 1e-5)
    assert found.meets(1e-5)
    assert np.all(np.abs(found.strengths - exact.strengths) <= found.strength_errors + exact.strength_errors)
    assert np.all(np.abs(found.overlaps - exact.overlaps) <= found.overlap_errors + exact.overlap_errors)


def quadratic(problem, curvature):
    """Strengths and overlaps for σ' = 1 + curvature · x and the correlation loss, in closed form.

    By Wick's formula: with k_a = ⟨Ψ(a), β⟩ and Γ = ⟨Ψ(a), Ψ(a')⟩, every mean over the Gaussians (z, m_a, m_a') that a
    step needs is a polynomial in k and Γ.
    """
    target, noise = problem.data.target, float(problem.data.noise)

    def label(*factors):
        return expectation(*factors).value

    z, phi, q = parse("x"), float(problem.sizes.phi), curvature
    mean, slope = label(target), label(target, z)
    bend = label(target, parse("He2(x)"))
    square = [label(target, target, *[z] * p) + noise**2 * (p != 1) for p in range(3)]
    a, weights = second_layer.rule(problem.network.second_layer, 70)
    k, gamma = np.zeros(a.size), np.zeros((a.size, a.size))
    for step in range(problem.training.steps):
        S = problem.training.step_size(step, problem.sizes.width) * a
        B = slope + q * bend * k
        along = np.multiply.outer(B, k) + q * mean * gamma  # E[m_a' H_a]
        within = np.multiply.outer(B, B) + q * mean * (np.multiply.outer(B, k) + np.multiply.outer(k, B))
        within += (q * mean) ** 2 * gamma
        both = np.multiply.outer(k, k)
        product = square[0] + q * np.add.outer(k, k) * square[1]
        product = product + q**2 * (both * square[2] + (gamma - both) * square[0])
        cross = S[:, None] * along
        gamma = gamma + cross + cross.T + np.multiply.outer(S, S) * (within + phi * product)
        k = k + S * (B + q * mean * k)
    root = np.sqrt(problem.sizes.width * weights)
    values, vectors = np.linalg.eigh(root[:, None] * gamma * root)
    order = np.argsort(-values)[:4]
    strengths = np.sqrt(np.maximum(values[order], 0.0))
    return strengths, (vectors[:, order].T @ (root * k)) ** 2 / np.maximum(values[order], 1e-300)


@pytest.mark.parametrize("width", [1000, 10**8])  # where all axes have rules of their own, and where most share a star
@pytest.mark.parametrize("law", ["gaussian", "uniform", "rademacher"])
@pytest.mark.parametrize("steps", [2, 3, 4])
def test_a_quadratic_activation_in_closed_form(steps, law, width):
    problem = setup(
        "x + x**2/4",
        "x/2 + He2(x)/4 + 1/5",
        steps=steps,
        loss="correlation",
        noise="1/2",
        ratios=(2, "3/2"),
        second_layer=law,
        scale=[1] * (steps - 1) + [3],
        width=width,
    )
    strengths, overlaps = quadratic(problem, 0.5)
    found, aligned, _ = spikes(problem, 2)
    large = strengths >= 0.05
    assert large.sum() >= 2
    np.testing.assert_allclose(found[: strengths.size][large], strengths[large], rtol=2e-6)
    np.testing.assert_allclose(aligned[: strengths.size][large], overlaps[large], atol=2e-6)


def dense(problem, order):
    """Strengths and variances for ā = ±1 from Gauss rules in (z, m₊, m₋) and ξ: no frame, no table, no star."""
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(order)
    node_weights = node_weights / node_weights.sum()
    u = np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij")).reshape(3, -1)
    weight = np.multiply.outer(np.multiply.outer(node_weights, node_weights), node_weights).ravel()
    activation, slope = problem.network.activation.numpy(), problem.network.activation.derivative().numpy()
    y, phi = problem.data.target.numpy()(u[0]), float(problem.sizes.phi)
    noise = float(problem.data.noise) ** 2
    a = np.array([1.0, -1.0])
    cov = np.zeros((3, 3))  # of z, m₊, m₋
    cov[0, 0] = 1.0
    tau = np.ones(2)
    for step in range(problem.training.steps):
        S = problem.training.step_size(step, problem.sizes.width) * a
        values, axes = np.linalg.eigh(cov[1:, 1:] - np.outer(cov[1:, 0], cov[0, 1:]))
        root = axes * np.sqrt(np.maximum(values, 0.0))
        m = np.multiply.outer(cov[1:, 0], u[0]) + root @ u[1:]
        h = m[:, :, None] + np.sqrt(tau)[:, None, None] * nodes
        f, df = activation(h) @ node_weights, slope(h) @ node_weights
        r = y - (a @ f / 2 if problem.training.loss == "squared" else 0.0)
        curvature = (slope(h) * nodes) @ node_weights / np.sqrt(tau)[:, None]
        variance = slope(h) ** 2 @ node_weights - df**2
        H = r * df
        # Coordinates of the update along those of u, and across: u spans z and both m's.
        moved = H @ (weight[:, None] * u.T)
        old = np.column_stack([cov[1:, 0], root])
        new = old + S[:, None] * moved
        across = np.outer(S, S) * phi * ((weight * H) @ H.T + noise * (weight * df) @ df.T)
        cov[1:, 1:] = new @ new.T + across + (cov[1:, 1:] - old @ old.T)
        cov[0, 1:] = cov[1:, 0] = new[:, 0]
        tau = tau * (1 + S * (curvature @ (weight * r))) ** 2 + S**2 * phi * (variance @ (weight * (r**2 + noise)))
    values = np.linalg.eigvalsh(problem.sizes.width / 2 * cov[1:, 1:])
    return np.sqrt(values[::-1]), tau


@pytest.mark.parametrize("loss", ["squared", "correlation"])
@pytest.mark.parametrize("noise", [0, "1/2"])
def test_signs_by_a_dense_rule(loss, noise):
    problem = setup(
        "tanh(x + 7/10)", "x + 1/4", second_layer="rademacher", loss=loss, noise=noise, ratios=(1, 2), scale=[2, 1, 3]
    )
    strengths, tau = dense(problem, 44)
    found, _, rows = spikes(problem, 2)
    np.testing.assert_allclose(found, strengths, rtol=1e-6)
    np.testing.assert_allclose(rows.variance[np.argsort(-rows.nodes)], tau, rtol=1e-6)


ERRORS = [
    {"steps": 3},
    {"steps": 4, "scale": [1, 1, 1, 4], "second_layer": "uniform"},
    {"activation": "relu(x)", "target": "relu(x)", "scale": [1, 1, 3]},
    {"activation": "clip(x, -1, 1)", "target": "sign(x - 1/3)", "loss": "correlation", "noise": "3/10"},
    {"target": "He2(x)", "ratios": ("1/2", 2), "alpha": ["0", "3/10", "2/5"]},
    {"activation": "gelu(x)", "target": "x", "width": 10**8},
]


@pytest.mark.parametrize("changes", ERRORS, ids=lambda c: c.get("activation", "tanh(x + 7/10)"))
def test_errors_bound_what_refinement_changes(changes):
    problem = setup(**changes)
    fine = finite_rank(problem, 1e-4)
    for tolerance in (1e-2, 1e-3):
        coarse = finite_rank(problem, tolerance)
        off = np.abs(coarse.strengths - fine.strengths)
        assert np.all(off <= coarse.strength_errors + fine.strength_errors)
        off = np.abs(coarse.overlaps - fine.overlaps)
        assert np.all(off <= coarse.overlap_errors + fine.overlap_errors)


@pytest.mark.parametrize(("steps", "activation"), [(3, "tanh(x + 7/10)"), (4, "relu(x)")])
def test_against_networks(steps, activation):
    """Outliers, their alignment, and the norms of rows by second-layer weight, which hold mean and variance."""
    problem = setup(activation, steps=steps, width=400, noise="1/5")
    prediction = predict(problem)
    _, _, rows = spikes(problem, 1)
    moments = np.array(
        [rows.weights * rows.nodes**p @ ((rows.vectors**2).sum(axis=1) + rows.variance) for p in (0, 1, 2)]
    )
    values, overlaps, norms = [], [], []
    for seed in np.random.SeedSequence(17).spawn(6):
        weights = train(problem, seed)
        a = stream(seed, 0).standard_normal(problem.sizes.width)  # as the trial drew it
        _, singular, right = np.linalg.svd(weights, full_matrices=False)
        values.append(singular[:2])
        overlaps.append(right[0, 0] ** 2)
        norms.append([np.mean(a**p * (weights**2).sum(axis=1)) for p in (0, 1, 2)])
    for column, outlier in zip(np.transpose(values), prediction.outliers, strict=True):
        assert abs(column.mean() - outlier.location) <= 3 * standard_error(column) + 0.03 * outlier.location
    assert abs(np.mean(overlaps) - prediction.outliers[0].alignment) <= 3 * standard_error(overlaps) + 0.01
    for column, expected in zip(np.transpose(norms), moments, strict=True):
        assert abs(column.mean() - expected) <= 4 * standard_error(column) + 0.01


def standard_error(values):
    return np.std(values, ddof=1) / np.sqrt(len(values))


@pytest.mark.parametrize(
    "alpha",
    [
        ("3/8", "9/20", "1/20"),
        ("0", "3/8", "1/5", "17/40"),
        ("3/8", "3/10", "1/10", "7/40"),
        ("1/10", "2/5", "3/10", "0"),
        ("1/20", "1/8", "9/20", "1/40"),
        ("0", "1/5", "3/8"),
    ],
)
def test_spikes_scale_with_the_exact_exponents(alpha):
    """The exponents between N = 10^12 and 10^14, and beyond the count one more that falls."""
    exact = threshold(*(Fraction(a) for a in alpha))
    count = exact.generic_count + 1
    sizes = []
    for width in (10**12, 10**14):
        problem = setup(
            target="x + He2(x)/2", loss="correlation", alpha=list(alpha), scale=[1] * len(alpha), width=width
        )
        sizes.append(spikes(problem, 1)[0][:count])
    measured = np.log(sizes[1] / sizes[0]) / np.log(100)
    np.testing.assert_allclose(measured, [float(exact.exponent(k)) for k in range(count)], atol=0.02)


def test_first_order_in_tiny_steps():
    """Steps of next to nothing add up: s μ₁ (b₁ + b₂ + b₃), and b_t only shares the target's direction."""
    problem = setup(alpha=["0"] * 3, scale=[1] * 3, width=10**12, ratios=(1, 2))
    stats = statistics(problem)
    found = finite_rank(problem, 1e-4)
    strength = abs(stats.mu1) * np.sqrt((3 * stats.c1) ** 2 + 3 * stats.phi * stats.m2)
    assert found.strengths[0] == pytest.approx(strength, rel=1e-4)
    assert found.overlaps[0] == pytest.approx((3 * stats.mu1 * stats.c1 / strength) ** 2, abs=1e-4)


def test_outliers_are_those_of_the_rigid_bulk():
    problem = setup(ratios=(2, 1))
    prediction = predict(problem)
    bulk = RigidBulk(2.0)
    assert prediction.leading == ()
    assert len(prediction.step_sizes) == 3
    assert prediction.as_json()["threshold"] == 1
    for spike, outlier in zip(prediction.spikes, prediction.outliers, strict=False):
        assert outlier.location == pytest.approx(bulk.location(spike.strength))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": "limit"}, "sizes.width.*3 steps"),
        ({"order": "leading"}, "theory.order.*3 steps"),
        ({"bulk": "deformed"}, "theory.bulk.*3 steps"),
    ],
)
def test_what_is_not_derived_is_refused(changes, message):
    with pytest.raises(BadInput, match=message):
        predict(setup(**changes))


def test_three_steps_on_a_reused_batch_are_refused():
    with pytest.raises(ValueError, match="3 steps on a reused batch; expected one or two"):
        Training(batches="reused", alpha=["3/10"] * 3, scale=[1] * 3)


def test_what_is_out_of_reach_is_admitted():
    with pytest.raises(ToleranceNotMet, match=r"theory\.tolerance"):
        predict(setup(steps=4, width=200, scale=[4] * 4, tolerance=1e-9))


def test_rows_that_grow_beyond_any_rule_are_refused():
    with pytest.raises(ToleranceNotMet, match="takes too much work"):
        predict(setup("He3(x)", "tanh(x)/1000000", noise=100, ratios=("1/2", 1), width=10, scale=[1, 30, "1/10"]))
