"""Which predicted number of a kernel, its matrices or its learning curves is compared with which simulated one.

Judged: the first eigenvalue of the degrees 0 and 1 and the top mode's largest share of a harmonic, the location of a
matrix's first outlier, the ends of all its bulks but the one where the smallest eigenvalue lies, and every test error.
Shown: what is less well simulated. The allowances are what the simulation of a kernel cannot resolve and what the
asymptotic formulas leave out at finite n; the sizes of the latter are measured in validation/kernel-matrices and
validation/kernel-figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.compare import Quantity
from rmtfl.errors import BadInput
from rmtfl.statistics import TRACY_WIDOM_MEAN, TRACY_WIDOM_SD

Draws = Mapping[str, NDArray[np.float64]]

EIGENVALUE = 0.01  # relative: the bias of a finite sample, second order in its noise
SHARE = 0.01  # of a share of a harmonic, absolute: alike
SIMULATED_DEGREES = (0, 1)
SHARES = 4  # harmonics whose shares are compared
FIRST_OUTLIER = 0.01  # relative, from n = SMALL on
FIRST_OUTLIER_SMALL = 0.05  # relative, below
SMALL = 300  # samples
ONE_DRAW = 1.25  # times the predicted standard deviation of one draw; seen at n = 150: up to 1.2
TEST_ERROR = 0.03  # relative, from n = FEW on
TEST_ERROR_FEW = 0.08  # relative, below: the formula is optimistic there
FEW = 100  # samples


def kernel_quantities(setup: Any, prediction: Mapping[str, Any], trials: Draws) -> Iterator[Quantity]:
    """What is compared in a row of a kernel study.

    The simulation projects the kernel on finitely many harmonics. If e is the top eigenfunction and ε its share beyond
    them, the projection of e has a Rayleigh quotient of at least (1 − ε) λ: so much is allowed beside the bias.

    Args:
        setup: the row.
        prediction: its document.
        trials: 'eigenvalues' (trials, 2, leading) of degree 0 and 1, 'mixing' (trials, leading, harmonics), or empty.
    """
    values = np.asarray(trials.get("eigenvalues", np.empty((0, len(SIMULATED_DEGREES), 1))))
    shares = np.asarray(trials.get("mixing", np.empty((0, 1, SHARES))))
    mixing = next((block["mixing"][0] for block in prediction["blocks"] if block["degree"] == 0), None)
    # Without the mixing it is not known what the harmonics miss, and nothing is judged.
    beyond = 0.0 if mixing is None else max(0.0, 1 - float(np.sum(mixing[: shares.shape[-1]])))
    for block in prediction["blocks"]:
        if block["degree"] not in SIMULATED_DEGREES:
            continue
        for j, value in enumerate(map(float, block["eigenvalues"][: values.shape[-1]])):
            judged = j == 0 and mixing is not None
            yield Quantity(
                f"degree {block['degree']}, eigenvalue {j + 1}",
                value,
                float(block["error"]),
                tuple(values[:, block["degree"], j].tolist()),
                allowance=(EIGENVALUE + beyond) * value if judged else 0.0,
                reason=f"{EIGENVALUE + beyond:.2%} of it, for finite samples and harmonics" if judged else "",
                judged=judged,
            )
    if mixing is not None:
        largest = int(np.argmax(mixing[:SHARES]))
        for m, share in enumerate(mixing[:SHARES]):
            yield Quantity(
                f"top mode's share of Y_{m}",
                float(share),
                0.0,
                tuple(shares[:, 0, m].tolist()),
                allowance=SHARE + beyond if m == largest else 0.0,
                reason=f"{SHARE + beyond:.4f}, for finite samples and harmonics" if m == largest else "",
                judged=m == largest,
            )


def matrix_quantities(setup: Any, prediction: Mapping[str, Any], trials: Draws) -> Iterator[Quantity]:
    """What is compared in a row of a kernel-matrix study.

    Args:
        setup: the row.
        prediction: its document.
        trials: 'eigenvalues' (trials, n or the largest of them), descending, and 'harmonics' (trials, 4, 4), where the
            target's direction is known; or empty. A single draw has its spread from the prediction.
    """
    small = setup.kernel.samples < SMALL
    relative = FIRST_OUTLIER_SMALL if small else FIRST_OUTLIER
    values = np.asarray(trials.get("eigenvalues", np.empty((0, 0))))
    harmonics = np.asarray(trials.get("harmonics", np.empty((0, 0, 0))))
    for j, outlier in enumerate(prediction["outliers"]):
        rank = _rank(j, prediction)
        yield Quantity(
            f"outlier {j + 1}",
            float(outlier["location"]),
            float(outlier["error"]),
            _column(values, rank),
            allowance=relative * float(outlier["location"]) if j == 0 else 0.0,
            reason=f"{relative:.0%} of the location, at {'few' if small else 'finitely many'} samples"
            if j == 0
            else "",
            judged=j == 0 and rank is not None,
            spread=ONE_DRAW * float(outlier["spread"]) if len(values) == 1 else None,
        )
    if prediction["outliers"]:
        for m, share in enumerate(prediction["outliers"][0]["harmonics"]):
            sample = tuple(harmonics[:, 0, m].tolist()) if harmonics.size else ()
            yield Quantity(f"overlap with Y_{m}", float(share), 0.0, sample)
    for i, edge in enumerate(prediction["bulk"]["edges"]):
        # What is seen at an edge lies inside it by the Tracy–Widom law, whose width a few dozen eigenvalues keep to.
        inside = 1 if edge["upper"] else -1
        # The smallest eigenvalue of all is that of the two samples that are nearest to each other, which no law sees.
        scale, judged = float(edge["scale"]), edge["rank"] is not None and edge["rank"] < setup.kernel.samples - 1
        yield Quantity(
            f"{'top' if edge['upper'] else 'bottom'} of bulk {i // 2 + 1}",
            float(edge["location"]) + inside * TRACY_WIDOM_MEAN * scale,
            float(edge["error"]),
            _column(values, edge["rank"]),
            allowance=TRACY_WIDOM_SD * scale if judged else 0.0,
            reason="one Tracy–Widom standard deviation, for a bulk of few eigenvalues" if judged else "",
            judged=judged,
            spread=ONE_DRAW * float(edge["spread"]) if len(values) == 1 else None,
        )


def matrix_draw(
    arrays: Sequence[NDArray[Any]], setup: Any, eigenvalues: bool = False
) -> dict[str, NDArray[np.float64]]:
    """A user's kernel matrices or their eigenvalues as trials, one a draw.

    Args:
        arrays: each of one dimension (eigenvalues of the n × n matrix over n, in any order; all, or the largest of
            them) or two (the matrix k(x_i, x_j) itself, not divided by n).
        setup: the row they belong to.
        eigenvalues: nothing else is taken here.

    Returns:
        'eigenvalues' of shape (draws, values), descending: as many as the shortest list has.

    Raises:
        BadInput: for a matrix of another shape or one that is not symmetric, or anything that is no spectrum.
    """
    n = int(setup.kernel.samples)
    spectra = []
    for array in arrays:
        if array.ndim == 2 and array.shape != (n, n):
            raise BadInput(f"a matrix of shape {array.shape}; expected (n, n) = {(n, n)}")
        rounding = n * float(np.finfo(np.float32).eps * np.abs(array).max())
        if array.ndim == 2 and float(np.abs(array - array.T).max()) > rounding:
            raise BadInput("a matrix that is not symmetric; expected k(x_i, x_j)")
        values = np.linalg.eigvalsh(array)[::-1] / n if array.ndim == 2 else np.sort(array)[::-1]
        if values[-1] < -rounding:
            raise BadInput(f"an eigenvalue of {values[-1]:g}; expected none below 0")
        if len(values) > n:
            raise BadInput(f"{len(values)} eigenvalues; expected at most n = {n}")
        spectra.append(values)
    shortest = min(len(values) for values in spectra)
    return {"eigenvalues": np.array([values[:shortest] for values in spectra])}


def _rank(j: int, prediction: Mapping[str, Any]) -> int | None:
    """The place of the j-th outlier among the n eigenvalues, if the bulks above it have known numbers of them."""
    locations = [float(outlier["location"]) for outlier in prediction["outliers"]]
    above = [
        edge for edge in prediction["bulk"]["edges"] if not edge["upper"] and float(edge["location"]) > locations[j]
    ]
    if not above:
        return j
    bottom = above[-1]
    if bottom["rank"] is None:
        return None
    return int(bottom["rank"]) + 1 + sum(location < float(bottom["location"]) for location in locations[:j])


def _column(values: NDArray[np.float64], rank: int | None) -> tuple[float, ...]:
    return tuple(values[:, rank].tolist()) if rank is not None and rank < values.shape[-1] else ()


def curve_quantities(setup: Any, prediction: Mapping[str, Any], trials: Draws) -> Iterator[Quantity]:
    """What is compared in a row of a learning-curve study: every test error.

    The simulated one is at the ridge that was predicted best, or at the one that each draw's cross-validation chose.

    Args:
        setup: the row.
        prediction: its document.
        trials: 'mse' (trials, sizes, ridges), 'chosen' (trials, sizes) indices of ridges by cross-validation, or empty.
    """
    ridges = [float(ridge) for ridge in setup.kernel.ridge]
    errors = np.asarray(trials.get("mse", np.empty((0, len(prediction["samples"]), len(ridges)))))
    chosen = np.asarray(trials["chosen"], int) if "chosen" in trials else None
    rows = zip(prediction["samples"], prediction["mse"], prediction["ridge"], prediction["error"], strict=True)
    for i, (n, mse, ridge, error) in enumerate(rows):
        relative = TEST_ERROR_FEW if n < FEW else TEST_ERROR
        yield Quantity(
            f"mse at n = {n}",
            float(mse),
            float(error),
            tuple(errors[np.arange(len(errors)), i, ridges.index(ridge) if chosen is None else chosen[:, i]].tolist()),
            allowance=relative * float(mse),
            reason=f"{relative:.0%} of the error, at finitely many samples",
            judged=True,
        )
