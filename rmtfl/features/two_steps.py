"""Mean rows and spreads after two steps (theory/features.md, `features.two-steps`).

The mean rows are Ψ(ā) of the weights (`rmtfl.weights.rows`), the spreads those of `rmtfl.features.spread`; both are
smooth in ā but for a kink at 0, and interpolated between the nodes of a Gauss rule.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from rmtfl.features import spread as spreads
from rmtfl.setup import Setup
from rmtfl.weights import second_layer
from rmtfl.weights.rows import FIELDS, Resolution, build
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]

NEGLIGIBLE = 1e-10  # relative size of directions of the mean rows that are left out
SPLINE_ORDER = 7  # between the nodes of the Gauss rules in ā, a third apart


def rows(setup: Setup, stats: Statistics, a: Array, level: int) -> tuple[Array, Array]:
    """m(ā) in an orthonormal frame, shape (m, D), and ρ(ā), shape (m,).

    Args:
        setup: of two steps, at a width.
        stats: its moments.
        a: second-layer nodes.
        level: of the resolution of `rmtfl.weights.rows`.
    """
    width = int(setup.sizes.width)
    first, second = (setup.training.step_size(t, width) for t in range(2))
    reused = setup.training.batches == "reused"
    cut = reused and bool(setup.network.activation.kinks)  # the rows then have a kink at ā = 0
    resolution = Resolution.at(np.full(FIELDS, level), cut)
    law = setup.network.second_layer
    nodes, weights = second_layer.rule(law, resolution.second_layer, cut=cut)
    with np.errstate(over="ignore", invalid="ignore"):
        found = build(setup, stats, first, nodes, weights, resolution)
    spread = spreads.reused if reused else spreads.independent
    square = spread(setup, stats, (first, second), (nodes, weights), resolution).total
    mixing = np.column_stack([found.mixing, square])
    if law != "rademacher":
        mixing = _interpolated(nodes, mixing, a, cut)
    mixing, square = mixing[:, :-1], mixing[:, -1]
    spanning = np.vstack([found.direction, found.vectors])
    mixing = a[:, None] * np.column_stack([np.full(a.size, first * stats.mu1), second * mixing])
    triangle = np.asarray(np.linalg.qr(spanning[:, 1:].T, mode="r"))
    across, singular, _ = np.linalg.svd(mixing @ triangle.T, full_matrices=False)
    kept = singular > NEGLIGIBLE * singular[0]
    mean = np.column_stack([mixing @ spanning[:, 0], across[:, kept] * singular[kept]])
    return mean, np.sqrt(np.maximum(square, 0.0))


def _interpolated(nodes: Array, values: Array, a: Array, cut: bool) -> Array:
    """Functions of ā given at the nodes of a Gauss rule, shape (nodes, r), at others; on either side of 0 if cut."""
    if not cut:
        return np.asarray(make_interp_spline(nodes, values, k=SPLINE_ORDER)(a))
    result = np.empty((a.size, values.shape[1]))
    for side, own in ((nodes > 0, a > 0), (nodes <= 0, a <= 0)):
        result[own] = make_interp_spline(nodes[side], values[side], k=SPLINE_ORDER)(a[own])
    return result
