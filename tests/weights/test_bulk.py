"""The law of the bulk that diagnostics and figures hold against spectra."""

from __future__ import annotations

import numpy as np
import pytest

from rmtfl.statistics import kolmogorov_distance
from rmtfl.weights import diagnostics, predict
from rmtfl.weights.bulk import bulk_law, rigid_law
from tests.weights.deformed_networks import Draws, few_nodes, setting


@pytest.mark.parametrize("ratio", ["1/2", 1, 2])
def test_without_a_step_it_is_that_of_the_untrained_weights(ratio):
    case = setting(s=(1e-3,), ratios=(ratio, 1), width=400)
    found, known = bulk_law(case, predict(case).as_json()), rigid_law(case)
    x = np.linspace(0.05, 2.6, 40)
    assert found.cdf(x) == pytest.approx(known.cdf(x), abs=3e-3)
    inner = x[np.abs(known.cdf(x) - 0.5) < 0.4]
    assert found.density(inner) == pytest.approx(known.density(inner), rel=0.02)


def test_it_is_that_of_trained_networks(monkeypatch):
    few_nodes(monkeypatch)
    changes = {"width": 300, "ratios": (1, 2), "second_layer": "rademacher"}
    case = setting("tanh(x+7/10)", "relu(x)", (1.0, 1.0), batches="reused", **changes)
    draws, found = Draws(case, 3, own=False), predict(case)
    document, count = found.as_json(), found.count

    def distance(law):
        return np.mean([kolmogorov_distance(values[count:], law.cdf) for values in draws.values])

    assert distance(bulk_law(case, document)) < 0.015
    assert distance(rigid_law(case)) > 1.4 * distance(bulk_law(case, document))
    findings = diagnostics.diagnostics(
        case, document, {"spectrum": draws.values, "singular_values": draws.values[:, :8], "alignments": draws.aligned}
    )
    shown = {finding.name: finding.numbers for finding in findings}
    assert shown["bulk to deformed law"]["distance"] == pytest.approx(distance(bulk_law(case, document)))
    assert shown["bulk to law of W0"]["distance"] == pytest.approx(distance(rigid_law(case)))
