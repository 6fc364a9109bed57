"""The law of the bulk's singular values that a setting asks for: that of the untrained weights, or the deformed one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rmtfl.laws.marchenko_pastur import marchenko_pastur
from rmtfl.laws.views import SingularValues
from rmtfl.setup import Setup
from rmtfl.weights.deformed import deformed_law

Array = NDArray[np.float64]


class BulkLaw(Protocol):
    """A law of the min(N, d) singular values."""

    def density(self, x: Array) -> Array:
        """The density at each x."""

    def cdf(self, x: Array) -> Array:
        """The probability of at most x."""


def rigid_law(setup: Setup) -> BulkLaw:
    """The law of the untrained weights."""
    psi = float(setup.sizes.psi)
    return SingularValues(marchenko_pastur(psi), psi)


def bulk_law(setup: Setup, prediction: Mapping[str, Any]) -> BulkLaw:
    """The law of the bulk after the last step, at a width.

    Args:
        setup: the row.
        prediction: its document, for the edges.

    Raises:
        ToleranceNotMet: if a fixed point of the deformed bulk is lost.
    """
    if setup.theory.bulk == "rigid":
        return rigid_law(setup)
    return _deformed(setup, float(prediction["bulk"]["lower"]), float(prediction["bulk"]["upper"]))


@lru_cache(maxsize=32)
def _deformed(setup: Setup, lower: float, upper: float) -> BulkLaw:
    return deformed_law(setup, lower, upper)
