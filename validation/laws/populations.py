"""Edges, interval structure and densities on random populations of the six hard families, against
certified roots.

    OMP_NUM_THREADS=1 python -m validation.laws.populations --count 2000 -o validation/laws/populations.json

Each population is drawn from its own seed, so any of them can be drawn again. The truth is
`tests.laws.truth`: all roots of the algebraic equations, isolated with proof in exact rational arithmetic,
to 50 digits. Families are given equal shares of the count. Takes about five minutes, nearly all of it for
the truth of the fifty atoms.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import mpmath
import numpy as np

from rmtfl.laws.generalized import GeneralizedMarchenkoPastur
from rmtfl.laws.interpolant import Interpolant
from tests.laws.truth import Truth
from tests.problems import FAMILIES, points

SEED = 20260517
POINTS = 20


def relative(value: float, exact: mpmath.mpf) -> float:
    """Return the relative error, 0 for two zeros, infinite where one of them is 0."""
    if exact == 0:
        return 0.0 if value == 0 else float("inf")
    return float(abs(mpmath.mpf(float(value)) - exact) / abs(exact))


def check(family: str, index: int) -> dict[str, float]:
    """Compare one population with the truth."""
    rng = np.random.default_rng(np.random.SeedSequence([SEED, list(FAMILIES).index(family), index]))
    ratio, atoms, weights = FAMILIES[family](rng)
    law, truth = GeneralizedMarchenkoPastur(ratio, atoms, weights), Truth(ratio, atoms, weights)
    edges = truth.edges()
    if len(edges) != len(law.edges):
        return {"structure": 1}
    x = points(law, rng, POINTS)
    exact = [truth.density(v) for v in x.tolist()]
    result = {"structure": 0, "edges": max(map(relative, law.edges, edges)), "notes": len(law.structure.notes)}
    for name, found in (("direct", law.evaluate(x)), ("interpolant", Interpolant(law).evaluate(x))):
        errors = np.array([relative(v, e) for v, e in zip(found.value, exact, strict=True)])
        result[name] = float(errors.max())
        result[f"{name}_understated"] = int((errors > found.error).sum())
        result[f"{name}_reported"] = float(found.error.max())
    return result


def main() -> None:
    """Run every family and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000, help="populations in all")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    rows = {}
    for i, family in enumerate(FAMILIES):
        share = arguments.count // len(FAMILIES) + (i < arguments.count % len(FAMILIES))
        with mpmath.workdps(60):
            results = [check(family, k) for k in range(share)]
        whole = [r for r in results if not r["structure"]]
        rows[family] = {
            "populations": share,
            "points": POINTS * share,
            "wrong structures": sum(r["structure"] for r in results),
            "decided beyond double-double": sum(r["notes"] for r in whole),
            **{
                f"worst {key}": f"{max(r[key] for r in whole):.1e}"
                for key in ("edges", "direct", "direct_reported", "interpolant", "interpolant_reported")
            },
            "understated": sum(r["direct_understated"] + r["interpolant_understated"] for r in whole),
        }
        print(family, rows[family], flush=True)
    document = {
        "command": f"python -m validation.laws.populations --count {arguments.count}",
        "seed": SEED,
        "promised": {"edges": 4e-16, "direct": 1e-12, "interpolant": 1e-11},
        "families": rows,
    }
    arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
