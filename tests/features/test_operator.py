"""The operator of a layer on fresh samples: exact for polynomials, and against direct averages."""

from __future__ import annotations

import numpy as np
import pytest

from rmtfl.features import hermite
from rmtfl.features.neurons import Neurons
from rmtfl.features.operator import FeatureOperator, feature_operator
from rmtfl.links import parse
from rmtfl.weights import second_layer
from rmtfl.weights.smoothing import smooth


def layer(step: float = 0.4) -> Neurons:
    a, weight = second_layer.rule("gaussian", 60)
    mean = step * a[:, None] * np.array([0.6, 0.8]) + 0.2 * step**2 * a[:, None] ** 2 * np.array([0.5, -0.3])
    return Neurons(a, weight, mean, np.sqrt(1 + 0.3 * (step * a) ** 2))


def draws(operator: FeatureOperator, text: str, count: int = 100_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K(a, t) at drawn t, by quadrature in g: (neurons, count), with the first coordinate."""
    neurons, rng = operator.neurons, np.random.default_rng(5)
    some = slice(25, 36, 5)
    t = rng.standard_normal((count, neurons.mean.shape[1]))
    values, _ = smooth(parse(text), neurons.mean[some] @ t.T, neurons.spread[some, None], 1.0)
    return values, t[:, 0], np.arange(neurons.a.size)[some]


def test_coefficients_of_a_polynomial_are_exact() -> None:
    radius = np.array([0.3, 1.0, 2.0])
    found = hermite.coefficients(parse("x**3 - x"), radius, 6)
    exact = np.zeros((6, 3))
    exact[1], exact[3] = 3 * radius**3 - radius, np.sqrt(6) * radius**3
    np.testing.assert_allclose(found, exact, atol=1e-12)


def test_coefficients_of_relu_have_closed_forms() -> None:
    radius = np.array([0.5, 1.7])
    found = hermite.coefficients(parse("relu(x)"), radius, 5) / radius
    root = np.sqrt(2 * np.pi)
    exact = [1 / root, 0.5, 1 / (root * np.sqrt(2)), 0.0, -1 / (root * np.sqrt(24))]
    np.testing.assert_allclose(found, np.array(exact)[:, None] * np.ones(2), atol=1e-12)
    np.testing.assert_allclose(hermite.second_moment(parse("relu(x)"), radius), radius**2 / 2, rtol=1e-12)


def test_a_quadratic_has_a_kernel_of_finite_rank() -> None:
    # σ(u) = u²: K(a, t) = ⟨m, t⟩² + ρ², so that E K K' = ρ²ρ'² + ρ²|m'|² + ρ'²|m|² + |m|²|m'|² + 2⟨m, m'⟩².
    neurons = layer()
    operator = feature_operator(parse("x**2"), neurons)
    square, inner = (neurons.mean**2).sum(axis=1) + neurons.spread**2, neurons.mean @ neurons.mean.T
    np.testing.assert_allclose(operator.kernel, np.outer(square, square) + 2 * inner**2, rtol=1e-12)
    values, _ = operator.singular()
    assert np.sum(values > 1e-6 * values[0]) == 4  # 1, and the symmetric products of two directions
    np.testing.assert_allclose(operator.linear, 0, atol=1e-12)
    residual = 2 * neurons.spread**4 + 4 * neurons.spread**2 * (neurons.mean**2).sum(axis=1)
    np.testing.assert_allclose(operator.residual, residual, rtol=1e-10)


@pytest.mark.parametrize("text", ["tanh(x + 7/10)", "relu(x)"])
def test_against_direct_averages(text: str) -> None:
    operator = feature_operator(parse(text), layer())
    values, z, some = draws(operator, text)
    products = values[:, None, :] * values
    spread = products.std(axis=2) / np.sqrt(z.size)
    assert np.all(np.abs(products.mean(axis=2) - operator.kernel[np.ix_(some, some)]) < 5 * spread)
    target = parse("tanh(x)")
    labelled = values * target.numpy()(z)
    expected = operator.against_target(hermite.coefficients(target, np.ones(1), 60)[:, 0])[some]
    assert np.all(np.abs(labelled.mean(axis=1) - expected) < 5 * labelled.std(axis=1) / np.sqrt(z.size))


def test_no_training_leaves_the_mean_alone() -> None:
    a, weight = second_layer.rule("gaussian", 60)
    operator = feature_operator(parse("softplus(x)"), Neurons(a, weight, np.zeros((60, 1)), np.ones(60)))
    values, functions = operator.singular()
    mean = hermite.coefficients(parse("softplus(x)"), np.ones(1), 1)[0, 0]
    assert values[0] == pytest.approx(mean, rel=1e-12) and values[1] < 1e-7
    np.testing.assert_allclose(np.abs(functions[weight > 1e-10, 0]), 1, rtol=1e-9)
