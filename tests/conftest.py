"""Documents that several test modules need: a study, and predictions and draws that agree with one another."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from rmtfl.outliers import RigidBulk
from rmtfl.study import Row
from tests import programs

# The same examples at every run: a failure is the change's own, and can be looked at again.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

STUDY: dict[str, Any] = {
    "schema": 1,
    "title": "Two steps",
    "observable": "weights",
    "network": {"activation": "tanh(x + 7/10)", "second_layer": "gaussian"},
    "data": {"target": "tanh(x)", "noise": 0.0},
    "sizes": {"width_ratio": 1, "sample_ratio": 1, "width": 60},
    "training": {"batches": "reused", "loss": "squared", "alpha": ["3/10", "3/10"], "scale": [2, 6]},
    "theory": {"order": "finite-width", "tolerance": 1e-6},
    "montecarlo": {"trials": 4, "seed": 1},
}


@pytest.fixture
def study_document() -> dict[str, Any]:
    """A study as nested mappings, free to be changed."""
    return copy.deepcopy(STUDY)


@pytest.fixture
def latex() -> tuple[str, ...]:
    """The command that compiles a LaTeX file."""
    return programs.latex() or pytest.skip("no LaTeX with booktabs and siunitx is installed")


@pytest.fixture
def browser() -> tuple[str, ...]:
    """The command that opens a page in a browser without a window."""
    return programs.browser() or pytest.skip("no Chromium that starts is installed")


class Agreeing:
    """Predictions of two spikes, and draws scattered around them."""

    strengths = (9.0, 2.5)
    overlap = 0.5

    def prediction(self, row: Row) -> dict[str, Any]:
        bulk = RigidBulk(float(row.setup.sizes.psi))
        return {
            "threshold": 1,
            "critical": False,
            "generic_count": 2,
            "count": 2,
            "update_noise": 0.01,
            "bulk_trusted": True,
            "bulk": {"lower": bulk.lower, "upper": bulk.upper, "top": bulk.upper},
            "spikes": [{"strength": s, "error": 1e-9} for s in self.strengths],
            "outliers": [
                {"location": bulk.location(s), "alignment": self.overlap / (j + 1), "error": 1e-9}
                for j, s in enumerate(self.strengths)
            ],
            "leading": [1.3 * s for s in self.strengths],
        }

    def trials(self, row: Row, count: int = 6, shift: float = 1.0) -> dict[str, np.ndarray]:
        bulk = RigidBulk(float(row.setup.sizes.psi))
        rng = np.random.default_rng(7)
        values, alignments = [], []
        for _ in range(count):
            outliers = shift * np.array([bulk.location(s) for s in self.strengths]) * (1 + 0.002 * rng.normal(size=2))
            inside = np.sort(rng.uniform(bulk.lower, bulk.upper, size=40))[::-1]
            values.append([*outliers.tolist(), *inside.tolist()])
            alignments.append([self.overlap + 0.001 * rng.normal(), self.overlap / 2, *[0.001] * 6])
        spectrum = np.array(values)
        return {"singular_values": spectrum[:, :8], "alignments": np.array(alignments), "spectrum": spectrum}


@pytest.fixture
def agreeing() -> Agreeing:
    return Agreeing()
