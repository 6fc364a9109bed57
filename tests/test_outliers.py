"""The rigid bulk: against the singular values of drawn matrices, and its formulas against one another."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from rmtfl.outliers import RigidBulk

STRENGTHS = [1.01, 1.3, 2.0, 10.0, 1e4]
PSI = [1e-3, 0.5, 1.0, 2.0, 1e3]


@pytest.mark.parametrize("psi", PSI)
@pytest.mark.parametrize("factor", STRENGTHS)
def test_slopes_are_derivatives(psi, factor):
    bulk = RigidBulk(psi)
    strength = factor * bulk.threshold
    with mpmath.workdps(30):
        location = mpmath.diff(lambda t: mpmath.sqrt((1 + t**2) * (psi + t**2)) / t, strength)
        overlap = mpmath.diff(lambda t: 1 - (psi + t**2) / (t**2 * (t**2 + 1)), strength)
    assert bulk.location_slope(strength) == pytest.approx(float(location), rel=1e-11)
    assert bulk.right_overlap_slope(strength) == pytest.approx(float(overlap), rel=1e-11)
    assert 0 < bulk.location_slope(strength) <= 1


@pytest.mark.parametrize("psi", PSI)
def test_an_outlier_leaves_the_edge_with_overlap_zero(psi):
    bulk = RigidBulk(psi)
    assert bulk.location(bulk.threshold) == pytest.approx(bulk.upper, rel=1e-14)
    assert bulk.right_overlap(bulk.threshold) == pytest.approx(0, abs=1e-13)
    assert bulk.left_overlap(bulk.threshold) == pytest.approx(0, abs=1e-13)
    assert bulk.right_overlap(1e6 * bulk.upper) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("psi", PSI)
def test_transposing_the_matrix_exchanges_the_overlaps(psi):
    """W^T/√ψ is d × N with variance 1/N: a bulk of ratio 1/ψ."""
    bulk, other = RigidBulk(psi), RigidBulk(1 / psi)
    strength = 1.7 * bulk.threshold
    assert bulk.left_overlap(strength) == pytest.approx(other.right_overlap(strength / psi**0.5), rel=1e-12)
    assert bulk.location(strength) == pytest.approx(psi**0.5 * other.location(strength / psi**0.5), rel=1e-12)


@pytest.mark.parametrize(("rows", "columns"), [(500, 1000), (1000, 500)])
def test_against_a_drawn_matrix(rows, columns):
    rng = np.random.default_rng(3)
    bulk = RigidBulk(rows / columns)
    u, v = (vector / np.linalg.norm(vector) for vector in (rng.standard_normal(rows), rng.standard_normal(columns)))
    strength = 2.5 * bulk.threshold
    matrix = rng.standard_normal((rows, columns)) / np.sqrt(columns) + strength * np.outer(u, v)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    # Fluctuations are of order columns^(-1/2) = 0.03-0.045 times a factor below one; the seed is fixed.
    assert values[0] == pytest.approx(bulk.location(strength), rel=0.02)
    assert values[1] == pytest.approx(bulk.upper, rel=0.02)
    assert values[-1] == pytest.approx(bulk.lower, abs=0.03)
    assert (right[0] @ v) ** 2 == pytest.approx(bulk.right_overlap(strength), abs=0.03)
    assert (left[:, 0] @ u) ** 2 == pytest.approx(bulk.left_overlap(strength), abs=0.03)
