"""The prediction of a `law` study: density, edges and outliers, each with how far it may be off.

Errors hold both as relative and as absolute ones (the larger is given), so that no reading of them
understates. Checked in tests/laws/test_predict.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.gaussian import check_square_integrable, expectation
from rmtfl.laws.base import Floats, Interval, Law, Outlier
from rmtfl.laws.convolution import Convolution
from rmtfl.laws.free import FreeProduct, FreeSum
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur
from rmtfl.laws.random_features import random_feature_law
from rmtfl.laws.semicircle import Semicircle
from rmtfl.laws.spec import LawTable, Part
from rmtfl.laws.subordinated import Subordinated
from rmtfl.laws.variance_profile import VarianceProfile
from rmtfl.links import Link, parse

#: Half an ulp: what rounding to a double costs.
HALF_ULP = 2.0**-53

#: Of the distribution function, for each square root of the number of atoms, or each class of a profile: several
#: times what was seen.
SHARE_ERROR = 1e-14

#: Of an edge of a free convolution, relative: some thousand times what was seen against closed forms.
EDGE_ERROR = 1e-12

#: Of its distribution function, beside what is missing of its mass.
QUADRATURE_ERROR = 1e-11

#: Parts of an activation's variance below this are rounding.
LINEAR = 1e-9

#: Points at which the distribution function is looked at to find its quartiles, roughly.
COARSE = 64


@dataclass(frozen=True)
class Digits:
    """Numbers as decimal strings.

    Attributes:
        count: Significant digits.
        edges: All edges, ascending.
        density: One a point.
        outliers: (location, overlap), one a spike; None where subcritical.
    """

    count: int
    edges: list[str]
    density: list[str]
    outliers: list[tuple[str, str] | None]

    def error(self, *numbers: str) -> float:
        """Return a bound on the error of the numbers, relative and absolute; the last digit is rounded."""
        return 10.0 ** (1 - self.count) * max([1.0, *(abs(float(number)) for number in numbers)])


@dataclass(frozen=True)
class LawPrediction:
    """What a law study is answered.

    Attributes:
        x: Where the density is given.
        density: The density there, of the continuous part.
        density_error: Bound on the error of each density, relative and absolute.
        support: The intervals of the continuous part.
        edges_error: Bound on the error of every edge.
        atoms: Point masses (location, mass).
        outliers: One a spike, in the order given.
        shares: (x, distribution function) at three points of the bulk, spread over its mass.
        shares_error: Bound on the error of the latter, absolute.
        digits: The same numbers to as many digits as were asked for, in their stead.
        notes: Decisions that double precision could not take, and how they were taken.
    """

    x: Floats
    density: Floats
    density_error: Floats
    support: tuple[Interval, ...]
    edges_error: float
    atoms: tuple[tuple[float, float], ...]
    outliers: tuple[Outlier, ...]
    shares: tuple[tuple[float, float], ...]
    shares_error: float
    notes: tuple[str, ...]
    digits: Digits | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the prediction as the document that `predict --json` prints."""
        return {
            "density": {
                "x": self.x.tolist(),
                "y": self.density.tolist(),
                "error": float(np.max(self.density_error, initial=0.0)),
            },
            "edges": [edge for interval in self.support for edge in interval],
            "edges_error": self.edges_error,
            "atoms": [{"location": place, "mass": mass, "error": 4 * HALF_ULP} for place, mass in self.atoms],
            "outliers": [
                {
                    "spike": outlier.spike,
                    "location": outlier.location,
                    "overlap": outlier.overlap,
                    "error": outlier.error * max(1.0, abs(outlier.location or 0.0)),
                }
                for outlier in self.outliers
            ],
            "shares": [{"x": x, "share": share, "error": self.shares_error} for x, share in self.shares],
            "notes": list(self.notes),
            **(self._in_digits(self.digits) if self.digits else {}),
        }

    def _in_digits(self, digits: Digits) -> dict[str, Any]:
        """Return what of the document the digits replace."""
        pairs = [found or (None, None) for found in digits.outliers]
        return {
            "density": {"x": self.x.tolist(), "y": digits.density, "error": digits.error(*digits.density)},
            "edges": digits.edges,
            "edges_error": digits.error(*digits.edges),
            "outliers": [
                {
                    "spike": outlier.spike,
                    "location": location,
                    "overlap": overlap,
                    "error": digits.error(location, overlap or "0") if location else 0.0,
                }
                for outlier, (location, overlap) in zip(self.outliers, pairs, strict=True)
            ],
        }


