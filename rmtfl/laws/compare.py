"""Which predicted number of a law is compared with which simulated one, and how far it may be off at finite size.

Judged: location and overlap of every outlier that stands alone, and the share of eigenvalues below three points.
Shown: outliers that do not stand alone, or are of free sums and products, where what one draw scatters is not derived;
the edges, and the distance between distribution functions.

The allowance of an outlier is the difference between the forward map z of the limit and that of the matrix at hand,
whose p - 1 other population eigenvalues t are dealt out, with n = p/γ rounded:

    sample covariance:  z(ℓ) = ℓ + (ℓ/n) Σ t/(ℓ - t),      standard deviation of the outlier  s = ℓ sqrt(2 z'/n),
    Wigner, variance v: z(ℓ) = c + ℓ + (v/p) Σ 1/(ℓ - t),   s = sqrt(2 v z'/p),

plus the next order in r = s |z''|/z'², by how much one standard deviation changes z': s r of the location, which is
four times the mean shift that follows from Bai and Silverstein (Ann. Probab. 32, 2004, theorem 1.1), and r² + 4/p of
the overlap. r is small unless the spike is within s of its threshold or another outlier within s of this one: there
the limit says nothing about one matrix, and nothing is judged. A share moves by at most 1/p for each spike, for each
population eigenvalue that cannot be dealt out exactly and for the rounding of n (interlacing), and by 1/p for the
noise's own mean. Checked in tests/laws/test_compare.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtfl.compare import Finding, Quantity
from rmtfl.laws.base import Floats
from rmtfl.laws.predict import build_law
from rmtfl.laws.spec import LawTable, Part
from rmtfl.montecarlo.law import classes, deal, population, samples
from rmtfl.statistics import kolmogorov_distance

Draws = Mapping[str, NDArray[np.float64]]

#: An outlier stands alone while one standard deviation changes z' by less than this part.
ALONE = 0.25

#: Eigenvalues by which a share of random features may be off: the even part of the activation adds spikes, and its
#: higher orders move the rest (2.1 was the most seen, of relu at N = 2d = n/2, at two sizes).
FEATURES = 6

#: Draws whose distribution function is held against the law's.
DISTANCES = 8

#: Eigenvalues below this part of the law's reach are zeros of a matrix of smaller rank.
ROUNDING = 1e-9

OUTLIER_REASON = "the population as dealt out at this size, and the next order in the outlier's own fluctuation"
SHARE_REASON = "one eigenvalue for each spike, for what cannot be dealt out exactly, for rounding n and for the noise"


@dataclass(frozen=True)
class MappedOutlier:
    """A spike's outlier by the forward map, up to what only a matrix's randomness changes.

    Attributes:
        location: z(ℓ).
        overlap: Squared overlap.
        spread: Standard deviation s of its location.
        sensitivity: r = s |z''|/z'²; infinite where there is no outlier.
    """

    location: float
    overlap: float
    spread: float
    sensitivity: float


def finite_outlier(table: LawTable, index: int) -> MappedOutlier:
    """Return the outlier of spike `index` with the other population eigenvalues as they are dealt out."""
    others = np.delete(population(table, table.spikes, table.size), index)
    if table.family == "semicircle":
        return _mapped(table, index, others, np.full(others.size, _variance(table) / table.size))
    assert table.ratio is not None
    return _mapped(table, index, others, np.full(others.size, 1 / samples(table.size, table.ratio)))


def limiting_outlier(table: LawTable, index: int) -> MappedOutlier:
    """Return the same in the limit, but for `spread` and `sensitivity`, which are those at the table's size."""
    if table.family == "semicircle":
        return _mapped(table, index, np.zeros(1), np.array([_variance(table)]))
    assert table.ratio is not None
    atoms, weights = table.atoms or (_variance(table),), table.weights or (1.0,)
    return _mapped(table, index, np.array(atoms), table.ratio * np.array(weights))


def _variance(table: LawTable) -> float:
    return 1.0 if table.variance is None else table.variance


