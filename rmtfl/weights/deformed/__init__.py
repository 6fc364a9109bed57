"""The weights with the bulk that the update's own noise deforms: its edges, its typical top, outliers beyond it.

At a step size s = η/√N of order one the update's noise is no longer small beside the untrained weights. Given the data
the rows of the trained weights are independent, with a covariance that depends on the row's second-layer weight and on
the data's Gram structure; `pencil` is the deterministic equivalent of that, `one_step`, `two_steps` (independent
batches) and `reused` the covariances,
`frame` the mean rows and the target, `branch` the real axis outside the bulk, `spectrum` the density within.

Second-layer weights and labels are the quantiles that N neurons and n samples typically have (`nodes`): the answer is
for a typical draw at this size. The error reported is the change of every number on coarser nodes; what the equations
neglect is of relative order N^{-1/2}, and not part of it (theory/deformed-bulk.md).
"""

from __future__ import annotations

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.outliers import RigidBulk
from rmtfl.setup import Setup
from rmtfl.weights.deformed import branch, nodes, one_step, reused, spectrum, two_steps
from rmtfl.weights.deformed.branch import Branch
from rmtfl.weights.deformed.frame import Trained
from rmtfl.weights.deformed.law import TabulatedLaw, tabulated
from rmtfl.weights.prediction import Bulk, Outlier
from rmtfl.weights.statistics import statistics

__all__ = ["check_offered", "deformed_bulk", "deformed_law"]

MERGING = 1e-6  # relative: all that merging nodes changes, twice the largest change seen (`nodes`)

LARGEST = 10**6  # beyond it one singular value weighs less than what the fixed point resolves at the top of the bulk
TOLERANCE = 1e-2  # of the numerical error where the study asks for none: its default is out of reach of nodes


def deformed_bulk(setup: Setup, strongest: float) -> tuple[Bulk, tuple[Outlier, ...]]:
    """The bulk and the outliers at setup.sizes.width.

    Args:
        setup: one that `check_offered` accepts, at a width.
        strongest: the largest spike of the finite-rank part, which says how far out to look.

    Raises:
        ToleranceNotMet: if a fixed point does not converge, two node counts disagree on what is an outlier, or the
            tolerance asked for is not met.
    """
    fine, coarse = _pencils(setup)
    rigid = RigidBulk(fine.rows.sum())
    farthest = rigid.upper + strongest
    found = branch.follow(fine, farthest)
    outliers = _with_errors(found, branch.follow(coarse, farthest))
    _check(setup, outliers)
    bulk = Bulk(branch.lower_edge(fine, rigid.lower), found.edge, spectrum.top(fine, found.edge, setup.sizes.dimension))
    return bulk, outliers


def deformed_law(setup: Setup, lower: float, upper: float) -> TabulatedLaw:
    """The law of the bulk's singular values at setup.sizes.width, between the edges that were predicted.

    Raises:
        ToleranceNotMet: if a fixed point does not converge.
    """
    _, coarse = _pencils(setup)
    return tabulated(coarse, lower, upper)


def _check(setup: Setup, outliers: tuple[Outlier, ...]) -> None:
    """Hold the errors against the tolerance that the study asks for."""
    tolerance = setup.theory.tolerance if "tolerance" in setup.theory.model_fields_set else TOLERANCE
    worst = max((float(outlier.error) / float(outlier.location) for outlier in outliers), default=0.0)
    if worst > tolerance:
        raise ToleranceNotMet(
            f"the deformed bulk: an outlier is known to {worst:.1e}, not to the tolerance {tolerance:g}; "
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


def _pencils(setup: Setup) -> tuple[Trained, Trained]:
    """The pencil on fine nodes and on coarse ones."""
    stats = statistics(setup)
    if setup.training.steps == 1:
        return one_step.build(setup, stats), one_step.build(setup, stats, nodes.COARSE)
    if setup.training.batches == "reused":
        return reused.build(setup, stats, reused.FINE), reused.build(setup, stats, reused.COARSE)
    return two_steps.Independent(setup, stats, two_steps.FINE), two_steps.Independent(setup, stats, two_steps.COARSE)


def _with_errors(found: Branch, compared: Branch) -> tuple[Outlier, ...]:
    if len(found.outliers) != len(compared.outliers):
        raise ToleranceNotMet(
            f"the deformed bulk: {len(found.outliers)} outliers on fine nodes and {len(compared.outliers)} on coarse "
            "ones: one of them is too close to the edge to tell"
        )
    return tuple(
        Outlier(
            location=here.location,
            alignment=here.alignment,
            error=max(
                abs(here.location - other.location) + MERGING * here.location,
                abs(here.alignment - other.alignment) + here.error + MERGING,
            ),
        )
        for here, other in zip(found.outliers, compared.outliers, strict=True)
    )
