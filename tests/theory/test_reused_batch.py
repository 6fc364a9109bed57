"""Sampled batches against what theory/two-step.md says of a reused one: the self term, the rest, the Gram products.

Sizes are finite, so that besides the standard error a bias of order 1/d is allowed for.
"""

from __future__ import annotations

import numpy as np
import sympy as sp

from theory import two_step
from theory.two_step import G, Kink, Model, h, y

DIMENSION, SAMPLES, TRIALS = 500, 400, 24
BIAS = 5 / DIMENSION  # relative
ACTIVATION, TARGET = h + h**2 / 2 + h**3 / 6, h + h**2 / 4
MODEL = Model(ACTIVATION, TARGET, sp.Rational(DIMENSION, SAMPLES), sp.Rational(1, 5), reused=True)
FIRST, SECOND = y + G + y * G / 4, y + G / 2 + y**2 / 8  # H and H'


def batches():
    target = sp.lambdify(h, TARGET)
    for seed in np.random.SeedSequence(20).spawn(TRIALS):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((SAMPLES, DIMENSION))
        yield rng, X, target(X[:, 0]) + float(MODEL.noise) * rng.standard_normal(SAMPLES)


def agrees(sample, expected, scale):
    """Whether the mean is the expected number, within four standard errors and the bias of a finite size."""
    error = np.std(sample, ddof=1) / np.sqrt(len(sample))
    return abs(np.mean(sample) - expected) < 4 * error + BIAS * abs(scale)


def test_gram_products_of_a_reused_batch():
    functions = [sp.lambdify((y, G), H) for H in (FIRST, SECOND)]
    grams, crossed, norms = [], [], []
    for _, X, labels in batches():
        b = X.T @ labels / SAMPLES
        without_own = X @ b - labels * np.square(X).sum(axis=1) / SAMPLES
        vectors = [X.T @ function(labels, without_own) / SAMPLES for function in functions]
        grams.append(vectors[0] @ vectors[1])
        crossed.append(vectors[0] @ b)
        norms.append(vectors[0] @ vectors[0])
    fixed = Model(ACTIVATION, TARGET, MODEL.phi, MODEL.noise, reused=False)
    for sample, H in ((grams, SECOND), (norms, FIRST)):
        expected = float(MODEL.product(FIRST, H))
        assert agrees(sample, expected, expected)
        assert not agrees(sample, float(fixed.product(FIRST, H)), expected)  # without the response
    expected = float(MODEL.product_with_direction(FIRST))
    assert agrees(crossed, expected, expected)
    assert not agrees(crossed, float(fixed.product_with_direction(FIRST)), expected)


def test_the_first_update_on_its_own_samples():
    """ζ regressed on its three parts has unit coefficients, and its rest the variance of ξ."""
    slope = sp.lambdify(h, MODEL.slope)
    mu1, mu2 = float(MODEL.mu1), float(two_step.expect(h * MODEL.slope, h))
    found = two_step.update_on_a_sample(ACTIVATION, TARGET, MODEL.noise)
    own = sp.lambdify((h, y), two_step.self_term(ACTIVATION).subs(two_step.phi, MODEL.phi))
    coefficients, rests = [], []
    for rng, X, labels in batches():
        weights = rng.standard_normal((100, DIMENSION)) / np.sqrt(DIMENSION)
        field = weights @ X.T
        zeta = (slope(field) * labels) @ X @ X.T / SAMPLES
        without_own = X @ (X.T @ labels) / SAMPLES - labels * np.square(X).sum(axis=1) / SAMPLES
        parts = [
            np.broadcast_to(mu1 * without_own, field.shape),
            float(MODEL.constants[two_step.c0]) * mu2 * field,
            own(field, labels),
        ]
        columns = np.stack([part.ravel() for part in parts], axis=1)
        solution, (rest,), *_ = np.linalg.lstsq(columns, zeta.ravel(), rcond=None)
        coefficients.append(solution)
        rests.append(rest / zeta.size)
    for sample in np.array(coefficients).T:
        assert agrees(sample, 1.0, 1.0)
        assert not agrees(sample, 0.0, 1.0)
    expected = float(found.specific_variance.subs(two_step.phi, MODEL.phi))
    assert agrees(rests, expected, expected)


def test_neurons_on_their_own_batch_show_the_even_part_of_a_kink():
    """relu moved by S and by −S: the mean over both and over neurons, regressed on |S| E_ξ of the even part."""
    step, neurons, ratio = 0.05, 1500, DIMENSION / SAMPLES
    _, even = two_step.first_order(Kink(sp.Integer(0), sp.Integer(0), sp.Integer(1)))
    expected = sp.lambdify((two_step.w, y), even.subs({two_step.phi: ratio, two_step.kappa1: 0}))
    xi, weight = np.polynomial.hermite_e.hermegauss(40)
    slopes = []
    for rng, X, _ in batches():
        labels = np.tanh(X[:, 0])
        field = rng.standard_normal((neurons, DIMENSION)) @ X.T / np.sqrt(DIMENSION)
        active = (field > 0).astype(float)
        zeta = (active * labels) @ X @ X.T / SAMPLES
        moved = ((field + step * zeta > 0) + (field - step * zeta > 0).astype(float)) / 2 - active
        without_own = X @ (X.T @ labels) / SAMPLES - labels * np.square(X).sum(axis=1) / SAMPLES
        spread = np.sqrt(ratio * np.mean(labels**2) / 4)  # E σ' = 1/2, Var σ' = 1/4
        predicted = step * expected(without_own[:, None] / 2 + spread * xi, labels[:, None]) @ weight / weight.sum()
        slopes.append(moved.mean(axis=0) @ predicted / (predicted @ predicted))
    assert agrees(slopes, 1.0, 1.0)
    assert not agrees(slopes, 0.0, 1.0)
