"""What is kept of a trial: the same numbers as of a bare one, and the spectrum of the first few."""

from __future__ import annotations

import numpy as np
import pytest

from rmtfl.montecarlo import record, weights
from rmtfl.montecarlo.run import trial_seed
from rmtfl.study import from_document


@pytest.fixture
def setup(study_document):
    return from_document(study_document).rows[0].setup


@pytest.mark.parametrize("index", [0, record.SPECTRA - 1, record.SPECTRA])
def test_the_first_trials_keep_their_spectrum(setup, index):
    seed = trial_seed(3, "name", index)
    kept, bare = record.trial(setup, seed), weights.trial(setup, seed)
    for name, values in bare.items():
        np.testing.assert_array_equal(kept[name], values)
    assert ("spectrum" in kept) == (index < record.SPECTRA)
    if "spectrum" in kept:
        assert kept["spectrum"].shape == (60,)
        np.testing.assert_allclose(kept["spectrum"][:8], kept["singular_values"], rtol=1e-9)


def test_large_matrices_are_not_decomposed_whole(study_document):
    study_document["sizes"]["width"] = record.LARGEST_SPECTRUM + 1
    setup = from_document(study_document).rows[0].setup
    assert record.memory(setup) == weights.memory(setup, spectrum=False)
    # A flat matrix has few singular values however wide it is.
    study_document["sizes"]["width_ratio"] = 10
    setup = from_document(study_document).rows[0].setup
    assert record.memory(setup) == weights.memory(setup, spectrum=True)
