"""The verdict itself: how often it is wrong on simulated networks. The measured rates are in validation/verdict/."""

from __future__ import annotations

import copy
import json
import runpy
import tomllib
from pathlib import Path

import pytest

from rmtfl.compare import FAMILY_LEVEL, compare_rows
from rmtfl.montecarlo.run import sample
from rmtfl.montecarlo.weights import trial
from rmtfl.statistics import binomial_interval
from rmtfl.study import from_document
from rmtfl.workflow import predict_rows

VALIDATION = Path(__file__).parents[1] / "validation"
QUICKSTART = VALIDATION / "quickstart" / "study.toml"
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


def test_every_recorded_study_of_a_network_is_tried_with_wrong_activations():
    activation = runpy.run_path(str(VALIDATION / "verdict" / "activation.py"))
    recorded = (VALIDATION / "verdict" / "activation.md").read_text(encoding="utf-8")
    for path in sorted(VALIDATION.glob("*/*.toml")):
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        place = path.relative_to(VALIDATION).as_posix()
        if document["observable"] not in activation["NETWORKS"] or place in activation["LEFT_OUT"]:
            continue
        small = activation["small"](document, place)
        lines = [line for line in recorded.splitlines() if line.startswith(f"| {place} |")]
        right, *wrong = lines
        # A study of what the rigid bulk leaves out has rows of it, and finds them wrong.
        assert "| agrees |" in right or "bulk = rigid |" in right
        assert any("| disagrees |" in line for line in wrong), f"{place} notices no wrong activation"
        for name, change in activation["WRONG"].items():
            studies = (from_document(small), from_document(activation["with_activation"](small, change)))
            meant, believed = ([row.setup.network.activation.text for row in study.rows] for study in studies)
            assert len(meant) == len(believed)
            assert any(f"| {name} |" in line for line in wrong) == (meant != believed)
