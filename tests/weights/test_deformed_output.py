"""The network's own output in the second residual: forms from matrices, effect on trained networks, limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.random import SeedSequence

from rmtfl.links import parse
from rmtfl.weights.deformed import branch, frame, pencil, slopes
from tests.weights.deformed_networks import coarse, few_nodes, given, own_draw, quenched, setting

FORMS = 2  # vectors that are looked at
SEED = SeedSequence(11, spawn_key=(0,))


def gram(X, values):
    return X.T @ (values[:, None] * X) / len(X)


def assert_forms(mine, covariance, found):
    """η, ρ and, as a check of the matrices, δ are traces with Q = (Σ load S - z)^{-1}.

    covariance(i, k): of a row at node i, value k of the grid, S; of the vectors with it; and of the vectors.
    """
    output, dimension = mine.output, len(covariance(0, 0)[0])
    picked = [(i, int(np.argmin(abs(output.at - a)))) for i, a in enumerate(output.layer)]
    matrices = [covariance(i, k) for i, k in picked]
    total = sum(load * S for load, (S, *_) in zip(found.load, matrices, strict=True))
    Q = np.linalg.inv(total - found.z.real * np.eye(dimension))
    eta, rho = output.forms(found)
    for i, (S, with_rows, within) in enumerate(matrices):
        assert np.sum(Q * S) / dimension == pytest.approx(found.delta[i], rel=0.02)
        scale = math.sqrt(np.sum(Q * S) * np.sum(Q * within[0][0])) / dimension
        for one in range(FORMS):
            assert np.sum(Q * with_rows[one].T) / dimension == pytest.approx(eta[i, one], rel=0.04, abs=0.01 * scale)
            for other in range(FORMS):
                of_both = np.sum(Q * within[one][other].T) / dimension
                assert of_both == pytest.approx(rho[i, one, other], rel=0.06, abs=0.02 * abs(rho[i, 0, 0]))


class TestForms:
    """Against the matrices of batches that were drawn."""

    @pytest.mark.parametrize("activation", ["relu(x)", "tanh(x+7/10)"])
    def test_on_one_batch(self, activation):
        changes = {"batches": "reused", "width": 400, "ratios": (1, "3/2"), "second_layer": "rademacher"}
        case = setting(activation, "relu(x)", (1.0, 1.0), **changes)
        mine, (_, X, y) = quenched(case, SEED), own_draw(case, SEED)
        stats, phi, known, g = mine.stats, mine.phi, mine.output.fluctuation, mine.output.values
        M, one, rest = gram(X, y), np.eye(X.shape[1]), stats.v1 - stats.mu2**2

        def covariance(i, k):
            S = mine.powers[1, i]
            D, noise = one + S * stats.mu2 * M, S**2 * rest * phi * gram(X, y * y)

            def of(left, right, error):
                (a, b, c), (p, t, q) = left, right
                return (a + b @ D) @ (p + D @ t) + b @ noise @ t + phi * (b @ q + c @ t + gram(X, error))

            alpha = mine.e[i, 1:] @ mine.border[:, 0, mine.dual_e[1:]].T
            beta = mine.f[i] @ mine.border[:, 0, mine.dual_f].T
            row = (one + gram(X, alpha), gram(X, beta), gram(X, known.update_crossed[k]))
            tables = (known.on_first[k], known.slope[k], known.crossed[k])
            vectors = [tuple(gram(X, g[m] * table) for table in tables) for m in range(FORMS)]
            return (
                of(row, row, (mine.noise.left @ mine.noise.right)[i]),
                [of(row, vectors[m], g[m] * known.shared[k]) for m in range(FORMS)],
                [
                    [of(vectors[m], vectors[p], g[m] * g[p] * known.noise[k]) for p in range(FORMS)]
                    for m in range(FORMS)
                ],
            )

        assert_forms(mine, covariance, pencil.at_stieltjes(mine, -1 / 30.0))

    def test_on_two_batches(self):
        changes = {"width": 400, "ratios": (1, "3/2"), "second_layer": "rademacher"}
        case = setting("relu(x)", "relu(x)", (1.0, 1.0), **changes)
        mine, batches = quenched(case, SEED), given(case, SEED).data.batch
        (X1, y), (X2, _) = batches.batch(0), batches.batch(1)
        stats, phi, output = mine.stats, mine.phi, mine.output
        g, r, one = output.values, mine.residual, np.eye(X1.shape[1])

        def covariance(i, k):
            S = mine.powers[1, i]
            D = one + S * stats.mu2 * gram(X1, y)
            first = D @ D + S**2 * mine.rest * phi * gram(X1, y * y)
            A = one + gram(X2, r * (mine.terms[i, 1:] @ mine.linear))
            vectors = [gram(X2, g[m] * output.slope[k]) for m in range(FORMS)]
            noise = r**2 * (mine.variance.left @ mine.variance.right)[i]
            return (
                A @ first @ A + phi * gram(X2, noise),
                [A @ first @ vectors[m] + phi * gram(X2, g[m] * output.shared[k]) for m in range(FORMS)],
                [
                    [
                        vectors[m] @ first @ vectors[p] + phi * gram(X2, g[m] * g[p] * output.noise[k])
                        for p in range(FORMS)
                    ]
                    for m in range(FORMS)
                ],
            )

        assert_forms(mine, covariance, pencil.at_stieltjes(mine, -1 / 30.0))

    @pytest.mark.parametrize("activation", ["relu(x)", "tanh(x+7/10)", "abs(x-1/2)"])
    def test_what_a_value_and_its_slope_share(self, activation):
        link, mean, spread = parse(activation), np.array([-0.8, 0.3, 1.5]), 0.9
        t = np.linspace(-8, 8, 40001)
        weight = np.exp(-t * t / 2) * (t[1] - t[0]) / math.sqrt(2 * math.pi)
        for m, found in zip(mean, slopes.covariance(link, mean, np.array(spread)), strict=True):
            value, slope = link.numpy()(m + spread * t), link.derivative().numpy()(m + spread * t)
            rests = [f - weight @ f - t * (weight @ (t * f)) for f in (value, slope)]
            assert found == pytest.approx(weight @ (rests[0] * rests[1]), abs=1e-3)


def trained_twice(case, rng, others=8):
    """The second outlier of a network, and of one whose second residual has the mean output of other networks."""
    N, sigma = case.sizes.width, case.network.activation.numpy()
    slope, target = case.network.activation.derivative().numpy(), case.data.target.numpy()
    steps = [case.training.step_size(t, N) for t in range(2)]
    a, X = rng.standard_normal(N), rng.standard_normal((2, N, N))
    if case.training.batches == "reused":
        X[1] = X[0]
    y = [target(inputs[:, 0].copy()) for inputs in X]

    def first():
        W = rng.standard_normal((N, N)) / math.sqrt(N)
        h = W @ X[0].T
        return W + steps[0] / N * (a[:, None] * slope(h) * (y[0] - a @ sigma(h) / N)) @ X[0]

    def output(W):
        return a @ sigma(W @ X[1].T) / N

    W, mean = first(), sum(output(first()) for _ in range(others)) / others
    update = a[:, None] * slope(W @ X[1].T)
    return [
        np.linalg.svd(W + steps[1] / N * (update * (y[1] - f)) @ X[1], compute_uv=False)[1] for f in (output(W), mean)
    ]


@pytest.mark.parametrize(("batches", "trials"), [("reused", 8), ("independent", 12)])
def test_is_what_a_mean_output_takes_away(batches, trials, monkeypatch):
    few_nodes(monkeypatch)
    case = setting("relu(x)", "tanh(x)", (0.6, 1.5), batches=batches, width=300)
    mine = coarse(case)
    with_output = branch.follow(mine, 30.0).outliers[1].location
    mine.output = None
    shift = math.log(branch.follow(mine, 30.0).outliers[1].location / with_output)
    rng = np.random.default_rng(5)
    seen = np.diff(np.log([trained_twice(case, rng) for _ in range(trials)])).ravel()
    error = seen.std(ddof=1) / math.sqrt(trials)
    assert shift > 3 * error
    assert abs(seen.mean() - shift) <= 3 * error


class TestLimits:
    @pytest.mark.parametrize("batches", ["reused", "independent"])
    def test_small_steps_shrink_what_lies_along_the_second_layer(self, batches, monkeypatch):
        """W → (1 - s₂ μ₁² â â^T) W, so that 1 + P → 1 + s₂ μ₁² |m|/(1 + m): â^T W Q W^T â is δ/(1 + δ), and δ = m."""
        few_nodes(monkeypatch)
        case = setting("tanh(x+7/10)", "tanh(x)", (1e-4, 1e-3), batches=batches, ratios=(1, 2))
        mine = coarse(case)
        found = pencil.at_stieltjes(mine, -1 / 6.0)
        coefficients = np.hstack([mine.coefficients, mine.output.coefficients])
        root, count = frame._root(mine, found, coefficients), mine.coefficients.shape[1]
        reduced = frame._add_output(mine, mine.output, found, coefficients, root, np.zeros((len(root), len(root))))
        strength = np.sum(root[:count] ** 2), np.sum(reduced[:count] ** 2)
        m, step = found.m.real, case.training.step_size(1, case.sizes.width)
        expected = step * mine.stats.mu1**2 * -m / (1 + m)
        assert math.log(strength[0] / strength[1]) / 2 == pytest.approx(expected, rel=0.01)

    @pytest.mark.parametrize("batches", ["reused", "independent"])
    def test_is_none_with_the_correlation_loss(self, batches, monkeypatch):
        few_nodes(monkeypatch)
        case = setting("tanh(x)", "tanh(x)", (1.0, 1.0), batches=batches)
        correlation = case.model_copy(update={"training": case.training.model_copy(update={"loss": "correlation"})})
        assert coarse(correlation).output is None
