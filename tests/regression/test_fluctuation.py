"""How single rows differ from their mean, along the target."""

import numpy as np
import pytest
from numpy.random import SeedSequence

from rmtfl.montecarlo.weights import stream, train
from rmtfl.regression.layer import layer
from tests.regression.settings import setting

WIDTH = 300


def trained(setup):
    """The rows of twelve networks, those of either sign of the second layer apart: (rows, d) each."""
    for trial in SeedSequence(12).spawn(12):
        signs, weights = 2 * stream(trial, 0).integers(0, 2, WIDTH) - 1, train(setup, trial)
        yield [weights[signs == sign] for sign in (-1, 1)]


def test_a_bent_activation_spreads_rows_along_the_target():
    changed = {"batches": "independent", "batch_ratio": 10, "width": WIDTH, "alpha": [0], "scale": [40], "noise": 0}
    setup = setting(activation="tanh(x)", second_layer="rademacher", target="sin(x)", **changed).trained(1)
    found = layer(setup, 2, 0)
    seen = [WIDTH * np.mean([rows[:, 0].var(ddof=1) for rows in groups]) for groups in trained(setup)]
    error = np.std(seen, ddof=1) / np.sqrt(len(seen))
    assert found.fluctuation[:, 0, 0] == pytest.approx(np.mean(seen), abs=3 * error)
    assert error < 0.025  # the norm alone would be 0.13 less


def test_labels_with_a_mean_make_norms_differ_by_less_where_they_shrink_rows():
    changed = {"batches": "independent", "batch_ratio": 10, "width": WIDTH, "alpha": [0], "scale": [15], "noise": 0}
    setup = setting(activation="softplus(2*x)", second_layer="rademacher", target="1 + x/2", **changed).trained(1)
    found, seen = layer(setup, 2, 0), []
    for groups in trained(setup):
        norms = [((rows - rows.mean(axis=0)) ** 2).sum(axis=1) for rows in groups]
        seen.append([WIDTH * squares.var(ddof=1) for squares in norms])
    error = np.std(seen, axis=0, ddof=1) / np.sqrt(len(seen))
    assert np.all(
        np.abs(np.mean(seen, axis=0) - found.fluctuation[:, -1, -1]) < 3 * error + 0.03 * np.mean(seen, axis=0)
    )
