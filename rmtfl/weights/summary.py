"""The prediction of the weights as a table for a reader."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from rmtfl.outliers import RigidBulk
from rmtfl.setup import Setup
from rmtfl.tables import Column, Measured, Sheet, measured
from rmtfl.weights.compare import HEAVY_TAIL, label_kurtosis


def summary(setup: Setup, prediction: Mapping[str, Any]) -> Sheet:
    """One row's prediction, a line a spike, from its document."""
    return _limit(prediction) if setup.sizes.width == "limit" else _finite(setup, prediction)


def threshold_sheet(found: Mapping[str, Any]) -> Sheet:
    """What `threshold` prints, a line a spike, from its document."""
    columns = (Column("k"), Column("exponent"), Column("left"), Column("needs"))
    lines = tuple((str(s["k"]), str(s["exponent"]), f"a^{s['left']}", str(s["needs"])) for s in found["spikes"])
    critical = ", critical" if found["critical"] else ""
    note = f"threshold K = {found['threshold']}{critical}; generic count {found['generic_count']}"
    return Sheet(columns, lines, (note,))


def _headline(prediction: Mapping[str, Any]) -> str:
    bulk = prediction["bulk"]
    critical = ", critical" if prediction["critical"] else ""
    counts = "no threshold at a step exponent of 1/2; "
    if prediction["threshold"] is not None:
        counts = f"threshold K = {prediction['threshold']}{critical}; generic count {prediction['generic_count']}; "
    return f"{counts}count {prediction['count']}; bulk [{_number(bulk['lower'])}, {_number(bulk['upper'])}]" + (
        "" if bulk["top"] == bulk["upper"] else f", its largest singular value typically {_number(bulk['top'])}"
    )


def _finite(setup: Setup, prediction: Mapping[str, Any]) -> Sheet:
    columns = (
        Column("spike"),
        Column("strength", numeric=True),
        Column("strength, leading order", numeric=True),
        Column("outlier", numeric=True),
        Column("alignment", numeric=True),
        Column("error", numeric=True),
    )
    outliers, leading = prediction["outliers"], prediction["leading"]
    lines = []
    deformed = setup.theory.bulk == "deformed"
    # A deformed bulk has outliers of covariance type, without a spike.
    for j, (spike, outlier) in enumerate(itertools.zip_longest(prediction["spikes"], outliers)):
        lines.append(
            (
                str(j + 1),
                _number(spike["strength"], spike["error"]) if spike else Measured("none"),
                _number(leading[j]) if j < len(leading) else Measured(""),
                _number(outlier["location"], outlier["error"]) if outlier else Measured("in the bulk"),
                _number(outlier["alignment"], outlier["error"]) if outlier else Measured(""),
                _scale((outlier if outlier and deformed else spike)["error"]),
            )
        )
    reason = "outliers are those of the deformed bulk"
    if not deformed:
        reason = f"a spike above {RigidBulk(float(setup.sizes.psi)).threshold:.6g} gives an outlier"
    notes = [_headline(prediction), f"{reason}; alignment is a squared overlap"]
    if not prediction["bulk_trusted"]:
        remedy = '; theory.bulk = "deformed" takes it in' if setup.training.steps <= 2 else ""
        notes.append(
            f"left out, and not in the error: the update's own noise, about {prediction['update_noise']:.2g} times the "
            f"variance of the untrained weights, which widens the bulk and moves outliers near it{remedy}"
        )
    if deformed and label_kurtosis(setup) > HEAVY_TAIL:
        notes.append(
            f"heavy-tailed labels, E y⁴/(E y²)² = {label_kurtosis(setup):.3g}: single samples make the top of the "
            "bulk, and a draw's may be a quarter off what is typical"
        )
    return Sheet(columns, tuple(lines), tuple(notes))


def _limit(prediction: Mapping[str, Any]) -> Sheet:
    columns = (
        Column("k"),
        Column("exponent"),
        Column("constant", numeric=True),
        Column("left"),
        Column("kappa", numeric=True),
        Column("alignment", numeric=True),
        Column("error", numeric=True),
        Column("vanishes"),
    )
    lines = tuple(
        (
            str(spike["k"]),
            spike["exponent"],
            _number(spike["constant"], spike["error"]),
            f"a^{spike['left']}",
            _number(spike["kappa"], spike["error"]),
            _number(spike["alignment"], spike["error"]),
            _scale(spike["error"]),
            spike["vanishes"] or "",
        )
        for spike in prediction["spikes"]
    )
    notes = (_headline(prediction), "strength ≃ constant · N^exponent as N → ∞", *_learning(prediction["learning"]))
    return Sheet(columns, lines, notes)


def _learning(learning: Mapping[str, Any]) -> Iterator[str]:
    yield f"information exponent of the target: {learning['information_exponent']}"
    for batches in ("independent", "reused"):
        found = learning[batches]
        kappas = ", ".join(str(_number(kappa)) for kappa in found["kappa"])
        least = f"learned from k = {found['smallest_k']}, for {found['region']}"
        if found["smallest_k"] is None:
            least = "no spike learns the target"
        yield f"{batches} batches: kappa = {kappas}; {least}"


def _number(value: float | str, error: float | str = 0.0) -> Measured:
    """A number as text: digits asked for beyond a float's are kept as they are, and what vanishes is 0."""
    if value == 0:
        return Measured("0")
    return Measured(value) if isinstance(value, str) else measured(value, error=float(error))


def _scale(error: float | str) -> Measured:
    return Measured(error) if isinstance(error, str) else Measured(f"{error:.0e}")
