"""The conjugate kernel of trained networks: outliers, alignments, bulk and row norms against simulation."""

import numpy as np
import pytest
from numpy.random import SeedSequence

from rmtfl.errors import BadInput
from rmtfl.features.bulk import Bulk
from rmtfl.features.law import intervals, mean_law
from rmtfl.features.neurons import trained
from rmtfl.features.prediction import predict
from rmtfl.features.spikes import Spiked
from rmtfl.montecarlo import weights
from rmtfl.montecarlo.features import trial
from rmtfl.weights.statistics import statistics
from tests.features.cases import row
from tests.features.lattice import norm_reused

TWO = {"alpha": ("3/10", "3/10"), "scale": (2, 2)}
SETTINGS = {
    "one step": row(220, noise="1/2", sample_ratio="3/2", width_ratio="3/4"),
    "one step, a mean in the labels": row(220, target="relu(x)", scale=(2,), samples=2),
    "two steps, independent": row(220, "softplus(x)", "relu(x)", **TWO),
    "two steps, reused": row(220, "relu(x)", batches="reused", **TWO),
    "norms of rows and samples": row(260, "3/5*x + 1/2*(x**2 - 1)", "x", (0,), (3,), width_ratio="1/2", samples=1),
    "labels that are their square": row(260, "4/5*x + 2/5*(x**2-1)", "x**2/2 + x", (0,), (2,), samples=1),
}


def draws(setup, count=10):
    found = [trial(setup, seed) for seed in SeedSequence(11).spawn(count)]
    return {name: np.array([draw[name] for draw in found]) for name in ("eigenvalues", "alignments", "constants")}


@pytest.mark.parametrize("name", SETTINGS)
def test_outliers(name):
    setup = SETTINGS[name]
    prediction, found = predict(setup), draws(setup)
    assert prediction.outliers
    for j, outlier in enumerate(prediction.outliers[:2]):
        for key, value, allowed in (
            ("eigenvalues", outlier.location, 0.02 * outlier.location),
            ("alignments", outlier.alignment, 0.02 * prediction.labels),
            ("constants", outlier.constant, 0.02),
        ):
            sample = found[key][:, j]
            error = sample.std(ddof=1) / np.sqrt(sample.size)
            assert abs(value - sample.mean()) < 4 * error + allowed, (key, j, value, sample.mean(), error)
    edge = prediction.intervals[-1][1]
    top = found["eigenvalues"][:, len(prediction.outliers)].mean()
    assert 0.85 * edge < top < 1.05 * edge


@pytest.mark.parametrize(
    ("activation", "target", "batches"),
    [("tanh(x + 7/10)", "relu(x)", "reused"), ("relu(x)", "tanh(x)", "independent")],
)
def test_row_norms(activation, target, batches):
    # E ‖w‖² over neurons, and weighted by ā² and by ā: m² + ρ² at its second-layer weight. The growth of the first is
    # nearly proportional to the mean of ā², whose fluctuation is taken out.
    setup = row(240, activation, target, ("3/10", "3/10"), (2, 6), batches=batches, noise="3/10", sample_ratio="1/2")
    neurons = trained(setup.trained)
    predicted = (neurons.mean**2).sum(axis=1) + neurons.spread**2
    seen = []
    for seed in SeedSequence(3).spawn(16):
        norms = (weights.train(setup.trained, seed) ** 2).sum(axis=1)
        a = weights.stream(seed, 0).standard_normal(240)
        square = (a * a).mean()
        seen.append([(norms.mean() - 1) / square, (a * norms).mean(), ((a * a * norms).mean() - square) / square**2])
    error = np.std(seen, axis=0, ddof=1) / np.sqrt(len(seen))
    expected = np.array([neurons.weight @ (neurons.a**k * predicted) for k in range(3)]) - [1, 0, 1]
    gaps = np.abs(np.mean(seen, axis=0) - expected)
    assert np.all(gaps < 3.5 * error + np.array([0.005, 0.02, 0.02]) * expected[[0, 0, 2]]), (gaps, error, expected)


def test_the_edge_of_equal_neurons_is_that_of_the_random_feature_law():
    for psi, ratio in ((0.5, 1.0), (2.0, 0.7), (1.0, 3.0)):
        bulk = Bulk(np.ones(1), np.array([0.8]), np.array([0.5]), psi, ratio)
        assert bulk.edge.z == pytest.approx(mean_law(bulk).edges[-1], rel=1e-9)


def test_the_map_inverts_the_transform_of_the_law():
    bulk = Bulk(np.ones(1), np.array([0.8]), np.array([0.5]), 0.5, 2.0)
    point = bulk.at(bulk.edge.x / 3)
    # (1/ñ) tr (K − z)^{-1} of the ñ × ñ matrix, from the law of the N eigenvalues of F^T F/N and ñ − N zeros.
    share = bulk.width_ratio / bulk.sample_ratio
    transform = share * mean_law(bulk).stieltjes(np.array([point.z]))[0].real - (1 - share) / point.z
    assert transform == pytest.approx(-point.x, rel=1e-9)


