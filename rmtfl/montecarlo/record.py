"""What a study keeps of its trials: the leading numbers of each, and the whole spectrum of the first few.

A whole spectrum takes longer than the training it follows, and serves a histogram only.
"""

from __future__ import annotations

import numpy as np
from numpy.random import SeedSequence
from numpy.typing import NDArray

from rmtfl.montecarlo import weights
from rmtfl.setup import Setup

SPECTRA = 4  # trials of a row with their whole spectrum
LARGEST_SPECTRUM = 2000  # singular values of a matrix that is decomposed whole: two seconds of one core


def trial(setup: Setup, seed: SeedSequence, *, device: str = "cpu") -> dict[str, NDArray[np.float64]]:
    """`rmtfl.montecarlo.weights.trial`, with the spectrum where it is kept.

    Args:
        setup: the setting.
        seed: as `rmtfl.montecarlo.run.trial_seed` makes it: the trial's number is the last entry of its spawn key.
        device: as there.
    """
    return weights.trial(setup, seed, spectrum=_decomposed(setup) and seed.spawn_key[-1] < SPECTRA, device=device)


def memory(setup: Setup) -> int:
    """The bytes that one trial needs at its peak."""
    return weights.memory(setup, spectrum=_decomposed(setup))


def _decomposed(setup: Setup) -> bool:
    return min(int(setup.sizes.width), setup.sizes.dimension) <= LARGEST_SPECTRUM
