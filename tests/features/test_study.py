"""Features studies as files: what is read, refused, compared and drawn."""

import json

import numpy as np
import pytest

from rmtfl.compare import compare_rows
from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.features.table import standardised
from rmtfl.gaussian import expectation
from rmtfl.links import parse
from rmtfl.study import from_document
from tests.features.cases import row

DOCUMENT = {
    "schema": 1,
    "observable": "features",
    "network": {"activation": "tanh(x + 7/10)"},
    "data": {"target": "tanh(x)"},
    "sizes": {"width_ratio": 1, "sample_ratio": 1, "width": [200, "limit"]},
    "training": {"batches": "independent", "alpha": ["3/10"], "scale": [3]},
    "features": {"samples": "3/2"},
}


def study(**changes):
    return from_document({**DOCUMENT, **changes})


def judged(found, count=6):
    rows, trials = [], []
    for one in found.rows:
        seeds = np.random.SeedSequence(8, spawn_key=(1,)).spawn(count)
        draws = [found.kind.function("trial")(one.setup, seed) for seed in seeds] if one in found.simulable else []
        shared = {name: np.array([draw[name] for draw in draws if name in draw]) for name in draws[0]} if draws else {}
        rows.append((one, found.kind.function("predict")(one.setup).as_json(), shared))
        trials.append(shared)
    return compare_rows(found, rows), trials


@pytest.mark.parametrize(
    ("table", "key", "value", "message"),
    [
        ("features", "samples", 0, "'features.samples': value 0"),
        ("features", "samples", "1/1000", "fewer than 2 samples"),
        ("features", "centre", "yes", "'features.centre'"),
        ("features", "size", 3, "'features.size': value 3: nothing reads it"),
        ("training", "alpha", ["1/10"] * 3, "expected at most 2 for features"),
        ("theory", "order", "leading", "features have one theory"),
        ("network", "activation", "sign(x)", "jumps"),
    ],
)
def test_bad_input_is_named(table, key, value, message):
    changed = {**DOCUMENT.get(table, {}), key: value}
    if key == "alpha":
        changed["scale"] = [1] * len(value)
    with pytest.raises(BadInput, match=message):
        study(**{table: changed})


def test_a_link_without_moments_is_refused():
    found = study(data={"target": "exp(x**2)"})
    with pytest.raises(BadInput, match="no finite Gaussian second moment"):
        found.kind.function("predict")(found.rows[0].setup)


def test_a_tolerance_out_of_reach_gives_no_number():
    found = study(theory={"tolerance": 1e-12})
    with pytest.raises(ToleranceNotMet, match="not to the tolerance 1e-12"):
        found.kind.function("predict")(found.rows[0].setup)


@pytest.mark.parametrize("text", ["softplus(x)", "tanh(x)", "relu(x - 1/3)", "3*x**2"])
def test_standardised(text):
    link = standardised(parse(text), "data.target")
    assert expectation(link).value == pytest.approx(0, abs=1e-14)
    assert expectation(link, link).value == pytest.approx(1, rel=1e-13)


def test_a_constant_cannot_be_standardised():
    with pytest.raises(BadInput, match="has no standard form"):
        standardised(parse("3 + 0*x"), "data.target")


def test_centring_takes_the_mean_spike_away():
    names = [[outlier.name for outlier in _outliers(row(500, centre=centre))] for centre in (False, True)]
    assert names[0][0] == "mean" and "mean" not in names[1]


def _outliers(setup):
    from rmtfl.features.prediction import predict

    return predict(setup).outliers


def test_a_study_agrees_with_its_simulation_and_is_drawn():
    found = study()
    results, trials = judged(found)
    assert results.agree
    finite, limit = results.rows
    assert [c.name for c in finite.comparisons if c.judged][:2] == ["mean spike", "mean spike, alignment"]
    assert {c.verdict for c in limit.comparisons} == {"not judged"}
    training, fresh = (finding.numbers["means"] for finding in finite.findings)
    assert training[1] > 1.3 * fresh[1]  # the kernel on the training batch is another matrix
    seen = [c for c in finite.comparisons if c.name.startswith("training batch")]
    assert [c.prediction for c in seen] == pytest.approx([c.mean for c in seen], rel=0.08)
    assert trials[0]["spectrum"].shape == (2, 200)
    np.testing.assert_allclose(trials[0]["spectrum"][0, :10], trials[0]["eigenvalues"][0], rtol=1e-9)
    json.dumps([one.prediction for one in results.rows], allow_nan=False)
    figure = found.kind.function("figure")(results, trials)
    lines = {line.get_xdata()[0] for line in figure.axes[0].lines if line.get_linestyle() == "--"}
    assert lines == {outlier["location"] for outlier in finite.prediction["outliers"]}
    sheet = found.kind.function("summary")(limit.row.setup, limit.prediction)
    assert [line[0] for line in sheet.rows] == ["mean", "feature 1", "feature 2"]
    assert [column.title for column in sheet.columns][-1] == "grows as"
    sheet = found.kind.function("summary")(finite.row.setup, finite.prediction)  # at a width nothing grows
    assert [column.title for column in sheet.columns] == ["spike", "eigenvalue", "alignment", "squared cosine"]
    assert any(note.startswith("feature spikes that grow with N, unless a coefficient") for note in sheet.notes)
    assert len(list(found.kind.function("statement")([one.setup for one in found.rows]))) == 2
    assert found.kind.function("memory")(finite.row.setup) > 8 * 3 * 200 * 300


def test_many_rows_are_drawn_as_curves():
    found = study(sweep={"training.scale.0": [1, 2, 3, 4, 5]}, sizes={**DOCUMENT["sizes"], "width": 120})
    results, trials = judged(found, 2)
    figure = found.kind.function("figure")(results, trials)
    left, right = figure.axes
    assert left.get_xlabel() == "scale" and right.get_ylim()[0] == 0
    drawn = [line.get_ydata() for line in left.lines if len(line.get_xdata()) == 5]
    means = [one.prediction["outliers"][0]["location"] for one in results.rows]
    assert any(np.allclose(values, means) for values in drawn)


def test_an_output_that_grows_is_refused_by_the_key():
    found = study(training={"batches": "independent", "alpha": ["9/20"], "scale": [1000]})
    with pytest.raises(BadInput, match=r"key 'training.scale': value \['1000'\].*loss = 'correlation'"):
        found.kind.function("predict")(found.rows[0].setup)
