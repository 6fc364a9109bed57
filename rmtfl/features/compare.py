"""Which predicted number of the conjugate kernel is compared with which simulated one, and what is allowed.

Judged: the location and the alignment of the first two outliers, and the number of outliers. Shown: later outliers, the
top of the bulk, the limit's outlier beside that of the width, and the largest eigenvalues on the training batch, which
are those of another matrix. What the theory leaves out is of relative order N^(-1/2), and s² for the part of the bulk
that shares the data's Gram structure; the sizes of the allowances are those measured in validation/features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.compare import Finding, Quantity
from rmtfl.features.table import FeaturesSetup
from rmtfl.miscount import COUNT

Draws = Mapping[str, NDArray[np.float64]]

JUDGED = 2  # outliers, from the largest on
LOCATION = 0.02  # relative
ALIGNMENT = 0.01  # absolute, for labels of unit second moment
EDGE_MARGIN = 2.0  # times the -2/3 power of the smaller side: the scale on which the top of the bulk fluctuates
NEAR_EDGE = 0.15  # an outlier closer than this to the edge, relatively, may be lost in the bulk of one draw


def quantities(setup: FeaturesSetup, prediction: Mapping[str, Any], trials: Draws) -> Iterator[Quantity]:
    """What is compared in one row.

    Args:
        setup: the row.
        prediction: its document.
        trials: 'eigenvalues', 'alignments' and 'training_eigenvalues', each (trials, k), descending; or empty.
    """
    outliers, limit = prediction["outliers"], setup.sizes.width == "limit"
    if limit:
        for spike in prediction["spikes"]:
            if spike["constant"] and spike["exponent"] != "0":
                yield Quantity(f"constant of N^({spike['exponent']}), k = {spike['k']}", float(spike["constant"]))
    for j, outlier in enumerate(outliers):
        judged, location = j < JUDGED and not limit, float(outlier["location"])
        name = "mean spike" if outlier["name"] == "mean" else f"{outlier['name']} spike"
        yield Quantity(
            name,
            location,
            float(outlier["error"]),
            _nth(trials, "eigenvalues", j),
            allowance=LOCATION * location if judged else 0.0,
            reason=f"{LOCATION:.0%} of the location, for finite sizes" if judged else "",
            judged=judged,
        )
        # A vector that knows nothing of the labels has an alignment of their second moment over ñ.
        allowed = prediction["labels"] * (ALIGNMENT + (0.0 if limit else 1 / setup.fresh))
        yield Quantity(
            f"{name}, alignment",
            float(outlier["alignment"]),
            float(outlier["alignment_error"]),
            _nth(trials, "alignments", j),
            allowance=allowed if judged else 0.0,
            reason=f"{ALIGNMENT} and one sample's part of the labels' second moment" if judged else "",
            judged=judged,
        )
    if limit:
        return
    for j, outlier in enumerate(prediction.get("training_batch", {}).get("outliers", ())[:JUDGED]):
        yield Quantity(
            f"training batch, eigenvalue {j + 1}",
            float(outlier["location"]),
            float(outlier["error"]),
            _nth(trials, "training_eigenvalues", j),
        )
    yield Quantity(
        "bulk edge", float(prediction["bulk"]["intervals"][-1][1]), 0.0, _nth(trials, "eigenvalues", len(outliers))
    )
    yield _count(setup, prediction, trials)


def _count(setup: FeaturesSetup, prediction: Mapping[str, Any], trials: Draws) -> Quantity:
    edge, outliers = count_edge(setup, prediction), prediction["outliers"]
    observed = (np.asarray(trials.get("eigenvalues", np.empty((0, 0)))) > edge).sum(axis=1)
    close = sum(float(outlier["location"]) < edge * (1 + NEAR_EDGE) for outlier in outliers)
    reason = f"0.5, and {close} predicted close to the edge"
    sample = tuple(observed.astype(float).tolist())
    return Quantity(COUNT, float(len(outliers)), 0.0, sample, 0.5 + close, reason, judged=True)


def count_edge(setup: FeaturesSetup, prediction: Mapping[str, Any]) -> float:
    """Above this an eigenvalue counts as an outlier: the edge, and the room that the top of the bulk fluctuates in."""
    edge = float(prediction["bulk"]["intervals"][-1][1])
    return edge * (1 + EDGE_MARGIN * math.pow(min(int(setup.sizes.width), setup.fresh), -2 / 3))


def diagnostics(setup: FeaturesSetup, prediction: Mapping[str, Any], trials: Draws) -> Iterator[Finding]:
    """The largest eigenvalues on the training batch, which is another matrix, beside those on fresh samples."""
    for key, name in (("training_eigenvalues", "on the training batch"), ("eigenvalues", "on fresh samples")):
        values = np.asarray(trials[key])[:, :3]
        means = values.mean(axis=0).tolist()
        yield Finding(f"largest {name}", ", ".join(f"{mean:.4g}" for mean in means), {"means": means})


def _nth(trials: Draws, key: str, index: int) -> tuple[float, ...]:
    values = trials.get(key)
    if values is None or values.shape[1] <= index:
        return ()
    return tuple(values[:, index].tolist())
