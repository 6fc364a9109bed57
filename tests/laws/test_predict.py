"""The law study's table and prediction, and the matrices that have the law."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.laws.predict import build_law, predict_law
from rmtfl.laws.spec import LawTable
from rmtfl.montecarlo import law as montecarlo
from rmtfl.study import from_document

TABLE = {
    "family": "generalized-marchenko-pastur",
    "ratio": 0.1,
    "atoms": [1, 8],
    "weights": [0.5, 0.5],
    "x": [1.0, 3.0, 8.0],
    "spikes": [20, 8.5],
}


def test_document_of_the_contract():
    document = predict_law(LawTable(**TABLE), 1e-8).as_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["density"]["x"] == [1.0, 3.0, 8.0]
    assert document["density"]["y"][1] == 0 < document["density"]["y"][0]
    assert len(document["edges"]) == 4 and document["edges"] == sorted(document["edges"])
    top, low = document["outliers"]
    assert top["location"] == pytest.approx(20.719298245614, rel=1e-13)
    assert low["location"] is None and low["overlap"] is None
    for error in (document["density"]["error"], document["edges_error"], top["error"]):
        assert 0 < error < 1e-12


def test_a_count_of_points_covers_every_interval():
    table = LawTable(**{**TABLE, "x": 11})
    found = predict_law(table, 1e-8)
    assert found.x.size == 11 and (np.diff(found.x) > 0).all() and (found.density > 0).all()
    counts = [((found.x > a) & (found.x < b)).sum() for a, b in found.support]
    assert counts == [6, 5]


def test_families_agree_where_they_meet():
    x = [0.5, 1.0, 2.0]
    one = predict_law(LawTable(family="marchenko-pastur", ratio="1/4", variance=2.0, x=x), 1e-8)
    two = predict_law(
        LawTable(family="generalized-marchenko-pastur", ratio=0.25, atoms=[2.0], weights=[1.0], x=x), 1e-8
    )
    assert one.as_json() == two.as_json()
    semicircle = predict_law(LawTable(family="semicircle", variance=4.0, centre=1.0, x=[1.0], spikes=[3.0, 1.0]), 1e-8)
    assert semicircle.density[0] == pytest.approx(1 / (2 * math.pi), rel=1e-15)
    assert semicircle.outliers[0].location == pytest.approx(1 + 3 + 4 / 3)
    assert semicircle.outliers[1].location is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "wishart"}, "generalized-marchenko-pastur"),
        ({"ratio": "one"}, "finite number"),
        ({"x": 1}, "count from 2"),
        ({"x": []}, "between 1 and"),
        ({"x": [float("nan")]}, "finite"),
        ({"variance": 1.0}, "'variance': nothing reads it"),
        ({"atom": [1]}, "Extra inputs"),
    ],
)
def test_bad_tables_are_refused_by_name(change, message):
    with pytest.raises(ValidationError, match=message):
        LawTable(**{**TABLE, **change})


def test_missing_keys_are_named():
    with pytest.raises(ValidationError, match="'weights': is missing"):
        LawTable(family="generalized-marchenko-pastur", ratio=0.1, atoms=[1])


def test_values_out_of_range_and_tolerances_out_of_reach():
    with pytest.raises(BadInput, match="weights"):
        predict_law(LawTable(**{**TABLE, "weights": [0.5, 0.4]}), 1e-8)
    with pytest.raises(ToleranceNotMet, match=r"1.0e-17 was asked"):
        predict_law(LawTable(**TABLE), 1e-17)


@pytest.mark.parametrize(
    "table",
    [
        LawTable(**{**TABLE, "ratio": 0.25, "spikes": [20.0, 3.0], "size": 200}),
        LawTable(family="marchenko-pastur", ratio=2.0, spikes=[9.0], size=200),
        LawTable(family="semicircle", variance=2.0, centre=-1.0, spikes=[4.0], size=200),
    ],
    ids=lambda t: t.family,
)
def test_sampled_matrices_have_the_law(table):
    """Linear statistics and outliers against the prediction, in standard errors."""
    trials = 30
    seeds = np.random.SeedSequence(11).spawn(trials)
    drawn = [montecarlo.observe(table, np.random.default_rng(seed)) for seed in seeds]
    found = predict_law(table, 1e-8)
    law = build_law(table)
    # The distribution function at quartiles: eigenvalues are rigid, so a finite-rank shift of O(1)/p is
    # allowed.
    grid = law.quantile([0.6, 0.75, 0.9])
    counts = np.array([[(values <= x).mean() for x in grid] for values in (d["eigenvalues"] for d in drawn)])
    error = counts.std(0, ddof=1) / np.sqrt(trials)
    assert (np.abs(counts.mean(0) - law.cdf(grid)) < 4 * error + 2 / table.size).all()
    for i, outlier in enumerate(found.outliers):
        if outlier.location is None:
            continue
        for name, value in (("locations", outlier.location), ("overlaps", outlier.overlap)):
            sample = np.array([d[name][i] for d in drawn])
            error = sample.std(ddof=1) / np.sqrt(trials)
            # Finite-size bias of the limit is O(1/p) of the value.
            assert abs(sample.mean() - value) < 4 * error + 4 * abs(value) / table.size


def test_populations_are_dealt_exactly():
    np.testing.assert_array_equal(montecarlo.deal((1.0, 5.0, 9.0), (0.3, 0.3, 0.4), 10), [1] * 3 + [5] * 3 + [9] * 4)
    assert montecarlo.deal((1.0, 5.0), (1 / 3, 2 / 3), 100).sum() == 33 + 67 * 5


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("ratio", 0, "key 'law.ratio': value 0: expected a positive number"),
        ("weights", [0.5, 0.6], "key 'law': weights: they sum to 1.1"),
    ],
)
def test_a_bad_value_is_named_with_its_table(key, value, named):
    law = {"family": "generalized-marchenko-pastur", "ratio": 0.1, "atoms": [1, 8], "weights": [0.5, 0.5]}
    document = {"schema": 1, "title": "T", "observable": "law", "law": law | {key: value}}
    with pytest.raises(BadInput) as refused:
        predict_law(from_document(document, Path("own.toml")).rows[0].setup.law, 1e-8)
    assert named in str(refused.value)
