"""Funk–Hecke blocks: what a spiked kernel does to functions f(z) Y_ℓ(ω), Y_ℓ a spherical harmonic across the target.

A vector is (p, s ω) with p along the target and ω uniform on S^{N−1}. A kernel that depends on inner products alone
acts on f ⊗ Y_ℓ by the kernel K_ℓ = E[k P_ℓ(t)], t the cosine between ω and ω', P_ℓ the Gegenbauer polynomial with
P_ℓ(1) = 1. By Rodrigues' formula

    K_ℓ = (s s')^ℓ / (N (N + 2) … (N + 2ℓ − 2)) · E_{N+2ℓ}[∂_c^ℓ k],

where nothing cancels: blocks of high degree keep their relative precision, however small they are (d^{−ℓ}).

Two ways lead to the same blocks. `ClosedBlocks` takes ∂_c^ℓ k from a closed dual. `FeatureBlocks` needs no dual: with
k(x, x') = E_w σ(<w, x>) σ(<w, x'>), w = (g, √N ρ ω'), the block is T_ℓ T_ℓ^T for the block T_ℓ of x, w ↦ σ(<w, x>),
itself by Funk–Hecke an integral over one cosine. A link with kinks is then cut at them and integrated against P_ℓ
directly, so that its blocks are accurate relative to the whole kernel, not to themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rmtfl.gaussian import legendre
from rmtfl.kernel.duals import Dual, Pair
from rmtfl.kernel.rules import Cosines, cosines, gegenbauer_rule, line, log_sech, radial_nodes, radius, reach_of
from rmtfl.links import Link

Array = NDArray[np.float64]

CHUNK = 400_000  # kernel values computed at a time: a few arrays of 3 MB, which stay in cache
SMOOTH_NODES = 56  # Gauss nodes for a cosine of standard deviation one: tanh, with its poles at ±iπ/2, to 1e-13
PANEL_NODES = 40  # Gauss–Legendre nodes of a stretch between kinks: 1e-15 on a Gaussian cut at ±9 standard deviations


class Blocks(Protocol):
    """A way to Funk–Hecke blocks."""

    def pairs(self, degree: int, dimension: int, along: Array, across: Array) -> tuple[Array, Array]:
        """K_ℓ between (p_i, s_i) and (p_j, s_j), and between (p_i, s_i) and (−p_j, s_j).

        Args:
            degree: ℓ.
            dimension: N ≥ 2, of the space that ω is in; N may exceed what a double holds exactly.
            along: (M,) components p along the target.
            across: (M,) lengths s ≥ 0 across it.

        Returns:
            Two symmetric (M, M) arrays.
        """
        ...


def pochhammer(dimension: float, degree: int) -> float:
    """N (N + 2) … (N + 2ℓ − 2)."""
    return math.prod(dimension + 2 * k for k in range(degree))


@dataclass(frozen=True)
class ClosedBlocks:
    """Blocks of a closed dual."""

    dual: Dual
    refinement: float = 1.0

    def pairs(self, degree: int, dimension: int, along: Array, across: Array) -> tuple[Array, Array]:
        """See `Blocks.pairs`."""
        rule = cosines(dimension + 2 * degree, self.refinement)
        size = along.size
        rows, columns = np.triu_indices(size)
        same, opposite = np.empty((size, size)), np.empty((size, size))
        each = max(1, CHUNK // rule.t.size)
        for start in range(0, rows.size, each):
            i, j = rows[start : start + each], columns[start : start + each]
            scale = (across[i] * across[j]) ** degree / pochhammer(dimension, degree)
            for sign, target in ((1.0, same), (-1.0, opposite)):
                pair = _pair(along[i], across[i], sign * along[j], across[j], rule)
                values = scale * (self.dual.derivative(degree, pair) @ rule.weights)
                target[i, j] = values
                target[j, i] = values
        return same, opposite


def _pair(p: Array, s: Array, p2: Array, s2: Array, rule: Cosines) -> Pair:
    """Covariances of (p, sω) and (p', s'ω') at every cosine, (pairs, nodes); the determinant is a sum of squares.

    |v ∧ v'|² = (ps' ∓ p's)² + 2|pp'|ss'(1 ∓ t) + s²s'²(1 − t²), the sign that of pp': no term is negative.
    """
    product, lengths = (p * p2)[:, None], (s * s2)[:, None]
    q = (p * p + s * s)[:, None]
    q2 = (p2 * p2 + s2 * s2)[:, None]
    sign = np.where(product >= 0, 1.0, -1.0)
    twist = (p * s2)[:, None] - sign * (p2 * s)[:, None]
    gap = np.where(sign > 0, rule.below, rule.above)
    determinant = twist**2 + 2 * np.abs(product) * lengths * gap + lengths**2 * rule.complement
    c = product + lengths * rule.t
    return Pair(np.broadcast_to(q, c.shape), np.broadcast_to(q2, c.shape), c, determinant)


@dataclass(frozen=True)
class FeatureBlocks:
    """Blocks of any link, through the kernel's feature map."""

    link: Link
    refinement: float = 1.0

    def pairs(self, degree: int, dimension: int, along: Array, across: Array) -> tuple[Array, Array]:
        """See `Blocks.pairs`."""
        size, reach = along.size, float(np.max(np.abs(along)))
        if reach == 0:
            g, g_weights = np.zeros(1), np.ones(1)
        else:
            # The smoothed activation varies on the scale 1 (kinks: the smoothing's own) in p g.
            scale = min(1.0, float(np.max(across))) if self.link.kinks else 1.0
            half = line(math.inf, scale / reach, self.refinement)
            g, g_weights = np.concatenate([-half.z[::-1], half.z]), np.concatenate([half.weights[::-1], half.weights])
        lengths, length_weights = radius(dimension, radial_nodes(dimension, self.refinement))
        mean = self._mean(degree, dimension, float(np.max(across)))
        same, opposite = np.zeros((size, size)), np.zeros((size, size))
        for rho, weight in zip(lengths, length_weights, strict=True):
            spread = np.broadcast_to((across * math.sqrt(dimension) * rho)[:, None], (size, g.size))
            features = mean(along[:, None] * g, spread)
            weighted = features * (weight * g_weights)
            same += weighted @ features.T
            # g ↦ −g turns the feature at −p into the one at p.
            opposite += weighted @ features[:, ::-1].T
        return (same + same.T) / 2, (opposite + opposite.T) / 2

    def _mean(self, degree: int, dimension: int, across: float) -> Callable[[Array, Array], Array]:
        """E[σ(a + b t) P_ℓ(t)] as a function of arrays a and b > 0 of one shape (rows, columns)."""
        if self.link.kinks:
            return lambda a, b: self._cut_mean(degree, dimension, a, b)
        derivative = self.link.derivative(degree).numpy()
        t, weights = gegenbauer_rule(dimension + 2 * degree, math.ceil(SMOOTH_NODES * max(across, 1) * self.refinement))

        def smooth(a: Array, b: Array) -> Array:
            values = np.zeros(a.shape)
            for node, weight in zip(t, weights, strict=True):
                values += weight * derivative(a + b * node)
            return values * b**degree / pochhammer(dimension, degree)

        return smooth

    def _cut_mean(self, degree: int, dimension: int, a: Array, b: Array) -> Array:
        power = dimension - 1
        end = reach_of(power)
        ends = [np.full(a.shape, -end)]
        for kink in self.link.breakpoints:
            t = np.clip((kink - a) / b, -1, 1)
            with np.errstate(divide="ignore"):
                ends.append(np.clip(np.arctanh(t), -end, end))
        ends.append(np.full(a.shape, end))
        # In few dimensions the density sech^{N−1} y is long and its poles at ±iπ/2 set the number of nodes.
        nodes, node_weights = legendre(math.ceil(max(PANEL_NODES, 12 * end) * self.refinement))
        total = np.zeros(a.shape)
        for piece, left, right in zip(self.link.piece_functions(), ends[:-1], ends[1:], strict=True):
            half, middle = (right - left) / 2, (right + left) / 2
            for node, weight in zip(nodes, node_weights, strict=True):
                y = middle + half * node
                t = np.tanh(y)
                density = weight * half * np.exp(log_sech(power, y))
                total += density * piece(a + b * t) * gegenbauer(degree, dimension, t)
        # ∫ sech^{N−1} y dy = √π Γ((N − 1)/2) / Γ(N/2)
        mass = math.sqrt(math.pi) * math.exp(math.lgamma(power / 2) - math.lgamma((power + 1) / 2))
        return total / mass


def gegenbauer(degree: int, dimension: int, t: Array) -> Array:
    """P_ℓ(t) of S^{N−1}, with P_ℓ(1) = 1: (k + N − 2) P_{k+1} = (2k + N − 2) t P_k − k P_{k−1}."""
    before, now = np.zeros_like(t), np.ones_like(t)
    for k in range(degree):
        if k == 0:  # N = 2 would divide zero by zero
            before, now = now, t
        else:
            before, now = now, ((2 * k + dimension - 2) * t * now - k * before) / (k + dimension - 2)
    return now
