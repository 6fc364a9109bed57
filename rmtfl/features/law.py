"""The intervals of the conjugate kernel's bulk, through the laws of rmtfl.

Features of total variance V, a share b² of it linear, follow V ñ/N times the law of sample covariances of population
b² MP + 1 − b² (`rmtfl.laws.random_features`). At a width neurons differ in both: the law is then that of their means,
but for its upper end, which is that of the neurons as they are (`rmtfl.features.bulk`).
"""

from __future__ import annotations

from rmtfl.features.bulk import Bulk
from rmtfl.laws.base import Law
from rmtfl.laws.marchenko_pastur import marchenko_pastur
from rmtfl.laws.random_features import Affine, random_feature_law
from rmtfl.laws.subordinated import SampleCovariance

NONE = 1e-9  # of the variance: a linear part, or a residual, of less is none


def mean_law(bulk: Bulk) -> Law:
    """The law of the eigenvalues of K = F F^T/N, those of the N × N matrix F^T F/N, for neurons that are all alike."""
    linear = float(bulk.weight @ bulk.linear**2)
    residual = float(bulk.weight @ bulk.residual)
    variance = linear + residual
    gamma = bulk.width_ratio / bulk.sample_ratio  # N/ñ
    share = linear / variance
    law: Law
    if share < NONE:
        law = marchenko_pastur(gamma)
    elif share > 1 - NONE:
        law = SampleCovariance(marchenko_pastur(bulk.width_ratio), gamma)
    else:
        law = random_feature_law(share**0.5, bulk.width_ratio, gamma)
    return Affine(law, variance / gamma, 0.0)


def intervals(bulk: Bulk) -> tuple[tuple[float, float], ...]:
    """The intervals of the bulk, ascending; zeros of a matrix of smaller rank are none of them."""
    *lower, (low, _) = ((max(low, 0.0), high) for low, high in mean_law(bulk).support)
    return (*lower, (low, bulk.edge.z))
