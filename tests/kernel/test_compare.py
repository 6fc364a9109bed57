"""What is compared in kernel studies, their tables, and their way through the registry."""

import numpy as np
import pytest

from rmtfl.compare import judge
from rmtfl.observables import OBSERVABLES
from rmtfl.study import from_document

NETWORK = {"activation": "erf(x)"}
KERNEL = {"inputs": "sphere", "dimension": 20, "isotropic": 1, "spike": 10}
MATRIX = {"observable": "kernel-matrix", "network": NETWORK, "kernel": {**KERNEL, "samples": 60}}
CURVE = {
    "observable": "learning-curve",
    "network": NETWORK,
    "kernel": {**KERNEL, "samples": [30, 120], "ridge": [0.1, 1]},
    "data": {"target": "x", "noise": 0.5},
}
SPECTRUM = {"observable": "kernel", "network": NETWORK, "kernel": KERNEL}


@pytest.fixture(autouse=True)
def _few_test_points(monkeypatch):
    monkeypatch.setattr("rmtfl.montecarlo.kernel.TESTS", 500)


def run(document, trials=6):
    study = from_document({"schema": 1, **document})
    observable, row = OBSERVABLES[study.observable], study.rows[0]
    prediction = observable.function("predict")(row.setup).as_json()
    drawn = {}
    if observable.trial is not None:
        draws = [observable.function("trial")(row.setup, s) for s in np.random.SeedSequence(6).spawn(trials)]
        drawn = {name: np.array([draw[name] for draw in draws]) for name in draws[0]}
    return row.setup, prediction, drawn, observable


@pytest.mark.parametrize("document", [MATRIX, CURVE])
def test_correct_predictions_agree_and_wrong_ones_do_not(document):
    setup, prediction, drawn, observable = run(document)
    quantities = list(observable.function("quantities")(setup, prediction, drawn))
    judged = [quantity for quantity in quantities if quantity.judged]
    assert judged
    assert {judge(quantity, len(judged)).verdict for quantity in judged} == {"agrees"}
    if "mse" in prediction:
        prediction["mse"] = [2 * mse for mse in prediction["mse"]]
    else:
        prediction["outliers"][0]["location"] *= 2
    wrong = list(observable.function("quantities")(setup, prediction, drawn))
    assert "disagrees" in {judge(quantity, len(judged)).verdict for quantity in wrong}
    assert list(observable.function("quantities")(setup, prediction, {}))
    assert observable.function("memory")(setup) > 8 * 60**2


@pytest.mark.parametrize("document", [SPECTRUM, MATRIX, CURVE])
def test_summaries_show_every_line(document):
    setup, prediction, _, observable = run(document, 1)
    sheet = observable.function("summary")(setup, prediction)
    lines = {
        "kernel": sum(len(block["eigenvalues"]) for block in prediction.get("blocks", [])),
        "kernel-matrix": len(prediction.get("outliers", [])),
        "learning-curve": len(prediction.get("samples", [])),
    }
    assert len(sheet.rows) == lines[document["observable"]] > 0
    assert all(len(row) == len(sheet.columns) for row in sheet.rows)


def test_trials_repeat_with_their_seed():
    setup, _, drawn, observable = run(MATRIX, 2)
    again = observable.function("trial")(setup, np.random.SeedSequence(6).spawn(1)[0])
    np.testing.assert_array_equal(drawn["eigenvalues"][0], again["eigenvalues"])
    assert not np.array_equal(drawn["eigenvalues"][0], drawn["eigenvalues"][1])
