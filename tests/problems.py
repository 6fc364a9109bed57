"""One table of reference problems: populations with published values, and the six hard families.

`REFERENCE` holds generalized Marchenko-Pastur laws whose edges and outliers are published to 15 to 18
digits (roots computed with 50). `FAMILIES` draws populations, each family hard in its own way; `points`
draws evaluation points, a third of them next to an edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
import numpy as np


@dataclass(frozen=True)
class Reference:
    """A law whose edges and outliers are known."""

    slug: str
    ratio: float
    atoms: tuple[float, ...]
    weights: tuple[float, ...]
    edges: tuple[str, ...]
    #: spike: (location, squared overlap), or None where subcritical.
    outliers: dict[float, tuple[str, str] | None]


REFERENCE = (
    Reference(
        "two-bulks",
        0.1,
        (1.0, 8.0),
        (0.5, 0.5),
        ("0.560010911605734792", "1.42470391457734094", "4.88188757363395118", "12.0333976001829731"),
        {20.0: ("20.719298245614", ".943699214165813"), 12.0: ("13.2545454545455", ".723905723905724")},
    ),
    Reference(
        "three-bulks",
        0.1,
        (1.0, 3.0, 10.0),
        (0.2, 0.4, 0.4),
        (
            "0.652075272470560961",
            "1.17667210120051656",
            "1.82895545245765641",
            "4.12107691815325701",
            "6.61496826796591358",
            "14.5818075433076510",
        ),
        {12.0: None},
    ),
)


def generic(rng: np.random.Generator) -> tuple[float, np.ndarray, np.ndarray]:
    """Two to five atoms of one order of magnitude."""
    k = int(rng.integers(2, 6))
    return 10 ** rng.uniform(-1.5, 0.7), rng.uniform(0.5, 10, k), normalised(rng.uniform(0.1, 1, k))


def spread(rng: np.random.Generator) -> tuple[float, np.ndarray, np.ndarray]:
    """Atoms over six orders of magnitude."""
    k = int(rng.integers(2, 7))
    atoms = 10 ** rng.uniform(-3, 3, k)
    atoms[:2] = 1e-3, 1e3
    return 10 ** rng.uniform(-2, 1), atoms, normalised(rng.uniform(0.05, 1, k))


def light(rng: np.random.Generator) -> tuple[float, np.ndarray, np.ndarray]:
    """Weights down to 1e-12."""
    k = int(rng.integers(2, 6))
    weights = 10 ** rng.uniform(-12, 0, k)
    weights[:2] = 1.0, 1e-12
    return 10 ** rng.uniform(-2, 0.7), rng.uniform(0.5, 20, k), normalised(weights)


def square(rng: np.random.Generator) -> tuple[float, np.ndarray, np.ndarray]:
    """The ratio within 1e-12 of 1: the lower edge down to 1e-32."""
    _, atoms, weights = generic(rng)
    return 1 + float(rng.choice([-1, 1])) * 10 ** rng.uniform(-15.5, -12), atoms, weights


def touching(rng: np.random.Generator) -> tuple[float, np.ndarray, np.ndarray]:
    """Φ's minimum between two of the atoms within 1e-13 ... 1e-2 of 1: a narrow gap or a narrow bridge."""
    _, atoms, weights = generic(rng)
    atoms = np.sort(atoms)
    i = int(rng.integers(0, atoms.size - 1))
    with mpmath.workdps(40):
        t, w = [mpmath.mpf(float(a)) for a in atoms], [mpmath.mpf(float(a)) for a in weights]

        def slope(u):
            return mpmath.fsum(b * a**2 / (u - a) ** 3 for a, b in zip(t, w, strict=True))

        gap = t[i + 1] - t[i]
        u = mpmath.findroot(slope, (t[i] + gap / 10**3, t[i + 1] - gap / 10**3), solver="anderson", tol=1e-30)
        least = mpmath.fsum(b * a**2 / (u - a) ** 2 for a, b in zip(t, w, strict=True))
        off = float(rng.choice([-1, 1])) * 10 ** rng.uniform(-13, -2)
        return float((1 + mpmath.mpf(off)) / least), atoms, weights


def fifty(rng: np.random.Generator) -> tuple[float, np.ndarray, np.ndarray]:
    """Fifty atoms."""
    return (
        10 ** rng.uniform(-3, 0.5),
        np.sort(10 ** rng.uniform(-1, 1, 50)),
        normalised(rng.uniform(0.1, 1, 50)),
    )


FAMILIES = {f.__name__: f for f in (generic, spread, light, square, touching, fifty)}


def normalised(weights: np.ndarray) -> np.ndarray:
    """Scale weights to sum to 1 within rounding."""
    return weights / weights.sum()


def points(law, rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw points inside the law's bulks, a third of them 1e-9 ... 1e-4 of the bulk's width from an edge."""
    support = law.support
    drawn = []
    for i in range(count):
        low, high = support[int(rng.integers(len(support)))]
        if i % 3 == 0:
            part = 10 ** rng.uniform(-9, -4)
            drawn.append(low + part * (high - low) if rng.random() < 0.5 else high - part * (high - low))
        else:
            drawn.append(rng.uniform(low, high))
    return np.array(drawn)
