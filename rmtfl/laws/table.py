"""Starting points for u(z): the curve Im z(s + i v) = 0 over each bulk, tabulated, with a bracket behind it.

For each real s between a bulk's two critical points there is one v > 0 with γ Σ w t²/((s - t)² + v²) = 1; the
left side falls with v², and its inverse is concave in v², so Newton from below is monotone. Along the curve
x = Re z(s + i v) increases, dx/ds = |z'|²/Re z' (Biane, Indiana Univ. Math. J. 46, 1997, for the
semicircle; the same proof), and so it does along every level line Im z = η > 0: a bracket on s finds any
u(z). Both are in plain doubles: they start Newton, and nothing here is reported. Checked through `branch`,
which certifies every root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rmtfl.laws.edges import blocks
from rmtfl.laws.forward import Floats, Indices
from rmtfl.solve import Bracketed, Newton, Root, solve

if TYPE_CHECKING:
    from rmtfl.laws.branch import Branch, Target

Complexes = NDArray[np.complex128]

#: Nodes of the table between two neighbouring atoms of a bulk; fewer where there are many atoms.
NODES = 8

#: Φ - 1 at a minimum below this, in modulus, crowds nodes around it (a narrow gap, or a narrow bridge).
CROWDED = 0.3

#: Those nodes approach it like 4^-j, j = 1 ... CROWD: to 1e-7 of the neighbouring segment.
CROWD = 12


class Table:
    """Nodes (s, v, x) over every bulk of a law."""

    def __init__(self, branch: Branch) -> None:
        self.branch = branch
        forward, found = branch.forward, branch.structure
        per = max(2, min(NODES, 600 // forward.atoms.size))
        ends = np.flatnonzero(found.gap)
        first, last = np.append(0, ends + 1), np.append(ends, forward.atoms.size - 1)
        phase = np.sin((np.arange(per) + 0.5) / per * np.pi / 2) ** 2
        crowd = 4.0 ** -np.arange(1, CROWD + 1)
        left_d = forward.differences(branch.points[branch.left]).to_float()
        narrow = np.abs(found.least.hi) < CROWDED
        along = np.zeros(narrow.size)
        close = np.flatnonzero(narrow & ~found.gap)
        if close.size:
            left = branch.position[branch.left[np.cumsum(found.gap)[close]]]
            along[close] = (forward.position(found.minima[close]) - left).to_float()
        pieces = []
        for j, (lo, hi) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
            length = branch.length[j]
            stops = np.concatenate([[0.0], -left_d[j, lo : hi + 1], [length]])
            steps = np.diff(stops)
            nodes = [(stops[:-1, None] + steps[:, None] * phase).ravel(), stops[[0, -1]]]
            if lo > 0 and narrow[lo - 1]:
                nodes.append(crowd * steps[0])
            if hi < narrow.size and narrow[hi]:
                nodes.append(length - crowd * steps[-1])
            nodes += [
                along[lo + k] + np.concatenate([[0.0], crowd, -crowd]) * steps[k + 1] / 2
                for k in np.flatnonzero(narrow[lo:hi]).tolist()
            ]
            pieces.append(np.unique(np.clip(np.concatenate(nodes), 0.0, length)))
        self.bulk = np.repeat(np.arange(len(pieces)), [p.size for p in pieces])
        self.delta = np.concatenate(pieces)
        self.v, above = np.empty_like(self.delta), np.empty_like(self.delta)
        for part in blocks(self.delta.size, forward.atoms.size):
            d = left_d[self.bulk[part]] + self.delta[part, None]
            self.v[part] = height(d, forward.double_gwt2, tolerance=1e-3)
            b = forward.double_gwt2 / left_d[self.bulk[part]] ** 2
            h = self.delta[part] + 1j * self.v[part]
            above[part] = np.real(h**2 * (b / (d + 1j * self.v[part, None])).sum(1))
        share = above / branch.width[self.bulk]
        top = np.append(np.flatnonzero(np.diff(self.bulk)), self.bulk.size - 1)
        bottom = np.append(0, top[:-1] + 1)
        self.v[top] = self.v[bottom] = share[bottom] = 0.0
        share[top] = 1.0
        self.key = np.maximum.accumulate(self.bulk + np.clip(share, 0.0, 1.0) * (1 - 1e-12))
        self.angle = np.arcsin(np.sqrt(np.clip(share, 0.0, 1.0)))

    def start(self, at: Target, bulk: Indices) -> tuple[Indices, Complexes]:
        """Return an anchor and an offset from it, for points inside the given bulks."""
        branch = self.branch
        low, high = -branch.distance(branch.left[bulk], at), branch.distance(branch.right[bulk], at)
        angle = np.arctan2(np.sqrt(low), np.sqrt(high))
        place = np.searchsorted(self.key, bulk + low / branch.width[bulk] * (1 - 1e-12), side="right")
        place = np.clip(place, 1, self.key.size - 1)
        place = np.where(self.bulk[place] > bulk, place - 1, place)
        place = np.where(self.bulk[place - 1] < bulk, place + 1, place)
        rise = self.angle[place] - self.angle[place - 1]
        part = np.clip((angle - self.angle[place - 1]) / np.where(rise > 0, rise, 1.0), 0.0, 1.0)
        delta = self.delta[place - 1] + part * (self.delta[place] - self.delta[place - 1])
        v = self.v[place - 1] + part * (self.v[place] - self.v[place - 1])
        delta, v = self._contact(at, bulk, delta, v)
        anchor = self.nearest(delta, bulk)
        floor = 1e-6 * np.sqrt(np.minimum(low, high))
        return anchor, (delta - branch.along[anchor]) + 1j * np.maximum(v, floor)

    def _contact(self, at: Target, bulk: Indices, delta: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Replace the guess near a narrow gap or bridge by the root of z's cubic at the minimum c of Φ.

        There z'' = 0: x - z(c) = (1 - Φ) h - h³ γ Σ w t²/(c - t)^4. The table cannot do it: the whole contact
        can happen within an ulp of x.
        """
        branch, found = self.branch, self.branch.structure
        narrow = np.flatnonzero(np.abs(found.least.hi) < CROWDED)
        if narrow.size == 0:
            return delta, v
        minima = found.minima[narrow]
        image, _ = branch.forward.image(minima)
        position = branch.forward.position(minima)
        d = branch.forward.differences(minima).to_float()
        fourth, least = (branch.forward.double_gwt2 / d**4).sum(1), np.abs(d).min(1)
        x = at.x if at.base is None else branch.image[at.base] + at.x
        middle = np.searchsorted(0.5 * (image.hi[1:] + image.hi[:-1]), x.hi)
        # The cubic is right within a tenth of the way to the nearest atom.
        near = np.flatnonzero(np.abs(x.hi - image.hi[middle]) < (0.05 * fourth * least**3)[middle])
        if near.size == 0:
            return delta, v
        left, middle = branch.left[bulk[near]], middle[near]
        p = (found.least.hi[narrow] / fourth)[middle]
        q = (x[near] - image[middle]).to_float() / fourth[middle]
        # Cardano, for the two complex roots of h³ + p h + q = 0.
        inner = np.maximum(q * q / 4 + p**3 / 27, 0.0)
        c = np.cbrt(np.abs(q) / 2 + np.sqrt(inner))
        c = np.where(c > 0, c, np.inf)
        re = 0.5 * np.sign(q) * (c - p / (3 * c))
        im = 0.5 * np.sqrt(3) * (c + p / (3 * c))
        place = (position[middle] - branch.position[left]).to_float() + re
        close = (np.hypot(re, im) < 0.1 * least[middle]) & (im > 0)
        close &= (place > 0) & (place < branch.length[bulk[near]])
        delta[near], v[near] = np.where(close, place, delta[near]), np.where(close, im, v[near])
        return delta, v

    def nearest(self, delta: Floats, bulk: Indices) -> Indices:
        """Return the anchor of the bulk that is nearest to its left end plus delta."""
        branch = self.branch
        span = branch.length
        key = branch.bulk + branch.along / span[branch.bulk] * (1 - 1e-12)
        after = np.searchsorted(key, bulk + delta / span[bulk] * (1 - 1e-12), side="right")
        after = np.clip(after, branch.left[bulk] + 1, branch.right[bulk])
        nearer = delta - branch.along[after - 1] < branch.along[after] - delta
        return np.asarray(after - nearer)

    def bracket(self, at: Target, bulk: Indices) -> tuple[Indices, Complexes]:
        """Return what `start` does, from a bracket on s: slow and sure."""
        branch, a2 = self.branch, self.branch.forward.double_gwt2
        # Around the anchor whose image is nearest, where x - z(anchor) has the most digits.
        left = branch.left[bulk]
        x = branch.image[left] - branch.below(left, at)
        order = np.argsort(branch.image.hi, kind="stable")
        sorted_image = branch.image.hi[order]
        anchor = order[np.searchsorted(0.5 * (sorted_image[1:] + sorted_image[:-1]), x.hi)]
        anchor = np.where(branch.bulk[anchor] == bulk, anchor, left)
        eq = branch.expansion(anchor, at)

        def residual(s: Floats, index: Indices) -> tuple[Floats, Floats]:
            some = eq[index]
            f, slope = some.residual(s + 1j * height(some.d.T + s[:, None], a2))
            return f.real, np.abs(slope) ** 2 / np.where(slope.real > 0, slope.real, np.abs(slope))

        lower, upper = -branch.along[anchor], branch.length[bulk] - branch.along[anchor]
        problem = Root(residual, lower=lower, upper=upper)
        s = solve(problem, Bracketed(), 0.5 * (lower + upper), tolerance=1e-13, throw=False).value
        return anchor, s + 1j * height(eq.d.T + s[:, None], a2)

    def descend(self, z: Complexes) -> Complexes:
        """Return u(z) for Im z > 0 roughly: Newton, then a bracket along the level line for what it loses."""
        forward = self.branch.forward
        t, a1, a2 = forward.atoms, forward.gwt.to_float(), forward.double_gwt2
        mean, radius = a1.sum(), np.sqrt(a2.sum())

        def residual(u: Complexes, index: Indices) -> tuple[Complexes, Complexes]:
            inverse = 1 / (u[:, None] - t)
            return u * (1 + inverse @ a1) - z[index], 1 - (inverse * inverse) @ a2

        problem = Root(residual, inside=lambda u, index: u.imag > 0)
        start = z - mean + 1j * radius
        found = solve(problem, Newton(), start, tolerance=1e-6, max_steps=40, throw=False)
        u = found.value
        lost = np.flatnonzero(~(found.error <= 1e-4 * np.abs(u)) | ~(u.imag > 0))
        if lost.size:
            x, eta = z[lost].real, z[lost].imag

            def on_level(s: Floats, index: Indices) -> tuple[Floats, Floats]:
                v = height(s[:, None] - t, a2, eta[index])
                f, slope = residual(s + 1j * v, lost[index])
                return f.real, np.abs(slope) ** 2 / np.maximum(slope.real, 1e-300)

            centre = x - mean
            line = Root(on_level, lower=centre - radius, upper=centre + radius)
            s = solve(line, Bracketed(), centre, tolerance=1e-12, throw=False).value
            u[lost] = s + 1j * height(s[:, None] - t, a2, eta)
        return u