def test_neurons_that_differ_widen_the_bulk():
    rng = np.random.default_rng(4)
    N, d, samples = 600, 400, 500
    q, v = np.where(np.arange(N) < N // 2, 0.4, 1.2), np.where(np.arange(N) % 2, 0.3, 1.0)
    W = rng.standard_normal((N, d)) / np.sqrt(d)
    F = q[:, None] * (W @ rng.standard_normal((d, samples))) + np.sqrt(v)[:, None] * rng.standard_normal((N, samples))
    top = np.linalg.svd(F, compute_uv=False)[0] ** 2 / N
    bulk = Bulk(np.full(4, 0.25), np.array([0.4, 0.4, 1.2, 1.2]), np.array([0.3, 1.0, 0.3, 1.0]), N / d, samples / d)
    assert top == pytest.approx(bulk.edge.z, rel=0.03)
    assert intervals(bulk)[-1][1] > 1.05 * mean_law(bulk).edges[-1]


def test_a_small_step_leaves_random_features():
    prediction = predict(row(1000, "erf(x)", scale=("1/1000",), samples=2))
    assert prediction.outliers == ()
    limit = predict(row("limit", "erf(x)", alpha=(0,), scale=("1/1000",), samples=2))
    np.testing.assert_allclose(prediction.intervals, limit.intervals, rtol=1e-4)


def test_error_covers_a_finer_resolution():
    from rmtfl.features import prediction as module
    from rmtfl.features.neurons import Accuracy

    setup = row(400, "relu(x)", batches="reused", **TWO)
    training = setup.trained
    target = module._target(training.data.target)
    finest = module._finite(setup, training, statistics(training), target, Accuracy(0.05, 2)).outliers()
    for outlier, fine in zip(predict(setup).outliers, finest, strict=True):
        assert abs(outlier.location - fine.location) <= outlier.error
        assert abs(outlier.alignment - fine.alignment) <= outlier.alignment_error


@pytest.mark.parametrize("activation", ["tanh(x + 7/10)", "relu(x)"])
def test_row_norms_on_a_reused_batch_neuron_by_neuron(activation):
    # Labels with a mean make the first update's overlap with the second's count; with the correlation loss a neuron
    # needs no network around it.
    sizes = {"sample_ratio": "1/2", "loss": "correlation", "batches": "reused"}
    setup = row(10**4, activation, "1 + tanh(x)/5", (0, 0), (50, 200), **sizes).trained
    predicted = norm_reused(setup, statistics(setup), np.array([1.0, -1.0]), 32768)
    slope, target = setup.network.activation.derivative().numpy(), setup.data.target.numpy()
    rng, d, n, found = np.random.default_rng(1), 800, 400, []
    for _ in range(6):
        X, start = rng.standard_normal((n, d)), rng.standard_normal((d, 100)) / np.sqrt(d)
        y, squares = target(X[:, 0])[:, None], []
        for sign in (1, -1):
            w = start + sign * 0.5 * X.T @ (y * slope(X @ start)) / n
            w = w + sign * 2.0 * X.T @ (y * slope(X @ w)) / n
            squares.append((w**2).sum(axis=0).mean())
        found.append(squares)
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    assert np.all(np.abs(np.mean(found, axis=0) - predicted) < 4 * error + 0.005 * predicted)


def test_the_output_holds_the_linear_part_back():
    # Of relative order s = η/√N at α = 0; the fluctuation of the mean of ā², the largest, is regressed out.
    setup = row(64, "tanh(x)", "softplus(x)", (0,), (2,), width_ratio="1/2", centre=True)
    values, squares = [], []
    for seed in SeedSequence(6).spawn(120):
        values.append(trial(setup, seed)["eigenvalues"][0])
        squares.append(np.mean(weights.stream(seed, 0).standard_normal(64) ** 2) - 1)
    slope = np.polyfit(squares, values, 1)[0]
    rest = np.array(values) - slope * np.array(squares)
    error = rest.std(ddof=2) / np.sqrt(rest.size)
    (outlier,) = predict(setup).outliers
    (without,) = predict(setup.model_copy(update={"training": _correlation(setup)})).outliers
    assert abs(rest.mean() - outlier.location) < 3 * error + 0.005 * outlier.location
    assert without.location > 1.03 * outlier.location


def _correlation(setup):
    return setup.training.model_copy(update={"loss": "correlation"})


@pytest.mark.parametrize("holding", [0.7, -0.6])
def test_the_output_is_a_rank_one_part_of_what_resists_the_neurons(holding):
    rng = np.random.default_rng(8)
    masses, held, factor = rng.uniform(0.5, 1, 5), rng.standard_normal(5) / 4, rng.standard_normal((5, 3))
    bulk = Bulk(np.ones(1), np.array([0.6]), np.array([0.3]), 0.8, 1.5)
    spiked = Spiked(bulk, factor @ factor.T, lambda point: masses, np.zeros(5), np.zeros(5), held, holding)
    point = bulk.at(0.3)
    rate = 1.5 * point.x
    strength = holding * rate / (0.8 * (1 - rate * point.linear))
    direct = np.linalg.inv(np.diag(1 / masses) + strength * np.outer(held, held))
    expected = np.linalg.eigvalsh(point.x * factor.T @ direct @ factor)
    assert np.linalg.eigvalsh(spiked._matrix(point)) == pytest.approx(expected)


def test_an_output_that_grows_is_predicted_until_it_has_an_outlier_of_its_own():
    changed = {"target": "x", "alpha": (0,), "width_ratio": "1/2", "noise": "1/5"}
    setup = row(400, "4*tanh(x)", scale=(9,), **changed)
    kept = 1 - setup.training.step_size(0, 400) * statistics(setup.trained).mu1 ** 2
    assert kept < -1.2
    found = draws(setup)["eigenvalues"]
    for j, outlier in enumerate(predict(setup).outliers[:2]):
        error = found[:, j].std(ddof=1) / np.sqrt(len(found))
        assert abs(found[:, j].mean() - outlier.location) < 3 * error + 0.03 * outlier.location
    with pytest.raises(BadInput, match=r"training\.scale.*outlier of its own"):
        predict(row(400, "5*x + He3(x)/5", scale=(3,), **changed))
