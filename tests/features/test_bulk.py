"""The upper edge of a layer whose neurons differ, against a search of the whole branch."""

from __future__ import annotations

import numpy as np
import pytest

from rmtfl.features.bulk import Bulk

LAYERS = {
    "beyond the sum of both bounds": (
        Bulk(np.array([0.35, 0.25, 0.4]), np.array([0.0, 25.0, 0.1]), np.array([7000.0, 1e-3, 500.0]), 20.0, 2e4)
    ),
    "residuals of many sizes": Bulk(
        np.array([0.9, 0.09, 0.01]), np.array([1.0, 1e2, 1e-3]), 10.0 ** np.array([-3, 3, 8]), 1e-3, 1.0
    ),
    "few samples": Bulk(np.ones(1), np.array([0.6]), np.array([0.64]), 1e6, 1e-4),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_edge_is_the_least_of_the_branch(name: str) -> None:
    bulk = LAYERS[name]
    edge = bulk.edge
    shifts = np.concatenate([np.linspace(-20, 8, 12_001), np.linspace(-1e-3, 1e-3, 101)])
    heights = [point.z for t in shifts if (point := bulk.at(edge.x * np.exp(t))) is not None]
    assert edge.z <= min(heights) * (1 + 1e-12)
    assert edge.z == pytest.approx(min(heights), rel=1e-6)