def height(d: Floats, a2: Floats, eta: Floats | None = None, *, tolerance: float = 1e-6) -> Floats:
    """Return v > 0 with Im z(s + i v) = eta, v (1 - Σ a2/(d² + v²)) = eta, for rows d = s - t.

    With eta = 0 (the default) v is 0 where s is outside the bulks.
    """
    square = d * d
    base = np.maximum((a2 - square).max(1), 0.0)
    base = np.where(base > 0, base, 1e-300)

    def residual(y: Floats, index: Indices) -> tuple[Floats, Floats]:
        inverse = 1 / (square[index] + y[:, None])
        total = inverse @ a2
        return 1 / total - 1, (inverse * inverse) @ a2 / total**2

    y = solve(Root(residual), Newton(), base, tolerance=tolerance, max_steps=60, throw=False).value
    v = np.sqrt(np.maximum(y, 0.0))
    if eta is None:
        return v

    def level(v: Floats, index: Indices) -> tuple[Floats, Floats]:
        inverse = 1 / (square[index] + (v * v)[:, None])
        total = inverse @ a2
        return v * (1 - total) - eta[index], 1 - total + 2 * v * v * ((inverse * inverse) @ a2)

    upper = eta + np.sqrt(a2.sum())
    problem = Root(level, lower=np.maximum(v, eta), upper=np.maximum(upper, v))
    return solve(problem, Bracketed(), np.maximum(v, eta), tolerance=1e-12, throw=False).value