def build_law(table: LawTable | Part) -> Law:
    """Return the law of a table.

    Raises:
        BadInput: If a parameter is out of range; the message names it.
    """
    if isinstance(table, LawTable) and table.family == "random-features":
        return _random_features(table)
    if isinstance(table, LawTable) and table.family == "variance-profile":
        return _variance_profile(table)
    if isinstance(table, LawTable) and table.first and table.second:
        parts = build_law(table.first), build_law(table.second)
        return FreeSum(*parts) if table.family == "free-sum" else FreeProduct(*parts)
    if table.family == "semicircle":
        return Semicircle(1.0 if table.variance is None else table.variance, table.centre or 0.0)
    assert table.ratio is not None
    if table.family == "marchenko-pastur":
        return GeneralizedMarchenkoPastur(table.ratio, [1.0 if table.variance is None else table.variance], [1.0])
    assert table.atoms is not None and table.weights is not None
    return GeneralizedMarchenkoPastur(table.ratio, table.atoms, table.weights)


def _variance_profile(table: LawTable) -> Law:
    assert table.ratio is not None and table.variances is not None
    return VarianceProfile(table.ratio, table.variances, table.rows, table.columns)


def _random_features(table: LawTable) -> Law:
    """The law of σ(WX) by the slope of the standardised activation: E[h σ(h)] over its standard deviation."""
    assert table.activation is not None and table.width_ratio is not None and table.ratio is not None
    check_square_integrable(table.activation, "law.activation")
    mean, first, square = (float(expectation(*factors).value) for factors in _moments(table.activation))
    variance = square - mean**2
    if variance - first**2 <= LINEAR * square or abs(first) <= LINEAR * square**0.5:
        raise BadInput(
            f"key 'law.activation': value {table.activation.text}: its features are linear, constant or uncorrelated "
            "with their input; expected an activation with 0 < |E σ'| < 1 at unit variance"
        )
    return random_feature_law(first / variance**0.5, table.width_ratio, table.ratio)


def _moments(link: Link) -> tuple[tuple[Link, ...], ...]:
    return (link,), (link, parse("x")), (link, link)


@dataclass(frozen=True)
class Numbers:
    """What differs between kinds of law: densities, and how far they, the edges and the shares may be off.

    Attributes:
        density: At the points asked for.
        density_error: Relative.
        edges_error: Relative.
        shares_error: Absolute.
        notes: As in `LawPrediction`.
    """

    density: Floats
    density_error: Floats
    edges_error: float
    shares_error: float
    notes: tuple[str, ...] = ()


def _numbers(law: Law, x: Floats) -> Numbers:
    if isinstance(law, Semicircle):
        return Numbers(law.density(x), _semicircle_error(law, x), 4 * HALF_ULP, SHARE_ERROR)
    if isinstance(law, GeneralizedMarchenkoPastur):
        found, error = law.evaluate(x), float(HALF_ULP + law.structure.error.max())
        share_error = SHARE_ERROR * law.forward.atoms.size**0.5
        return Numbers(found.value, found.error, error, share_error, law.structure.notes)
    if isinstance(law, VarianceProfile):
        found, classes = law.evaluate(x), law.equation.rows.size + law.equation.columns.size
        return Numbers(found.value, found.error, law.edges_error, SHARE_ERROR * classes)
    assert isinstance(law, Convolution | Subordinated)
    found = law.evaluate(x)
    missing = abs(float(law.cdf(law.edges[-1])) - law.mass)
    return Numbers(found.value, found.error, EDGE_ERROR, QUADRATURE_ERROR + 4 * missing)


