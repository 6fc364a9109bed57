"""The network's own output in the last residual: forms, effect on trained networks, limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.random import SeedSequence

from rmtfl.links import parse
from rmtfl.outliers import RigidBulk
from rmtfl.weights.deformed import branch, frame, one_step, pencil, slopes
from rmtfl.weights.statistics import statistics
from tests.weights.deformed_networks import coarse, few_nodes, given, own_draw, quenched, setting

FORMS = 2  # vectors that are looked at
SEED = SeedSequence(11, spawn_key=(0,))


def gram(X, values):
    return X.T @ (values[:, None] * X) / len(X)


def assert_forms(mine, covariance, found, vectors=FORMS):
    """η, ρ and, as a check of the matrices, δ are traces with Q = (Σ load S - z)^{-1}.

    covariance(i, k): of a row at node i, value k of the grid, S; of the vectors with it; and of the vectors.
    """
    output, dimension = mine.output, len(covariance(0, 0)[0])
    picked = [(i, int(np.argmin(abs(getattr(output, "at", output.layer) - a)))) for i, a in enumerate(output.layer)]
    matrices = [covariance(i, k) for i, k in picked]
    total = sum(load * S for load, (S, *_) in zip(found.load, matrices, strict=True))
    Q = np.linalg.inv(total - found.z.real * np.eye(dimension))
    eta, rho = output.forms(found)
    for i, (S, with_rows, within) in enumerate(matrices):
        assert np.sum(Q * S) / dimension == pytest.approx(found.delta[i], rel=0.02)
        scale = math.sqrt(np.sum(Q * S) * np.sum(Q * within[0][0])) / dimension
        for one in range(vectors):
            assert np.sum(Q * with_rows[one].T) / dimension == pytest.approx(eta[i, one], rel=0.04, abs=0.01 * scale)
            for other in range(vectors):
                of_both = np.sum(Q * within[one][other].T) / dimension
                assert of_both == pytest.approx(rho[i, one, other], rel=0.06, abs=0.02 * abs(rho[i, 0, 0]))


class TestForms:
    """Against the matrices of batches that were drawn."""

    @pytest.mark.parametrize("activation", ["relu(x)", "tanh(x+7/10)"])
    def test_after_one_step(self, activation):
        case = setting(activation, "relu(x)", (1.0,), width=400, ratios=(1, "3/2"), second_layer="rademacher")
        mine, (_, X, y) = quenched(case, SEED), own_draw(case, SEED)
        stats, phi, one = mine.stats, mine.phi, np.eye(X.shape[1])
        M, M1, h = gram(X, y), gram(X, np.ones_like(y)), np.linspace(-8, 8, 40001)
        weight = np.exp(-h * h / 2) * (h[1] - h[0]) / math.sqrt(2 * math.pi)
        rests = [
            f(h) - weight @ f(h) - h * (weight @ (h * f(h)))
            for f in (parse(activation).numpy(), case.network.activation.derivative().numpy())
        ]

        def covariance(i, _):
            A = one + mine.shift[i] * stats.mu2 * M
            row = A @ A + mine.shift[i] ** 2 * mine.rest * phi * gram(X, y * y)
            shared, noise = weight @ (rests[0] * rests[1]), weight @ rests[0] ** 2
            with_row = stats.mu1 * A @ M1 + phi * mine.shift[i] * shared * M
            return row, [with_row], [[stats.mu1**2 * M1 @ M1 + phi * noise * M1]]

        assert_forms(mine, covariance, pencil.at_stieltjes(mine, -1 / 30.0), vectors=1)

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


def test_is_what_the_first_output_takes_away():
    """One step, with the network's own output in the residual and without."""
    case = setting("tanh(x)", "tanh(x)", (0.3,), width=200)
    mine, N, step = one_step.build(case, statistics(case)), 200, case.training.step_size(0, 200)
    with_output = branch.follow(mine, 30.0).outliers[0].location
    mine.output = None
    shift = math.log(branch.follow(mine, 30.0).outliers[0].location / with_output)
    rng, seen = np.random.default_rng(5), []
    for _ in range(30):
        a, X, W = rng.standard_normal(N), rng.standard_normal((N, N)), rng.standard_normal((N, N)) / math.sqrt(N)
        h, y = W @ X.T, np.tanh(X[:, 0])
        own, without = (
            np.linalg.svd(W + step / N * (a[:, None] * (1 - np.tanh(h) ** 2) * (y - f)) @ X, compute_uv=False)[0]
            for f in (a @ np.tanh(h) / N, 0.0)
        )
        seen.append(math.log(without / own))
    error = np.std(seen, ddof=1) / math.sqrt(len(seen))
    assert shift > 6 * error
    assert abs(np.mean(seen) - shift) <= 3 * error


class TestLimits:
    def test_a_small_step_takes_twice_s_mu1_squared_from_the_square_of_the_strength(self):
        """To first order in s: in a rigid bulk the outlier is where -(1 + m)/m is θ² - 2 s μ₁², and that of θ less."""
        case = setting("tanh(x)", "3*tanh(x)", (1e-3,), width=10**6, ratios=(1, "3/2"), second_layer="rademacher")
        stats, step = statistics(case), 1e-3
        found = branch.follow(one_step.build(case, stats), 30.0).outliers[0]
        theta = step * stats.mu1 * stats.tau * 1000
        less = math.sqrt(theta**2 - 2 * step * stats.mu1**2)
        plain, expected = (RigidBulk(1.0).location(strength) for strength in (theta, less))
        assert found.location - plain == pytest.approx(expected - plain, rel=0.02)

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
