"""The verdict itself: how often it is wrong on simulated networks. The measured rates are in validation/verdict/."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path

import pytest

from rmtfl.compare import FAMILY_LEVEL, compare_rows
from rmtfl.montecarlo.run import sample
from rmtfl.montecarlo.weights import trial
from rmtfl.statistics import binomial_interval
from rmtfl.study import from_document
from rmtfl.workflow import predict_rows

QUICKSTART = Path(__file__).parents[1] / "validation" / "quickstart" / "study.toml"
STUDIES, DRAWS = 40, 8
ONE_STEP = {
    "sizes": {"width": 140, "width_ratio": 1, "sample_ratio": 2},
    "training": {"batches": "reused", "loss": "squared", "alpha": ["3/10"], "scale": [3]},
}


@pytest.fixture(scope="module")
def one_step_draws():
    """A function that gives the draws of many studies of one row; they are simulated once."""
    kept = []

    def draws(study):
        if not kept:
            kept.append(sample("weights", study.rows[0].setup, STUDIES * DRAWS, 20260523, trial))
        return [{key: v[i * DRAWS : (i + 1) * DRAWS] for key, v in kept[0].items()} for i in range(STUDIES)]

    return draws


def alarms(study, prediction, draws):
    return sum(not compare_rows(study, [(study.rows[0], prediction, part)]).agree for part in draws)


def test_false_alarms_are_rarer_than_the_level(study_document, one_step_draws):
    study = from_document(study_document | ONE_STEP)
    (prediction,) = predict_rows(study)
    found = alarms(study, prediction, one_step_draws(study))
    assert binomial_interval(found, STUDIES)[0] <= FAMILY_LEVEL


@pytest.mark.parametrize(
    "wrong",
    [
        {"sizes": {"width": 140, "width_ratio": 2, "sample_ratio": 1}},
        {"network": {"activation": "sigmoid(x)"}},
        {"training": {**ONE_STEP["training"], "scale": [4]}},
    ],
)
def test_a_wrong_theory_is_found_out(wrong, study_document, one_step_draws):
    study = from_document(study_document | ONE_STEP)
    (prediction,) = predict_rows(from_document(study_document | ONE_STEP | wrong))
    found = alarms(study, prediction, one_step_draws(study))
    assert found / STUDIES > 0.9


def test_the_quickstart_notices_a_wrong_activation():
    document = tomllib.loads(QUICKSTART.read_text(encoding="utf-8"))
    document["sizes"]["width"] = 200
    document["theory"] = {"tolerance": 1e-4}
    study = from_document(document)
    draws = [sample("weights", row.setup, DRAWS, study.montecarlo.seed, trial) for row in study.rows]

    def results(activation):
        believed = copy.deepcopy(document)
        believed["network"]["activation"] = activation
        return compare_rows(study, list(zip(study.rows, predict_rows(from_document(believed)), draws, strict=True)))

    right, wrong = results(document["network"]["activation"]), results("sigmoid(x)")
    assert right.agree, json.dumps(right.as_json(), indent=1)
    assert [row.verdict for row in wrong.rows] == ["disagrees"] * len(study.rows)
