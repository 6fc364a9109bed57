"""Starting points in closed form: the complex pair of roots of a cubic or a quartic, for laws of one to three atoms.

Around an anchor a, with d = a - t and b = γ w t²/d², the equation a0 + a1 h + h² Σ b/(d + h) = 0 times Π (d + h) is a
monic polynomial of degree K + 1 in h, affine in a0, with one pair of complex roots and K - 1 real ones. Its formulas
(Cardano; Ferrari) lose digits where the pair is close to the axis: there the first two terms of the expansion in
sqrt(a0) are taken. What comes back is only ever a start: `branch` certifies it, and replaces it where it is poor.

Checked in tests/laws/test_closed.py against numpy's roots.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

#: Laws of at most this many atoms have a closed form.
ATOMS = 3

#: Ferrari's formula loses the pair where |h|² is below this part of d²; two terms in h are then right to as much.
NEAR = 1e-9


def polynomials(slope: Floats, d: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return the coefficients (own, factor) of the anchors' polynomials own + a0 factor.

    Args:
        slope: a1, shape (A,).
        d: Shape (K, A).
        b: Shape (K, A).

    Returns:
        Both of shape (K + 1, A): those of h^0, ..., h^K; that of h^(K + 1) is 1.
    """
    count, anchors = d.shape
    own, factor = np.zeros((count + 2, anchors)), np.zeros((count + 2, anchors))
    factor[0] = 1.0
    for k in range(count):
        # Multiply all by d + h, and add h² b times what `factor` was.
        before = factor[: count + 1].copy()
        own[1:] = d[k] * own[1:] + own[:-1]
        own[2:] += b[k] * before[:count]
        factor[1:] = d[k] * factor[1:] + before
        factor[0] *= d[k]
    own[1:] += slope * factor[:-1]
    return own[: count + 1], factor[: count + 1]


def pair(c: Floats) -> Complexes:
    """Return the root in C⁺ of monic real polynomials of degree 2, 3 or 4 with one complex pair.

    Args:
        c: Coefficients of h^0, ..., h^(degree - 1), shape (degree, N).

    Returns:
        Shape (N,); not a root, or not finite, where the polynomial is not of this kind.
    """
    if c.shape[0] == 2:
        return _vector(-0.5 * c[1], c[0] - 0.25 * c[1] ** 2)
    if c.shape[0] == 3:
        return _cubic(c)
    return _quartic(c)


def near_edge(a0: Floats, d: Floats, b: Floats) -> tuple[Complexes, Floats]:
    """Return h to two terms in sqrt(a0) around an edge, and |h|² over the square of the least |d|.

    Args:
        a0: z(edge) - x, shape (N,).
        d: edge - t, shape (K, N).
        b: Shape (K, N).
    """
    ratio = b / d
    first, second = ratio.sum(0), (ratio / d).sum(0)
    square = a0 / first
    # a0 + first h² - second h³ = 0: h = ± i sqrt(square) + square-order real part.
    return _vector(-0.5 * square * second / first, square), square / np.min(d * d, axis=0)


def _vector(re: Floats, square: Floats) -> Complexes:
    value = np.empty(re.shape, complex)
    value.real, value.imag = re, np.sqrt(square)
    return value


def _real_root(p: Floats, q: Floats) -> Floats:
    """Return the one real root of y³ + p y + q."""
    half = 0.5 * q
    w = np.cbrt(np.abs(half) + np.sqrt(half * half + p * p * p / 27))
    return np.asarray(np.copysign(w - p / (3 * w), -q))


def _cubic(c: Floats) -> Complexes:
    shift = c[2] / 3
    p, q = c[1] - c[2] * shift, (2 * shift * shift - c[1]) * shift + c[0]
    real = _real_root(p, q) - shift
    # The pair's h² + s h + m: from the product and the linear coefficient, which are small where the pair is.
    product = -c[0] / real
    half = 0.5 * (product - c[1]) / real
    return _vector(-half, product - half * half)


def _quartic(c: Floats) -> Complexes:
    shift = 0.25 * c[3]
    square = shift * shift
    p = c[2] - 6 * square
    q = c[1] - 2 * shift * c[2] + 8 * square * shift
    r = c[0] - shift * c[1] + square * c[2] - 3 * square * square
    # Ferrari's resolvent m³ + p m² + (p²/4 - r) m - q²/8 = 0.
    third = p / 3
    linear = 0.25 * p * p - r
    m = _real_root(linear - p * third, (2 * third * third - linear) * third - 0.125 * q * q) - third
    s = np.sqrt(2 * m)
    return _vector(np.copysign(0.5 * s, q) - shift, 0.5 * (p + m + np.abs(q) / s))
