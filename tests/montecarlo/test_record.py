"""Whole spectra are kept of the first trials of matrices that are not too large, and change nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rmtfl.montecarlo import record, weights
from rmtfl.montecarlo.run import trial_seed
from rmtfl.setup import Setup


@pytest.mark.parametrize("index", [0, record.SPECTRA - 1, record.SPECTRA])
def test_the_spectrum_is_kept_of_the_first_trials(setup: Callable[..., Setup], index: int) -> None:
    setting, seed = setup(width=20), trial_seed(0, "a", index)
    kept, plain = record.trial(setting, seed), weights.trial(setting, seed)
    assert ("spectrum" in kept) == (index < record.SPECTRA)
    for name, array in plain.items():
        assert np.array_equal(kept[name], array)


def test_large_matrices_are_not_decomposed_whole(setup: Callable[..., Setup], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "LARGEST_SPECTRUM", 10)
    seed = trial_seed(0, "a", 0)
    assert "spectrum" not in record.trial(setup(width=20), seed)
    assert "spectrum" in record.trial(setup(width=20, width_ratio=2), seed)  # the smaller side decides
