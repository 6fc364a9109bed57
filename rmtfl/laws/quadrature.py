"""The distribution function of a law from its density: Gauss-Legendre in the angle that takes the square roots out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rmtfl.laws.base import Floats, Law

#: Nodes an interval.
NODES = 200


def distribution(law: Law, x: ArrayLike) -> Floats:
    """Return the distribution function at x, of any shape, to about 1e-12 unless bulks nearly touch."""
    points = np.asarray(x, float)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    total = sum((mass * (points >= place) for place, mass in law.atoms), np.zeros(points.shape))
    for low, high in law.support:
        part = np.clip((points - low) / (high - low), 0.0, 1.0)
        end = 2 * np.arcsin(np.sqrt(part))
        angle = 0.5 * end[..., None] * (nodes + 1)
        inner = low + (high - low) * np.sin(angle / 2) ** 2
        mass = law.density(inner) * (high - low) * np.sin(angle) / 2
        total = total + 0.5 * end * (mass @ weights)
    return np.asarray(total)
