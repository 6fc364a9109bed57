"""Interval structure and edges of a generalized Marchenko-Pastur law, decided and to the last digit.

The edges are the images z(u) of the real points where Φ(u) = 1 (Silverstein and Choi, J. Multivariate
Anal. 54, 1995). Between two neighbouring atoms Φ^{-1/2} is concave and vanishes at both, so there are two
such points (a gap) or none, according to whether the minimum of Φ there is below 1; outside all atoms
there is exactly one on either side. Three consequences carry the module. The minimum is the zero of
L^{-1/3} - R^{-1/3}, L and R the parts of -Φ'/2 that come from the atoms on the left and on the right:
increasing, and close to linear. Newton on Φ^{-1/2} = 1 from the atom's side is monotone. And since z' = 0
at an edge, an error of u enters the edge squared. The sign of Φ - 1 at the minimum and the edges
themselves are taken in double-double with a bound; a gap whose sign the bound does not settle is decided
with mpmath in as many digits as it takes.

Where it breaks down: exact contact of two bulks (Φ = 1 at a minimum) cannot be told from a gap or a bridge
smaller than 10^-`LAST_DIGITS`; it is then reported as contact (one interval), in `notes`. Checked in
tests/laws/test_generalized.py against certified roots of the algebraic equation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.laws import few, precise
from rmtfl.laws.doubledouble import DoubleDouble, concatenate
from rmtfl.laws.forward import ORIGIN, Floats, ForwardMap, Indices, Points
from rmtfl.laws.structure import EDGE_TOLERANCE, Images, Structure
from rmtfl.newton import refine
from rmtfl.solve import Bracketed, Newton, Root, solve

#: Corrections of an edge's point end here, relative to the distance to contact: Newton squares the last one.
POINT_TOLERANCE = 1e-12

#: A gap is narrow where 1 - Φ at its minimum is below this: doubles then place its ends to 1e-16/1e-8 at
#: worst relative to its width, and the expansion from the minimum to 1e-4.
NARROW = 1e-8

#: Up to this depth of 1 - Φ the expansion starts Newton on the minimum's side of its domain (measured: 0.1
#: does, 0.7 does not where the weights differ by 1e12).
SHALLOW = 0.1

#: Rows of a (points x atoms) table that are worked on at once: 2^17 doubles stay in the cache.
BLOCK = 2**17


def join(parts: list[Points]) -> Points:
    """Concatenate points."""
    return Points(np.concatenate([p.reference for p in parts]), concatenate([p.offset for p in parts]))


def blocks(rows: int, columns: int) -> list[slice]:
    """Return slices that cut `rows` into pieces of about BLOCK entries."""
    size = max(1, BLOCK // max(columns, 1))
    return [slice(i, min(i + size, rows)) for i in range(0, rows, size)]


def structure(forward: ForwardMap) -> Structure:
    """Find every gap and every edge.

    Raises:
        ToleranceNotMet: If an edge could not be found to EDGE_TOLERANCE.
    """
    if forward.atoms.size <= few.FEW and (plain := few.structure(forward)):
        return plain
    return by_arrays(forward)


def by_arrays(forward: ForwardMap) -> Structure:
    """Do what `structure` does, for any number of atoms."""
    notes: list[str] = []
    minima, least = _minima(forward)
    gap = _decide(forward, minima, least, notes)
    gaps = np.flatnonzero(gap)
    if 2 * (gaps.size + 1) * forward.atoms.size <= few.FEW_EDGES and (np.abs(least.hi) > few.PLAIN).all():
        plain = few.edges(forward, gaps.tolist())
        if plain:
            return Structure(*plain, minima, least, gap, tuple(notes))
    points = _critical_points(forward, minima, least, gap)
    found, error = _edges(forward, points)
    edges = found.value
    bad = np.flatnonzero(~(error <= EDGE_TOLERANCE))
    if bad.size:
        for i in bad.tolist():
            # The i-th critical point is the left (odd i) or the right end of a gap, or one of the two
            # outermost.
            inner = 0 < i < points.size - 1
            where = (minima, int(gaps[(i - 1) // 2]), 1 if i % 2 == 0 else -1) if inner else (points, i, 0)
            edges.hi[i], edges.lo[i] = precise.edge(forward, *where)
            error[i] = EDGE_TOLERANCE
        notes.append(f"{bad.size} edges were computed with mpmath: double-double did not carry enough digits")
    if not (error <= EDGE_TOLERANCE).all():
        raise ToleranceNotMet("an edge of the law could not be found to the accuracy of a double")
    return Structure(points, found, error, minima, least, gap, tuple(notes))


def _minima(forward: ForwardMap) -> tuple[Points, DoubleDouble]:
    """Minimise Φ between neighbouring atoms."""
    t, a2 = forward.atoms, forward.double_gwt2
    gaps = np.arange(t.size - 1)
    if gaps.size == 0:
        empty = np.zeros(0)
        return Points(gaps, DoubleDouble(empty)), DoubleDouble(empty)
    width = np.diff(t)
    share = np.cbrt(a2[:-1] / a2[1:])
    share = share / (1 + share)
    right = share > 0.5
    # Offsets are measured from the nearer atom, whose own term dominates.
    reference = gaps + right
    start = np.where(right, (share - 1) * width, share * width)
    lower = np.where(right, -width, 0.0)
    upper = np.where(right, 0.0, width)

    def residual(v: Floats, index: Indices) -> tuple[Floats, Floats]:
        f, slope = np.empty_like(v), np.empty_like(v)
        for part in blocks(v.size, t.size):
            i = index[part]
            d = (t[reference[i]][:, None] - t) + v[part][:, None]
            cube = a2 / (d * d * d)
            fourth = cube / d
            side = np.arange(t.size) <= gaps[i][:, None]
            left, left4 = np.einsum("ij,ij->i", cube, side), np.einsum("ij,ij->i", fourth, side)
            rest, rest4 = -np.einsum("ij,ij->i", cube, ~side), np.einsum("ij,ij->i", fourth, ~side)
            p, q = 1 / np.cbrt(left), 1 / np.cbrt(rest)
            f[part] = p - q
            slope[part] = p / left * left4 + q / rest * rest4
        return f, slope

    problem = Root(residual, lower=lower, upper=upper)
    found = solve(problem, Bracketed(), start, tolerance=1e-13, max_steps=100)
    points = Points(reference, DoubleDouble(found.value))
    return points, _depth(forward, points)


def _depth(forward: ForwardMap, points: Points) -> DoubleDouble:
    """Return Φ - 1, in doubles where it is not small."""
    least = DoubleDouble(np.empty(points.size))
    for part in blocks(points.size, forward.atoms.size):
        some = points[part]
        d = forward.atoms[some.reference][:, None] - forward.atoms + some.offset.hi[:, None]
        least.hi[part] = (forward.double_gwt2 / (d * d)).sum(1) - 1
    small = np.flatnonzero(np.abs(least.hi) < SHALLOW)
    for part in blocks(small.size, forward.atoms.size):
        value, _ = forward.phi_minus_one(points[small[part]])
        least.hi[small[part]], least.lo[small[part]] = value.hi, value.lo
    return least


def _decide(forward: ForwardMap, minima: Points, least: DoubleDouble, notes: list[str]) -> NDArray[np.bool_]:
    """Tell which pairs of neighbouring atoms have a gap between their bulks."""
    gap = least.hi < 0
    close = np.flatnonzero(np.abs(least.hi) < 1e-9)
    if close.size == 0:
        return gap
    _, bound = forward.phi_minus_one(minima[close])
    # The minimiser is off by its own rounding, 1e-12 of its distance to the atom: Φ then exceeds its minimum
    # by less than 3 (1e-12)² of the neighbouring terms, which are at most 1.
    for i, error in zip(close.tolist(), (bound + 1e-23).tolist(), strict=True):
        if abs(least.hi[i]) > error:
            continue
        sign, digits = precise.sign_of_least(forward, minima, i)
        gap[i] = sign < 0
        pair = f"between the atoms {float(forward.atoms[i])!r} and {float(forward.atoms[i + 1])!r}"
        if sign == 0:
            notes.append(f"contact {pair}: neither a gap nor a bridge of 1e-{digits} could be seen")
        else:
            notes.append(f"{'a gap' if sign < 0 else 'no gap'} {pair}: decided with {digits} digits")
    return gap


def _critical_points(forward: ForwardMap, minima: Points, least: DoubleDouble, gap: NDArray[np.bool_]) -> Points:
    """Solve Φ = 1: below all atoms, on both sides of each gap, above all atoms."""
    t, a2 = forward.atoms, forward.double_gwt2
    k = np.flatnonzero(gap)
    # Ascending: the lowest edge, then for each gap the end of one bulk and the start of the next.
    reference = np.concatenate([[0], np.stack([k, k + 1], 1).ravel(), [t.size - 1]])
    direction = np.concatenate([[-1.0], np.tile([1.0, -1.0], k.size), [1.0]])
    start = direction * np.sqrt(a2[reference])
    if k.size:
        # From the minimum, Φ - 1 = -ε + Φ'' h²/2: the better start where ε is small.
        inner = slice(1, -1)
        middle = np.repeat(np.arange(k.size), 2)
        d = forward.differences(minima[k]).to_float()
        curvature = 6 * np.sum(a2 / d**4, 1)
        depth = np.sqrt(-2 * least.hi[k] / curvature)[middle]
        centre = d[middle, reference[inner]]
        guess = centre - direction[inner] * depth
        better = (direction[inner] * (guess - start[inner]) > 0) & (least.hi[k] > -SHALLOW)[middle]
        start[inner] = np.where(better, guess, start[inner])
        narrow = np.flatnonzero((least.hi[k] > -NARROW)[middle])
        near = narrow + 1
    # Measured from the origin where that is nearer: as γ Σ w → 1 the lowest point goes to 0.
    shifted = np.abs(t[0] + start[0]) < 0.5 * t[0] or abs(float(forward.excess.hi)) < 0.25

    def residual(v: Floats, index: Indices) -> tuple[Floats, Floats]:
        f, slope = np.empty_like(v), np.empty_like(v)
        for part in blocks(v.size, t.size):
            d = (t[reference[index[part]]][:, None] - t) + v[part][:, None]
            square = a2 / d**2
            phi = square.sum(1)
            root = phi**-0.5
            f[part] = root - 1
            slope[part] = root / phi * (square / d).sum(1)
        return f, slope

    # Monotone from the atoms' side; rounding stalls it near contact.
    problem = Root(residual, inside=lambda v, index: v * direction[index] > 0)
    found = solve(problem, Newton(), start, tolerance=1e-14, max_steps=200, throw=False)
    offset = DoubleDouble(found.value)
    if k.size and narrow.size:
        # Rounding hides a narrow gap from doubles: there the expansion from the minimum goes straight to
        # Newton in double-double.
        own = minima[k][middle[narrow]]
        reference[near] = own.reference
        close = own.offset - direction[near] * depth[narrow]
        offset.hi[near], offset.lo[near] = close.hi, close.lo
    if shifted:
        u0 = _lowest_from_origin(forward, float(t[0] + found.value[0]))
        offset.hi[0] = u0
        reference[0] = ORIGIN
    return _polish(forward, Points(reference, offset))


def _lowest_from_origin(forward: ForwardMap, start: float) -> float:
    """Solve (γ Σ w - 1) + u γ Σ w (2t - u)/(u - t)² = 0 for the lowest critical point, in the offset from 0."""
    t, gw, excess = forward.atoms, forward.gw.to_float(), float(forward.excess.hi)
    if excess == 0:
        return 0.0
    first = -excess / (2 * float(np.sum(gw / t)))

    def residual(u: Floats, index: Indices) -> tuple[Floats, Floats]:
        del index
        d = u[:, None] - t
        return excess + u * (gw * (2 * t - u[:, None]) / d**2).sum(1), -2 * (gw * t**2 / d**3).sum(1)

    # Φ - 1 increases up to the lowest atom; its Newton iteration from either guess stays there.
    guess = start if abs(excess) > 1e-3 else first
    problem = Root(residual, inside=lambda u, index: u < t[0])
    return float(solve(problem, Newton(), np.array([guess]), tolerance=1e-15, throw=False).value[0])


def _polish(forward: ForwardMap, points: Points) -> Points:
    """Newton on Φ = 1 with the residual in double-double."""
    parts = []
    for part in blocks(points.size, forward.atoms.size):
        some = points[part]

        def correction(offset: DoubleDouble, here: Points = some) -> tuple[Floats, Floats]:
            now = Points(here.reference, offset)
            wide = forward.differences(now)
            value, _ = forward.phi_minus_one(now, wide)
            d = wide.to_float()
            cube = forward.double_gwt2 / d**3
            slope, curvature = -2 * np.sum(cube, 1), 6 * np.sum(cube / d, 1)
            scale = np.minimum(np.abs(offset.hi), np.abs(slope) / curvature)
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(value.hi == 0, 0.0, value.hi / slope), np.where(scale > 0, scale, 1.0)

        offset, _ = refine(correction, some.offset, tolerance=POINT_TOLERANCE)
        parts.append(Points(some.reference, offset))
    return join(parts)


def _edges(forward: ForwardMap, points: Points) -> tuple[Images, Floats]:
    """Return z and z' at the critical points, and a bound on z's relative error as an edge."""
    parts, errors = [], []
    for part in blocks(points.size, forward.atoms.size):
        some = points[part]
        found, d = _images(forward, some)
        cube = forward.double_gwt2 / d**3
        slope, curvature = np.abs(2 * np.sum(cube, 1)), 6 * np.sum(cube / d, 1)
        # Where the point may really be: |Φ - 1| over |Φ'|, doubled for the change of Φ' on the way, as long as that
        # is short against the distance to contact; z is off by |Φ'| δ²/2 + |Φ''| δ³/6.
        with np.errstate(divide="ignore", invalid="ignore"):
            delta = 2 * (np.abs(found.slope.hi) + found.slope_error) / slope
            safe = delta * curvature < 0.5 * slope
            moved = slope * delta**2 / 2 + curvature * delta**3 / 6
            relative = np.where(safe, (found.error + moved) / np.abs(found.value.hi), np.inf)
        # γ Σ w = 1 exactly: the lowest point and the edge are 0.
        exact = (some.reference == ORIGIN) & (some.offset.hi == 0) & (forward.exact_excess == 0)
        parts.append(found)
        errors.append(np.where(exact, 0.0, relative))
    return join_images(parts), np.concatenate(errors)


def _images(forward: ForwardMap, points: Points) -> tuple[Images, Floats]:
    d = forward.differences(points)
    value, error = forward.image(points, d)
    rest, rest_error = forward.phi_minus_one(points, d)
    return Images(value, error, -rest, rest_error), d.to_float()


def join_images(parts: list[Images]) -> Images:
    """Concatenate images."""
    return Images(
        concatenate([p.value for p in parts]),
        np.concatenate([p.error for p in parts]),
        concatenate([p.slope for p in parts]),
        np.concatenate([p.slope_error for p in parts]),
    )


def images(forward: ForwardMap, points: Points) -> Images:
    """Return z and z' at real points."""
    empty = np.zeros(0)
    none = Images(DoubleDouble(empty), empty, DoubleDouble(empty), empty)
    parts = blocks(points.size, forward.atoms.size)
    return join_images([none, *(_images(forward, points[part])[0] for part in parts)])
