"""Conjugate kernels of trained networks: eigenvalues of σ(X W^T) σ(X W^T)^T/N on fresh samples and on those seen.

W comes from `rmtfl.montecarlo.weights`. The eigenvalues are the squared singular values of F/√N, whose right-hand side
is taken to be the samples. Nothing here predicts; a standardised activation is part of the setting.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.random import SeedSequence
from numpy.typing import NDArray

from rmtfl.links import Link
from rmtfl.montecarlo import weights
from rmtfl.montecarlo.singular import all_singular, top_singular
from rmtfl.montecarlo.threads import one_blas_thread

Array = NDArray[np.float64]

VALUES = 10  # leading eigenvalues kept
FRESH, START, TRAINING = 8, 9, 10  # streams of a trial beyond those of the training
SPECTRA = 2  # trials of a row with their whole spectrum
LARGEST_SPECTRUM = 1500  # of the smaller side of a matrix that is decomposed whole


def trial(setup: Any, seed: SeedSequence) -> dict[str, Array]:
    """Train one network and measure its features.

    Args:
        setup: a row of a features study, at a width.
        seed: of this trial.

    Returns:
        eigenvalues: the k = min(10, N, ñ) largest of K on ñ fresh samples, descending.
        alignments: (k,) |ỹ^T û|²/ñ of their eigenvectors with fresh labels.
        constants: (k,) the same with a constant for the labels.
        training_eigenvalues: the largest of K on the batch of the last step.
        spectrum: of the first few trials, all min(N, ñ) eigenvalues of K that are not zero by its rank.

    Raises:
        ToleranceNotMet: if the weights leave the range of doubles.
    """
    training = setup.trained
    with one_blas_thread():
        layer = weights.train(training, seed)
        rng = weights.stream(seed, FRESH)
        inputs = rng.standard_normal((setup.fresh, layer.shape[1]))
        labels = training.data.target.numpy()(inputs[:, 0].copy())
        if training.data.noise:
            labels = labels + float(training.data.noise) * rng.standard_normal(labels.size)
        matrix = features(training.network.activation, inputs, layer)
        values, vectors = top_singular(matrix, min(VALUES, *matrix.shape), weights.stream(seed, START))
        result = {
            "eigenvalues": values**2,
            "alignments": (vectors @ labels) ** 2 / labels.size,
            "constants": vectors.sum(axis=1) ** 2 / labels.size,
        }
        if min(matrix.shape) <= LARGEST_SPECTRUM and seed.spawn_key[-1] < SPECTRA:
            result["spectrum"] = all_singular(matrix) ** 2
        del matrix
        seen, _ = weights.last_batch(training, seed)
        matrix = features(training.network.activation, seen, layer)
        values, _ = top_singular(matrix, min(VALUES, *matrix.shape), weights.stream(seed, TRAINING))
        result["training_eigenvalues"] = values**2
    return result


def features(activation: Link, inputs: Array, layer: Array) -> Array:
    """σ(X W^T)^T/√N, of shape (N, samples)."""
    matrix = layer @ inputs.T
    matrix = activation.numpy()(matrix)
    matrix /= math.sqrt(layer.shape[0])
    return matrix


def memory(setup: Any) -> int:
    """The bytes that one trial needs at its peak."""
    training = setup.trained
    width, dimension = int(training.sizes.width), training.sizes.dimension
    samples = max(setup.fresh, training.sizes.samples)
    own = 8 * (width * dimension + samples * dimension + 3 * width * samples + 1000 * samples)
    return int(max(weights.memory(training), own))
