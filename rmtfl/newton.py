"""Newton's method outside the engine of `rmtfl.solve`: on single floats, and in number types wider than doubles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rmtfl.solve import ROUNDING_REGIME, Array


def refine(
    correction: Callable[[Any], tuple[Array, Array]],
    start: Any,
    *,
    tolerance: float,
    max_steps: int = 12,
) -> tuple[Any, Array]:
    """Refine roots in a number type wider than the corrections: Newton with a wide residual and a double slope.

    Args:
        correction: Returns f/f' at the iterate, as doubles, and the scale that it is measured against.
        start: The iterate: any type from which an array of doubles can be subtracted.
        tolerance: Relative size of a correction at which all entries are done.
        max_steps: Corrections at most.

    Returns:
        The refined iterate, and the relative size of the last correction that was applied to each entry.
        Nothing is raised: the callers bound the error of what comes back, and escalate.
    """
    value = start
    change, scale = correction(value)
    for _ in range(max_steps):
        value = value - change
        with np.errstate(divide="ignore", invalid="ignore"):
            last = np.abs(change) / scale
        if not (last > tolerance).any():
            break
        change, scale = correction(value)
    return value, last


def newton(
    step: Callable[[float], float],
    start: float,
    *,
    inside: Callable[[float], bool],
    tolerance: float,
    max_steps: int = 60,
) -> float | None:
    """Solve one real equation on floats, where an array's overhead would be all there is.

    Args:
        step: Newton's correction at x, which is subtracted.
        start: The first x.
        inside: The domain; leaving it is a failure.
        tolerance: Relative size of a correction at which x is done.
        max_steps: Corrections at most.

    Returns:
        The root, with the last correction applied; None where Newton failed: the callers have a slower way.
    """
    x, last = start, float("inf")
    try:
        for _ in range(max_steps):
            change = step(x)
            x -= change
            if not inside(x):
                return None
            change = abs(change)
            if change <= tolerance * abs(x) or last <= change < ROUNDING_REGIME * abs(x):
                return x
            last = change
    except (ZeroDivisionError, OverflowError, ValueError):
        pass
    return None
