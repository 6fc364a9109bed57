"""Averages over a neuron after step one: E σ(h⁽¹⁾) and E σ'(h⁽¹⁾) given its ā and what a sample knows.

On a sample of the second batch the preactivation after step one is (theory/two-step.md, `two-step.preactivation`)

    h⁽¹⁾ = κ h + S (μ₁ G + ξ + ρ φ y σ'(h)),    S = s₁ ā,  κ = 1 + S c₀ μ₂,  ξ ~ N(0, φ m₂ v₁),

with ρ = 1 for a reused batch and 0 for independent ones. Independent: given (ā, G) one Gaussian. Reused and smooth: ξ
and μ₁ G enter only through their sum w, so the average over h is taken on a grid in w and the one over ξ is Mehler's
formula, exact for polynomials in w. Reused and kinked: the average over ξ is taken first (it smooths the kinks, with a
closed form for piecewise-linear links), then the one over h, on panels graded around each kink of σ, where the smoothed
kinks of the outer σ lie at a distance of order S.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from rmtfl.gaussian import density, panels, rule
from rmtfl.links import Link
from rmtfl.weights import piecewise_linear
from rmtfl.weights.second_layer import hermite_rule, orthonormal_hermite
from rmtfl.weights.smoothing import BLOCK, REACH, smooth, value_and_derivative
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]
Both = tuple[Array, Array]

SPLINE_ORDER = 7
MOST_PANELS = 10_000  # around one kink: the width it is smoothed over may vanish beside how far it moves


def independent(link: Link, stats: Statistics, shift: Array, direction: Array, level: float) -> Both:
    """(E σ(h⁽¹⁾), E σ'(h⁽¹⁾)) for independent batches, of shape (len(shift), len(direction)).

    Args:
        link: the activation.
        stats: its moments and the data's.
        shift: values of S = s₁ ā.
        direction: values of G.
        level: refinement of the quadrature.
    """
    kappa = 1 + shift * stats.c0 * stats.mu2
    spread = np.hypot(kappa, shift * stats.specific)
    return smooth(link, np.multiply.outer(shift * stats.mu1, direction), spread[:, None], level)


def reused(
    link: Link, stats: Statistics, shift: Array, direction: Array, label: Array, order: int, level: float
) -> Both:
    """The same for a reused batch, of shape (len(shift), len(direction), len(label)).

    Args:
        link: the activation.
        stats: its moments and the data's.
        shift: values of S = s₁ ā.
        direction: values of G/τ, standard Gaussian.
        label: values of y.
        order: of the Gauss-Hermite rule in w = μ₁ G + ξ (smooth links).
        level: refinement of the average over h.
    """
    if link.kinks and link.is_piecewise_linear:
        S = shift[:, None, None]
        return piecewise_linear.conditional_means(
            link,
            S * stats.c0 * stats.mu2,
            S * stats.mu1 * stats.tau * direction[:, None],
            np.abs(S) * stats.specific,
            S * stats.phi * label,
        )
    if link.kinks:
        return reused_kinked(link, stats, shift, stats.tau * direction, label, level)
    return _reused_smooth(link, stats, shift, direction, label, order, level)


def _reused_smooth(
    link: Link, stats: Statistics, shift: Array, direction: Array, label: Array, order: int, level: float
) -> Both:
    both = value_and_derivative(link)
    h, weight = rule((), level, REACH)
    slope = both(h)[1]
    nodes, node_weights = hermite_rule(order)
    known = stats.mu1 * stats.tau
    spread = math.hypot(known, stats.specific)
    transfer = _mehler(nodes, node_weights, direction, known / spread if spread else 0.0)
    value, derivative = np.empty((2, shift.size, order, label.size))
    self_term = stats.phi * label[:, None] * slope
    size = max(1, BLOCK // self_term.size)
    blocks = [slice(start, start + size) for start in range(0, order, size)]
    for i, s in enumerate(shift):
        base = (1 + s * stats.c0 * stats.mu2) * h + s * self_term
        for part in blocks:
            f, df = both(base + (s * spread) * nodes[part, None, None])
            value[i, part], derivative[i, part] = f @ weight, df @ weight
    return np.matmul(transfer, value), np.matmul(transfer, derivative)


def _mehler(nodes: Array, weights: Array, direction: Array, correlation: float) -> Array:
    """The matrix taking a function's values at Gauss-Hermite nodes u to E[f(u) | g] at given g, corr(u, g) given."""
    order = nodes.size
    basis = orthonormal_hermite(np.concatenate([nodes, direction]), order)
    at_nodes, at_direction = basis[:, :order], basis[:, order:]
    return np.asarray((at_direction.T * correlation ** np.arange(order)) @ (at_nodes * weights))


def reused_kinked(link: Link, stats: Statistics, shift: Array, direction: Array, label: Array, level: float) -> Both:
    """The same for any kinked link by quadrature, of shape (len(shift), len(direction), len(label))."""
    slope = link.derivative().numpy()
    shape = (shift.size, direction.size, label.size)
    value, derivative = np.empty(shape), np.empty(shape)
    furthest = abs(stats.mu1) * np.max(np.abs(direction)) + stats.phi * np.max(np.abs(label)) * steepest(link)
    for i, s in enumerate(shift):
        kappa = 1 + s * stats.c0 * stats.mu2
        width = abs(s) * stats.specific
        h, weight = graded(link.breakpoints, width, abs(s) * furthest, kappa, level)
        mean = kappa * h + s * stats.phi * label[:, None] * slope(h)
        shifts = s * stats.mu1 * direction
        smoothed = _tabulated(link, width, mean.min() + shifts.min(), mean.max() + shifts.max(), level)
        for j, shifted in enumerate(shifts):
            f, df = smoothed(mean + shifted)
            value[i, j], derivative[i, j] = f @ weight, df @ weight
    return value, derivative


def _tabulated(link: Link, width: float, low: float, high: float, level: float) -> Callable[[Array], Both]:
    """The function m ↦ (E σ, E σ') at m + width ξ on [low, high], as a spline, dense where the kinks are smoothed.

    A hundredth of the work of averaging over ξ at every m by itself, for pieces without a closed form.
    """
    if link.is_piecewise_linear:
        return lambda m: smooth(link, m, np.asarray(width), level)
    fine, coarse = (length * 0.7**level for length in (0.4 * width, 0.25))
    offsets = [0.0]
    while offsets[-1] < high - low:
        offsets.append(offsets[-1] + min(coarse, max(fine, 0.2 * (offsets[-1] - REACH * width))))
    ends = {low, high, *np.linspace(low, high, math.ceil((high - low) / coarse) + SPLINE_ORDER + 1).tolist()}
    kept = [m for m in ends if all(abs(m - cut) > REACH * width for cut in link.breakpoints)]
    around = {cut + sign * offset for cut in link.breakpoints for sign in (-1.0, 1.0) for offset in offsets}
    nodes = np.array(sorted({*kept, low, high, *(m for m in around if low < m < high)}))
    nodes = nodes[np.concatenate([[True], np.diff(nodes) > 1e-3 * fine])]
    spline = make_interp_spline(nodes, np.column_stack(smooth(link, nodes, np.asarray(width), level)), k=SPLINE_ORDER)

    def smoothed(m: Array) -> Both:
        both = spline(np.clip(m, nodes[0], nodes[-1]))
        return both[..., 0], both[..., 1]

    return smoothed


def steepest(link: Link) -> float:
    """The largest |σ'| over the bulk of the Gaussian: how far the self term can push."""
    return float(np.max(np.abs(link.derivative().numpy()(np.linspace(-6.0, 6.0, 241)))))


def graded(cuts: tuple[float, ...], width: float, furthest: float, kappa: float, level: float) -> tuple[Array, Array]:
    """Panels in h for N(0, 1), cut at the kinks and fine around them.

    The outer kinks, smoothed over `width`, sit within `furthest` of each cut (both divided by κ): panels of about that
    width fill that range, and double in length beyond it.
    """
    scale = max(abs(kappa), 1e-3)
    far = min(furthest / scale, 2 * REACH)
    fine = min(max(2.5 * width / scale, far / MOST_PANELS), 1.5)
    offsets = [0.0]
    while offsets[-1] < 2 * REACH:
        last = offsets[-1]
        offsets.append(last + (fine if last < far else max(fine, min(last - far + fine, 1.5))))
    reach = REACH
    inside = [c for c in cuts if -reach < c < reach]
    edges = {-reach, reach, *inside}
    for cut in inside:
        for sign in (-1.0, 1.0):
            edges.update(cut + sign * offset for offset in offsets if abs(cut + sign * offset) < reach)
    kept: list[float] = []
    for edge in sorted(edges):
        if kept and edge - kept[-1] < 1e-3 * fine and edge not in inside:
            continue
        kept.append(edge)
    x, w = panels(kept, 3 + round(3.5 * level))
    return x, w * density(x)
