"""The weights with the bulk that the update's own noise deforms: its edges, its typical top, outliers beyond it.

At a step size s = η/√N of order one the update's noise is no longer small beside the untrained weights. Given the data
the rows of the trained weights are independent, with a covariance that depends on the row's second-layer weight and on
the data's Gram structure; `pencil` is the deterministic equivalent of that, `one_step`, `two_steps` (independent
batches) and `reused` the covariances, `frame` the mean rows and the target, `branch` the real axis outside the bulk,
`spectrum` and `law` the density within.

Second-layer weights and labels are the quantiles that N neurons and n samples typically have (`nodes`): the answer is
for a typical draw at this size, or for one network where its own are given (`own`). The error reported is the largest
change of the numbers on other nodes, among them coarser ones; what the equations neglect is of relative order N^{-1/2},
and not part of it (theory/deformed-bulk.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from threadpoolctl import threadpool_limits

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.outliers import RigidBulk
from rmtfl.setup import Setup
from rmtfl.weights.deformed import branch, nodes, one_step, own, reused, spectrum, two_steps
from rmtfl.weights.deformed.frame import Trained
from rmtfl.weights.deformed.law import TabulatedLaw, tabulated
from rmtfl.weights.prediction import Bulk, Outlier
from rmtfl.weights.statistics import statistics

__all__ = ["check_offered", "deformed_bulk", "deformed_law"]

MERGING = 1e-6  # relative: all that merging nodes changes, twice the largest change seen (`nodes`)

LARGEST = 10**6  # beyond it one singular value weighs less than what the fixed point resolves at the top of the bulk
TOLERANCE = 2e-2  # of the numerical error where the study asks for none: its default is out of reach of nodes


def deformed_bulk(setup: Setup, strongest: float) -> tuple[Bulk, tuple[Outlier, ...]]:
    """The bulk and the outliers at setup.sizes.width.

    Args:
        setup: one that `check_offered` accepts, at a width.
        strongest: the largest spike of the finite-rank part, which says how far out to look.

    Raises:
        ToleranceNotMet: if a fixed point does not converge, two node counts disagree on what is an outlier, or the
            tolerance asked for is not met.
    """
    rigid = RigidBulk(float(setup.sizes.psi))
    with threadpool_limits(limits=1, user_api="blas"):  # these products are too small to be shared out
        found, *others = (_follow(setup, pencil, rigid, rigid.upper + strongest) for pencil in _pencils(setup))
    outliers = _with_errors(found.outliers, [other.outliers for other in others])
    error = max(abs(a - b) for other in others for a, b in zip(found.bulk, other.bulk, strict=True))
    bulk = Bulk(*found.bulk, error + MERGING * found.bulk[1])
    _check(setup, bulk, outliers)
    return bulk, outliers


class _Found(NamedTuple):
    """What is found on nodes of one kind: lower edge, upper edge and top of the bulk, and the outliers."""

    bulk: tuple[float, float, float]
    outliers: tuple[branch.Found, ...]


def _follow(setup: Setup, pencil: Trained, rigid: RigidBulk, farthest: float) -> _Found:
    found = branch.follow(pencil, farthest)
    top = spectrum.top(pencil, found.edge, setup.sizes.dimension)
    return _Found((branch.lower_edge(pencil, rigid.lower), found.edge, top), found.outliers)


def deformed_law(setup: Setup, lower: float, upper: float) -> TabulatedLaw:
    """The law of the bulk's singular values at setup.sizes.width, between the edges that were predicted.

    Raises:
        ToleranceNotMet: if a fixed point does not converge.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        *_, coarse = _pencils(setup)
        return tabulated(coarse, lower, upper)


def _check(setup: Setup, bulk: Bulk, outliers: tuple[Outlier, ...]) -> None:
    """Hold the errors against the tolerance that the study asks for."""
    tolerance = setup.theory.tolerance if "tolerance" in setup.theory.model_fields_set else TOLERANCE
    errors = {
        "its ends are": float(bulk.error) / float(bulk.upper),
        "an outlier is": max((float(outlier.error) / float(outlier.location) for outlier in outliers), default=0.0),
    }
    for what, error in errors.items():
        if error > tolerance:
            raise ToleranceNotMet(
                f"the deformed bulk: {what} known to {error:.1e}, not to the tolerance {tolerance:g}; "
                "ask for a larger theory.tolerance"
            )


def check_offered(setup: Setup) -> None:
    """Refuse what a deformed bulk is not offered for.

    Raises:
        BadInput: naming the key.
    """
    if setup.theory.order == "leading":
        raise BadInput("key 'theory.order': value leading: a deformed bulk has no leading order; expected finite-width")
    if int(setup.sizes.width) > LARGEST or setup.sizes.dimension > LARGEST:
        raise BadInput(
            f"key 'sizes.width': value {setup.sizes.width}: expected at most {LARGEST} neurons and dimensions for a "
            "deformed bulk, whose largest second-layer weights are resolved one by one; expected bulk = 'rigid' beyond"
        )
    if setup.training.steps > 2:
        raise BadInput(
            f"key 'theory.bulk': value deformed: not offered for {setup.training.steps} steps; expected rigid"
        )


def _pencils(setup: Setup) -> Iterator[Trained]:
    """The pencil on fine nodes, and on others to compare with, the coarsest last."""
    stats = own.statistics(setup, statistics(setup))
    if setup.training.steps == 1:
        yield from (one_step.build(setup, stats, growth) for growth in (nodes.GROWTH, nodes.COARSE))
        return
    # Of a batch that is given there are no other nodes.
    if setup.training.batches == "reused":
        others = (reused.OTHER,) if setup.data.batch is None else ()
        yield from (reused.build(setup, stats, accuracy) for accuracy in (reused.FINE, *others, reused.COARSE))
    else:
        another = (two_steps.OTHER,) if setup.data.batch is None else ()
        levels = (two_steps.FINE, *another, two_steps.COARSE)
        yield from (two_steps.Independent(setup, stats, accuracy) for accuracy in levels)


def _with_errors(found: Sequence[branch.Found], compared: list[tuple[branch.Found, ...]]) -> tuple[Outlier, ...]:
    """The outliers on fine nodes, with the largest changes to any others."""
    for others in compared:
        if len(others) != len(found):
            raise ToleranceNotMet(
                f"the deformed bulk: {len(found)} outliers on fine nodes and {len(others)} on coarse ones: one of them "
                "is too close to the edge to tell"
            )
    outliers = []
    for here, *others_of_it in zip(found, *compared, strict=True):
        location = max(abs(here.location - other.location) for other in others_of_it)
        alignment = max(abs(here.alignment - other.alignment) for other in others_of_it)
        error = max(location + MERGING * here.location, alignment + here.error + MERGING)
        outliers.append(Outlier(here.location, min(max(here.alignment, 0.0), 1.0), error))  # rounding leaves [0, 1]
    return tuple(outliers)
