"""What rows share of the batches' samples, against matrices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.random import Generator

from rmtfl.features.neurons import Neurons
from rmtfl.features.spread import Spread
from rmtfl.links import parse
from rmtfl.montecarlo.regression import ridge_regression
from rmtfl.regression.batches import Batches, Response, batches
from rmtfl.regression.equivalents import Regression
from rmtfl.regression.features import features
from rmtfl.regression.layer import Layer, layer
from tests.regression.settings import setting

SHARES, MASSES = np.array([0.3, 5.0, 60.0]), np.array([0.9, 0.08, 0.02])


def unit_rule(phi: float) -> Batches:
    """A batch whose samples have one of three shares, of mean 1."""
    spread = Spread(np.ones(2), np.ones((1, 2)), SHARES, MASSES)
    return batches(spread, phi, 3)


def shared_covariance(dimension: int, phi: float, rng: Generator) -> np.ndarray:
    """(1/n) Σ ω_j x_j x_j^T, each share as often as its mass says."""
    count = round(dimension / phi)
    inputs = rng.standard_normal((count, dimension))
    shares = np.repeat(SHARES, np.round(MASSES * count).astype(int))
    return (inputs.T * (shares / shares.mean())) @ inputs / count


def test_the_rule_integrates_what_large_labels_saturate() -> None:
    found = layer(setting(target="He3(x)").trained(1), 5, 0, 14).batches
    z = np.linspace(-9, 9, 20001)
    noise, weight = np.polynomial.hermite_e.hermegauss(20)
    square = (z[:, None] ** 3 - 3 * z[:, None] + 0.3 * noise) ** 2
    mass = np.exp(-(z[:, None] ** 2) / 2) * weight
    share = square * mass.sum() / (mass * square).sum()
    for pull in (0.02, 0.3, 1.0):
        exact = (mass * share / (1 + pull * share)).sum() / mass.sum()
        assert found.weight @ (1 / (1 + pull * found.share)) == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("phi", [2.0, 0.25])
def test_the_mean_over_coordinates_of_a_resolvent(phi: float) -> None:
    rng, d = np.random.default_rng(4), 400
    T = np.array([[0.7, 0.2], [0.2, 0.4]])
    P0, first, second = (np.array(m) for m in ([[0.5, 0.1], [0.1, 0.3]], [[1.2, -0.4], [-0.4, 0.6]], np.eye(2) / 2))
    parts = [shared_covariance(d, phi, rng) for _ in range(2)]
    whole = np.kron(np.linalg.inv(T) + P0, np.eye(d)) + np.kron(first, parts[0]) + np.kron(second, parts[1])
    direct = np.linalg.inv(whole).reshape(2, d, 2, d).trace(axis1=1, axis2=3) / d
    G = np.array(T)
    for _ in range(200):
        response = Response.at(unit_rule(phi), P0, np.array([first, second]), G)
        G = T @ np.linalg.inv(np.eye(2) + response.whole @ T)
    assert pytest.approx(direct, rel=0.02) == G
    load = [
        np.einsum("kili->kl", (np.linalg.inv(whole) @ np.kron(np.eye(2), A)).reshape(2, d, 2, d)) / d for A in parts
    ]
    assert response.loads() == pytest.approx(np.array(load), rel=0.04)
    isotropic = T @ np.linalg.inv(np.eye(2) + (P0 + first + second) @ T)
    assert np.abs(isotropic / direct - 1).max() > 0.1


@pytest.mark.parametrize("ridge", [0.02, 0.5])
def test_errors_are_the_derivative_of_the_resolvent(ridge: float) -> None:
    # With K = FF^T a residual is λ(K + λ)^{-1} ỹ: noise leaves λ² tr (K + λ)^{-2}/ñ of its power, and E[1/(1 + δ)] is
    # λ tr (K + λ)^{-1}/ñ.
    trained = layer(setting(activation="tanh(x + 7/10)", target="He3(x)", scale=[6]).trained(1), 20, 0)
    found = features(parse("tanh(x + 7/10)"), parse("He3(x)"), trained, 0.0, 1e-3)
    regression = Regression(replace(found, label=np.zeros_like(found.label)), 1.0, 400, 1.0)

    def trace(ridge: float) -> float:
        return float(found.sample @ (1 / (1 + regression.resolvent(500, ridge).delta))) / ridge

    step = 1e-3 * ridge
    derivative = (trace(ridge + step) - trace(ridge - step)) / (2 * step)
    errors = regression.errors(500, regression.resolvent(500, ridge))
    assert errors.training == pytest.approx(-(ridge**2) * derivative, rel=1e-5)


@pytest.mark.parametrize(("samples", "ridge"), [(0.5, 0.05), (1.5, 0.05), (3.0, 1.0)])
def test_rows_along_the_samples_of_a_batch(samples: float, ridge: float) -> None:
    # Two kinds of neurons, labels that are noise to all: errors of drawn features, averaged over the labels' noise.
    d, own, noise, rng = 500, np.array([0.5, 1.2]), np.array([[1.5, 0.2]]), np.random.default_rng(5)
    rows = replace(unit_rule(1.0), own=own, noise=noise)
    neurons = Neurons(np.array([-1.0, 1.0]), np.ones(2) / 2, np.zeros((2, 1)), np.sqrt(own + noise[0]))
    equivalent = features(parse("tanh(x)"), parse("He2(x)"), Layer(neurons, np.zeros((2, 2, 2)), rows), 0.5, 1e-6)
    regression = Regression(equivalent, 0.0, d, 1.0)
    count = round(samples * d)
    found = regression.errors(count, regression.resolvent(count, ridge))
    shared = np.linalg.cholesky(shared_covariance(d, 1.0, rng))
    gaussian, kind = rng.standard_normal((2, d, d)) / np.sqrt(d), np.arange(d) % 2
    weights = np.sqrt(own)[kind][:, None] * gaussian[0] + np.sqrt(noise[0])[kind][:, None] * (gaussian[1] @ shared.T)
    inputs, tests = rng.standard_normal((count, d)), rng.standard_normal((3000, d))
    labels = np.sqrt(2) * rng.standard_normal((count, 12))
    mse, training = [], []
    for column in labels.T:
        left, predicted = ridge_regression(
            np.tanh(inputs @ weights.T), column, np.array([ridge]), np.tanh(tests @ weights.T)
        )
        mse.append(2 + np.mean(predicted**2))
        training.append(np.mean(left**2))
    assert np.mean(mse) == pytest.approx(found.mse, rel=0.03)
    assert np.mean(training) == pytest.approx(found.training, rel=0.06)