def _mapped(table: LawTable, index: int, others: Floats, masses: Floats) -> MappedOutlier:
    spike = table.spikes[index]
    apart = spike - others
    if not np.all(apart):
        return MappedOutlier(inf, 0.0, inf, inf)
    if table.family == "semicircle":
        start, numerator, factor = table.centre or 0.0, np.ones(others.size), 1.0
        noise = (2 * _variance(table) / table.size) ** 0.5
    else:
        start, numerator, factor = 0.0, others, spike
        noise = spike * (2 / samples(table.size, table.ratio or 1.0)) ** 0.5
    location = start + spike + factor * float(np.sum(masses * numerator / apart))
    slope = 1 - float(np.sum(masses * numerator**2 / apart**2))
    bend = 2 * float(np.sum(masses * numerator**2 / apart**3))
    if slope <= 0:
        return MappedOutlier(location, 0.0, inf, inf)
    overlap = slope if table.family == "semicircle" else slope * spike / location
    spread = noise * slope**0.5
    return MappedOutlier(location, overlap, spread, spread * abs(bend) / slope**2)


def quantities(setup: Any, prediction: Mapping[str, Any], trials: Draws) -> Iterator[Quantity]:
    """What is compared in a row of a law study.

    Args:
        setup: The row.
        prediction: Its document.
        trials: `eigenvalues` (trials, p), ascending, `locations` and `overlaps` (trials, spikes), or empty.
    """
    table: LawTable = setup.law
    for i, outlier in enumerate(prediction["outliers"]):
        if outlier["location"] is None:
            continue
        allowances = _outlier_allowances(table, i)
        for name, allowance in zip(("location", "overlap"), allowances or (0.0, 0.0), strict=True):
            yield Quantity(
                f"{name}, spike {table.spikes[i]:g}",
                float(outlier[name]),
                float(outlier["error"]),
                _column(trials, f"{name}s", i),
                allowance=allowance,
                reason=OUTLIER_REASON if allowances else "",
                judged=allowances is not None,
            )
    values = np.asarray(trials.get("eigenvalues", np.empty((0, 0))))
    zero = ROUNDING * max(abs(float(edge)) for edge in prediction["edges"])
    for share in prediction["shares"]:
        below = np.mean(values <= share["x"] + zero, axis=1) if values.size else np.empty(0)
        yield Quantity(
            f"share below {share['x']:.4g}",
            float(share["share"]),
            float(share["error"]),
            tuple(below.tolist()),
            allowance=share_allowance(table),
            reason=SHARE_REASON,
            judged=True,
        )
    ends = _ends(prediction, trials)
    for k, edge in enumerate(prediction["edges"]):
        sample = ends[:, k] if np.isfinite(ends[:, k]).all() else np.empty(0)
        yield Quantity(f"edge {k + 1}", float(edge), float(prediction["edges_error"]), tuple(sample.tolist()))


def _outlier_allowances(table: LawTable, index: int) -> tuple[float, float] | None:
    """How far an outlier's location and overlap may be off at this size; None where that is not known."""
    if table.first is not None:
        return None
    finite, limit = finite_outlier(table, index), limiting_outlier(table, index)
    r = finite.sensitivity
    if not r < ALONE:
        return None
    return (
        abs(finite.location - limit.location) + finite.spread * r,
        abs(finite.overlap - limit.overlap) + finite.overlap * (r**2 + 4 / table.size),
    )


def share_allowance(table: LawTable) -> float:
    """How far the share of eigenvalues below a point may be from the law's distribution function."""
    p, spikes = table.size, len(table.spikes)
    if table.family == "random-features":
        return FEATURES / p
    if table.variances is not None:
        n = samples(p, table.ratio or 1.0)
        down, across = _unfair(table.rows, len(table.variances), p), _unfair(table.columns, len(table.variances[0]), n)
        return 2 / p + down + across * n / p
    if table.first and table.second:
        # What moves eigenvalues of one matrix is of low rank, and moves as many of the sum's or the product's.
        dealt = _misdealt(table.first, p, p - spikes) + _misdealt(table.second, p, p)
        return (4 + spikes) / p + dealt
    return (2 + spikes) / p + _misdealt(table, p, p - spikes)


