"""The deterministic equivalents against closed forms of other sources."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rmtfl.features.neurons import Neurons
from rmtfl.laws.random_features import coupled_transform
from rmtfl.links import parse
from rmtfl.regression.batches import Batches
from rmtfl.regression.equivalents import Errors, Regression
from rmtfl.regression.features import features
from rmtfl.regression.layer import Layer, layer, untrained
from rmtfl.regression.prediction import predict
from tests.regression.settings import setting


def no_step(activation: str, target: str, noise: float, psi: float, samples: float, ridge: float) -> Errors:
    width = 10**6
    equivalent = features(parse(activation), parse(target), untrained(), 0.5, 1e-4)
    regression = Regression(equivalent, noise, width, psi)
    count = samples * width / psi
    return regression.errors(count, regression.resolvent(count, ridge))


@pytest.mark.parametrize(("psi", "samples"), [(1.0, 0.5), (0.5, 2.0), (3.0, 1.0)])
@pytest.mark.parametrize("ridge", [1e-2, 1.0])
def test_labels_without_a_linear_part_see_the_random_feature_law(psi: float, samples: float, ridge: float) -> None:
    # (1/ñ) tr (K + λ)^{-1} and its derivative from the two coupled equations, K = (ñ/N) times the matrix of the law.
    activation, slope, ratio = "(x + He3(x)/sqrt(6))/sqrt(2)", np.sqrt(0.5), samples / psi
    z, h = -ridge / ratio, 1e-3j * ridge / ratio
    m = coupled_transform(z + h, slope, psi, 1 / ratio)
    first, second = float(m.real) / ratio, float(m.imag) / abs(h) / ratio**2
    found = no_step(activation, "He2(x)", 0.5, psi, samples, ridge)
    power = 2 + 0.25
    assert found.training == pytest.approx(power * ridge**2 * second, rel=1e-5)
    assert found.mse == pytest.approx(power * second / first**2, rel=1e-5)


@pytest.mark.parametrize(("psi", "samples", "ridge"), [(1.0, 0.5, 0.1), (0.6, 1.5, 0.01), (2.0, 1.0, 0.3)])
def test_a_linear_activation_is_ridge_regression_on_its_population(psi: float, samples: float, ridge: float) -> None:
    # Given W, features x W^T/√N are Gaussian with covariance W W^T/N, and the target is linear in x.
    d, noise = 1200, 0.4
    weights = np.random.default_rng(3).standard_normal((round(psi * d), d)) / np.sqrt(d)
    values = np.linalg.svd(weights, compute_uv=False) ** 2 / len(weights)
    values, n = values[values > 1e-12], samples * d
    low, high = 0.0, float(values.sum()) + ridge
    for _ in range(200):
        kappa = (low + high) / 2
        low, high = (kappa, high) if np.sum(values / (values + kappa)) + ridge / kappa > n else (low, kappa)
    share = values / (values + kappa)
    missed = 1 - values.size / d + np.mean((1 - share) ** 2) * values.size / d
    mse = n / (n - np.sum(share**2)) * (missed + noise**2)
    found = no_step("x", "x", noise, psi, samples, ridge)
    assert found.mse == pytest.approx(mse, rel=3e-3)
    assert found.training == pytest.approx(mse * (ridge / (n * kappa)) ** 2, rel=3e-3)


def test_a_large_ridge_learns_nothing() -> None:
    found = predict(setting(target="x + He2(x)/2", ridge=1e9, sample_ratio=[1]))
    for curve in found.curves:
        assert curve.mse[0] == pytest.approx(1.5 + 0.09, rel=1e-4)
        assert curve.training[0] == pytest.approx(1.5 + 0.09, rel=1e-4)


def test_many_samples_after_a_step_learn_the_best_function_of_the_features() -> None:
    # With ñ → ∞ at a tiny ridge the linear target is a linear combination of as many features as dimensions.
    found = predict(setting(activation="x", sample_ratio=[1000], ridge="1/1000000", width_ratio=2, scale=[1]))
    assert found.curves[0].mse[0] == pytest.approx(0.09, rel=3e-3)
    assert found.curves[1].mse[0] == pytest.approx(0.09, rel=3e-3)


def test_a_vanishing_step_is_no_step() -> None:
    found = predict(setting(target="x + He2(x)/2", scale=["1/100000"]))
    assert found.curves[1].mse == pytest.approx(found.curves[0].mse, rel=2e-3)
    assert found.curves[1].training == pytest.approx(found.curves[0].training, rel=2e-3)


def test_a_sign_of_the_second_layer_is_nothing_to_an_odd_activation() -> None:
    both = layer(setting(second_layer="rademacher").trained(1), 8, 0)
    neurons = both.neurons
    rows = both.batches
    one = Layer(
        Neurons(neurons.a[:1], np.ones(1), neurons.mean[:1], neurons.spread[:1]),
        both.fluctuation[:1],
        replace(rows, own=rows.own[:1], noise=rows.noise[:, :1]),
    )
    found = []
    for layer_ in (both, one):
        regression = Regression(features(parse("tanh(x)"), parse("sin(x)"), layer_, 0.5, 1e-4), 0.1, 400, 1.0)
        found.append(regression.errors(300, regression.resolvent(300, 0.1)))
    assert found[0].mse == pytest.approx(found[1].mse, rel=1e-7)
    assert found[0].training == pytest.approx(found[1].training, rel=1e-7)


def test_the_separation_may_be_written_in_any_basis() -> None:
    setup = setting(activation="tanh(x + 7/10)", target="x + He2(x)/2").trained(1)
    found = features(setup.network.activation, setup.data.target, layer(setup, 24, 0), 0.0, 1e-2)
    rank = found.linear_left.shape[1]
    turn = np.eye(rank) + np.random.default_rng(2).uniform(-0.3, 0.3, (rank, rank))
    other = replace(found, linear_left=found.linear_left @ turn, linear_right=np.linalg.solve(turn, found.linear_right))
    here, there = (Regression(f, 0.1, 400, 1.0) for f in (found, other))
    errors = [regression.errors(300, regression.resolvent(300, 0.1)) for regression in (here, there)]
    assert rank > 1
    assert errors[1].mse == pytest.approx(errors[0].mse, rel=1e-7)
    assert errors[1].training == pytest.approx(errors[0].training, rel=1e-7)


def test_the_equivalent_of_a_square_has_a_closed_form() -> None:
    neurons = Neurons(np.array([-1.0, 1.0]), np.array([0.5, 0.5]), np.array([[0.3], [0.8]]), np.array([1.7, 0.6]))
    rows = Batches(neurons.spread**2, np.empty((0, 2)), np.ones(1), np.ones(1), 1.0)
    found = features(parse("x**2"), parse("x"), Layer(neurons, np.zeros((2, 2, 2)), rows), 0.0, 1e-9)
    centre = neurons.mean @ found.coordinates
    assert found.mean_left @ found.mean_right == pytest.approx(centre**2 + neurons.spread[:, None] ** 2, rel=1e-7)
    assert found.linear_left @ found.linear_right == pytest.approx(2 * centre, abs=1e-8)
    assert found.rest == pytest.approx(np.broadcast_to(2 * neurons.spread[:, None] ** 4, found.rest.shape), rel=1e-6)
