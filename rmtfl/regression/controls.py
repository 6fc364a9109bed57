"""Means of simulated numbers, given others of the same draws whose means are known.

A large part of what scatters an error is how large the labels were that a trial happened to draw, and the mean of a
squared label is known exactly. Least squares on such controls takes that part out; the intercept is the mean, biased by
O(1/trials) where the number is not linear in them, beside a standard error of O(trials^{-1/2}).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DRAWS = 10  # a coefficient, below which controls cost more than they bring


def controlled(sample: Array, controls: Array) -> Array:
    """A sample of as many numbers, with the mean and standard error that its controls leave.

    Args:
        sample: a number a trial, shape (n,).
        controls: numbers of exact mean 0 of the same trials, shape (n, p); those that do not vary are left out.

    Returns:
        The sample itself where fewer than DRAWS (p + 1) trials were drawn.
    """
    deviations = controls.std(axis=0)
    scaled = controls[:, deviations > 0] / deviations[deviations > 0]
    n, p = scaled.shape
    if p == 0 or n < DRAWS * (p + 1):
        return sample
    design = np.column_stack([np.ones(n), scaled])
    found, *_ = np.linalg.lstsq(design, sample)
    left = sample - design @ found
    # The intercept's variance is (left²/(n − p − 1)) C; that of a sample's mean is left²/(n (n − 1)).
    C = float(np.linalg.inv(design.T @ design)[0, 0])
    return np.asarray(found[0] + left * math.sqrt(C * n * (n - 1) / (n - p - 1)))