def predict_law(table: LawTable, tolerance: float, digits: int | None = None) -> LawPrediction:
    """Predict density, edges and outliers of a law.

    Args:
        table: The `[law]` table of a study file.
        tolerance: Relative, of every number reported.
        digits: Significant digits, in place of the tolerance: numbers are then strings in the document.

    Returns:
        A `LawPrediction`; its `as_json()` is the document of the study's row.

    Raises:
        BadInput: If a parameter, point or spike is out of range; the message names it.
        ToleranceNotMet: If a number is not known to the tolerance.
    """
    try:
        law = build_law(table)
    except BadInput as error:
        raise BadInput(str(error) if str(error).startswith("key ") else f"key 'law': {error}") from None
    closed = law if isinstance(law, Semicircle | GeneralizedMarchenkoPastur) else None
    if digits and closed is None:
        raise BadInput(
            f"key 'theory.digits': value {digits}: family {table.family!r} is known in doubles only; expected a "
            "tolerance, or family generalized-marchenko-pastur, marchenko-pastur or semicircle"
        )
    x = points(law, table)
    found = _numbers(law, x)
    outliers, others = _outliers(law, table)
    worst = max([float(np.max(found.density_error, initial=0.0)), found.edges_error, *(o.error for o in outliers)])
    if digits is None and not worst <= tolerance:
        raise ToleranceNotMet(
            f"the law's numbers are known to {worst:.1e} relative and {tolerance:.1e} was asked; "
            "loosen theory.tolerance or leave out the points or spikes nearest to an edge"
        )
    return LawPrediction(
        x,
        found.density,
        found.density_error * np.maximum(1.0, found.density),
        law.support,
        found.edges_error * max(1.0, max(abs(edge) for edge in law.edges)),
        law.atoms,
        outliers,
        shares(law),
        found.shares_error,
        (*found.notes, *others),
        Digits(digits, *closed.with_digits(digits, x, table.spikes)) if digits and closed else None,
    )


def _outliers(law: Law, table: LawTable) -> tuple[tuple[Outlier, ...], tuple[str, ...]]:
    """Return one outlier a spike, that of largest overlap, and what else a spike does."""
    if isinstance(law, Semicircle | GeneralizedMarchenkoPastur):
        return tuple(law.outlier(spike) for spike in table.spikes), ()
    if not isinstance(law, Convolution):
        return (), ()
    outliers, notes = [], []
    for spike in table.spikes:
        if table.family == "free-product" and not spike > 0:
            raise BadInput(f"spikes: {spike!r}: a positive eigenvalue of the first factor is needed")
        found = law.outliers(spike)
        outliers.append(found[0] if found else Outlier(spike, None, None, 0.0))
        notes += [
            f"spike {spike:g} puts another eigenvalue at {other.location:.8g}, of overlap {other.overlap:.6g}"
            for other in found[1:]
        ]
    return tuple(outliers), tuple(notes)


def points(law: Law, table: LawTable) -> Floats:
    """Return the points at which the density is asked for."""
    return grid(law, table.x) if isinstance(table.x, int) else np.array(table.x, float)


def shares(law: Law) -> tuple[tuple[float, float], ...]:
    """Return the distribution function at three points that are near to the quartiles."""
    coarse = grid(law, COARSE)
    x = np.interp(np.array([0.25, 0.5, 0.75]) * law.mass, np.maximum.accumulate(law.cdf(coarse)), coarse)
    return tuple(zip(x.tolist(), law.cdf(x).tolist(), strict=True))


def grid(law: Law, count: int) -> Floats:
    """Return `count` points spread over the support: shared out among its intervals, denser towards the
    edges.

    An interval's points are low + (high - low) sin²; one that does not get two points has its middle or none.
    """
    support = law.support
    shares = np.full(len(support), count // len(support))
    shares[: count % len(support)] += 1
    pieces = []
    for (low, high), share in zip(support, shares.tolist(), strict=True):
        phase = (np.arange(share) + 0.5) / max(share, 1) * np.pi / 2
        pieces.append(np.clip(low + (high - low) * np.sin(phase) ** 2, low, high))
    return np.concatenate(pieces)


def _semicircle_error(law: Semicircle, x: Floats) -> Floats:
    """Bound the relative error of the density sqrt((R - w)(R + w)): R and w are rounded, to two ulps."""
    w = np.abs(x - law.centre)
    room = law.radius - w
    off = 4 * HALF_ULP * (law.radius + w + abs(law.centre))
    if (np.abs(room) <= off).any():
        raise BadInput(f"x: a point lies within rounding of an edge of the law, {law.support[0]}")
    return np.where(room > 0, off / np.maximum(room, off) + 8 * HALF_ULP, 0.0)