def _misdealt(table: LawTable | Part, size: int, rest: int) -> float:
    """The share of population eigenvalues that are not as the weights have it, `rest` of `size` being dealt out."""
    if table.atoms is None or table.weights is None:
        return 0.0
    bulk, atoms, weights = deal(table.atoms, table.weights, rest), np.array(table.atoms), np.array(table.weights)
    counts = np.array([np.count_nonzero(bulk == atom) for atom in atoms])
    wanted = np.array([np.sum(weights[atoms == atom]) for atom in atoms])
    return _off(counts, wanted, size)


def _unfair(shares: tuple[float, ...] | None, count: int, size: int) -> float:
    """The same for `size` rows or columns of a profile in `count` classes."""
    return _off(np.bincount(classes(shares, count, size), minlength=count), shares or [1 / count] * count, size)


def _off(counts: ArrayLike, wanted: ArrayLike, size: int) -> float:
    """The part of `size` that would have to change its class to be dealt out as wanted."""
    return float(np.abs(np.asarray(counts) / size - np.asarray(wanted)).sum()) / 2


def diagnostics(setup: Any, prediction: Mapping[str, Any], trials: Draws) -> Iterator[Finding]:
    """The Kolmogorov distance between the eigenvalues without outliers and zeros, and the law without its atoms."""
    law = build_law(setup.law)
    zero = ROUNDING * max(abs(float(edge)) for edge in prediction["edges"])
    null = sum(mass for _, mass in law.atoms)

    def cdf(x: Floats) -> Floats:
        return (law.cdf(x) - null) / (law.mass - null)

    distances = []
    for values, own in zip(trials["eigenvalues"], _own(prediction, trials), strict=True):
        bulk = np.setdiff1d(values, own)
        distances.append(kolmogorov_distance(bulk[np.abs(bulk) > zero] if null else bulk, cdf))
        if len(distances) == DISTANCES:
            break
    mean = float(np.mean(distances))
    yield Finding("distance of bulk to law", f"{mean:.4f}", {"distance": mean, "spectra": len(distances)})
    yield Finding("one eigenvalue", f"{1 / setup.law.size:.4f}", {"share": 1 / setup.law.size})


def _column(trials: Draws, name: str, index: int) -> tuple[float, ...]:
    return tuple(np.asarray(trials[name])[:, index].tolist()) if name in trials else ()


def _own(prediction: Mapping[str, Any], trials: Draws) -> Floats:
    """The outliers' eigenvalues, (trials, outliers)."""
    if "locations" not in trials:
        return np.empty((len(trials["eigenvalues"]), 0))
    outside = [i for i, outlier in enumerate(prediction["outliers"]) if outlier["location"] is not None]
    return np.asarray(trials["locations"])[:, outside]


def _ends(prediction: Mapping[str, Any], trials: Draws) -> Floats:
    """The least and the largest eigenvalue of each bulk, (trials, edges); NaN where a bulk has none."""
    edges = [float(edge) for edge in prediction["edges"]]
    if "eigenvalues" not in trials:
        return np.empty((0, len(edges)))
    inner = [(left + right) / 2 for left, right in zip(edges[1:-1:2], edges[2::2], strict=True)]
    below = edges[0] / 2 if prediction["atoms"] else -inf
    cuts = [below, *inner, inf]
    found = np.full((len(trials["eigenvalues"]), len(edges)), np.nan)
    for row, values, own in zip(found, trials["eigenvalues"], _own(prediction, trials), strict=True):
        bulk = np.setdiff1d(values, own)
        for k, (low, high) in enumerate(pairwise(cuts)):
            part = bulk[(bulk > low) & (bulk < high)]
            if part.size:
                row[2 * k : 2 * k + 2] = part[0], part[-1]
    return found
