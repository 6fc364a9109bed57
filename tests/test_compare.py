"""Verdicts: what agrees, what does not, how often chance alone would say so."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rmtfl.compare import (
    AT_LEAST,
    BULK_EDGE,
    COUNT,
    FAMILY_LEVEL,
    Quantity,
    Results,
    RowResult,
    compare_rows,
    judge,
    student_quantile,
)
from rmtfl.sheets import comparison_sheet
from rmtfl.study import from_document

SAMPLE = (9.9, 10.1, 10.0, 10.2, 9.8)


def counted(document, observed, *, judged=False, name=COUNT, alone=False):
    """Results of rows of one draw: a number that agrees, and so many values outside a bulk where two are predicted."""
    study = from_document(document | {"sweep": {"data.noise": list(range(len(observed)))}})
    rows = []
    for row, number in zip(study.rows, observed, strict=True):
        agreeing = judge(Quantity("x", 10.0, sample=SAMPLE, judged=True))
        edge = judge(Quantity(BULK_EDGE, 2.0, sample=(3.0,)))
        count = judge(Quantity(name, 2.0, sample=(number,), allowance=9.0 if judged else 0.0, judged=judged))
        rows.append(RowResult(row, {}, (edge, count) if alone else (agreeing, edge, count)))
    return Results("", "weights", tuple(rows), judged=0 if alone else len(rows))


def test_numbers_of_a_comparison():
    found = judge(Quantity("x", 10.5, error=0.01, sample=SAMPLE, allowance=0.2, reason="why", judged=True))
    standard_error = np.std(SAMPLE, ddof=1) / math.sqrt(5)
    assert found.mean == pytest.approx(10.0)
    assert found.standard_error == pytest.approx(standard_error)
    assert found.gap == pytest.approx(0.5)
    assert found.relative_gap == pytest.approx(0.05)
    assert found.z_score == pytest.approx(0.5 / standard_error)
    assert found.margin == pytest.approx(stats.t.ppf(0.975, 4) * standard_error + 0.2 + 0.01)
    assert (found.trials, found.allowance, found.allowance_reason) == (5, 0.2, "why")


@pytest.mark.parametrize(("side", "verdict"), [(0.999, "agrees"), (1.001, "disagrees")])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_margin_is_where_the_verdict_turns(side, sign, verdict):
    margin = judge(Quantity("x", 10.0, 0.01, SAMPLE, 0.2, judged=True)).margin
    assert judge(Quantity("x", 10.0 + sign * side * margin, 0.01, SAMPLE, 0.2, judged=True)).verdict == verdict


def test_what_is_shown_is_never_judged():
    found = judge(Quantity("x", 1e9, sample=SAMPLE))
    assert (found.judged, found.verdict) == (False, "not judged")
    assert found.gap == pytest.approx(1e9 - 10)


@pytest.mark.parametrize(
    ("observed", "judged", "cautious"), [(4.0, False, True), (2.0, False, False), (4.0, True, False)]
)
def test_a_count_that_is_not_the_predicted_one_is_said_beside_the_verdict(study_document, observed, judged, cautious):
    results = counted(study_document, (observed,), judged=judged)
    assert (results.caution is not None) == cautious
    verdict, *_ = comparison_sheet(results).notes
    assert verdict.startswith("1 number judged at the 5% level: it agrees")
    assert verdict.endswith("agrees") != cautious
    document = results.as_json()
    assert document["agreement"] is True and document["caution"] == results.caution
    assert (document["rows"][0]["miscount"] is not None) == cautious


def test_the_words_of_a_number_of_outliers_that_is_off(study_document):
    rigid = 'the rigid bulk does not describe this matrix; try theory.bulk = "deformed"'
    one = counted(study_document, (59.0,)).caution
    assert one == (
        "not judged: 59 values beyond the edge of the bulk where 2 are predicted, the first that is not predicted at "
        f"3 (edge 2): {rigid}"
    )
    more = counted(study_document, (59.0,), name=AT_LEAST).caution
    assert "59 or more values beyond" in more
    several = counted(study_document, (2.0, 59.0)).caution
    assert "in 1 of 2 rows" in several and "at worst 59 where 2 are predicted" in several
    fewer = counted(study_document, (1.0,))
    assert fewer.caution is None and fewer.rows[0].miscount.observed == 1
    study_document["training"] |= {"batches": "independent", "alpha": ["3/10"] * 3, "scale": [2, 2, 2]}
    assert "try" not in counted(study_document, (59.0,)).caution


def test_nothing_judged_is_not_agreement_for_a_reader(study_document):
    results = counted(study_document, (59.0,), alone=True)
    (note, *_) = comparison_sheet(results).notes
    assert note.startswith("nothing was judged; not judged: 59 values beyond")


@pytest.mark.parametrize("sample", [(), (10.0,)])
def test_too_few_draws_are_not_judged(sample):
    found = judge(Quantity("x", 10.0, sample=sample, judged=True))
    assert (found.verdict, found.standard_error, found.margin) == ("not judged", None, None)


def test_equal_draws_have_no_z_score():
    found = judge(Quantity("x", 3.0, sample=(2.0, 2.0, 2.0), judged=True))
    assert (found.standard_error, found.z_score, found.verdict) == (0.0, None, "disagrees")


def test_a_known_spread_judges_a_single_draw():
    margin = judge(Quantity("x", 10.0, sample=(10.0,), spread=0.5, judged=True)).margin
    assert margin == pytest.approx(0.5 * stats.norm.ppf(0.975))


@given(judged=st.integers(1, 10**6), freedom=st.integers(1, 10**5))
def test_the_quantile_is_bonferronis(judged, freedom):
    assert student_quantile(judged, freedom) == pytest.approx(stats.t.isf(FAMILY_LEVEL / 2 / judged, freedom), rel=1e-6)


def test_correct_theory_is_rarely_found_to_disagree():
    rng = np.random.default_rng(11)
    studies, quantities = 1000, 6
    alarms = 0
    for draws in rng.normal(10.0, 1.0, size=(studies, quantities, 8)):
        verdicts = [judge(Quantity("x", 10.0, sample=tuple(d), judged=True), quantities).verdict for d in draws]
        alarms += "disagrees" in verdicts
    # Bonferroni is all but exact for independent quantities: 1 - (1 - 0.05/6)^6 = 0.049.
    spread = math.sqrt(0.049 * 0.951 / studies)
    assert abs(alarms / studies - 0.049) < 4 * spread


class TestStudy:
    def rows(self, document, agreeing, *, shift=1.0):
        document["sizes"]["width"] = [60, 80]
        study = from_document(document)
        return study, [(row, agreeing.prediction(row), agreeing.trials(row, shift=shift)) for row in study.rows]

    def test_agreement(self, study_document, agreeing):
        study, rows = self.rows(study_document, agreeing)
        results = compare_rows(study, rows)
        assert results.agree
        assert results.judged == 6  # two outliers and one alignment, at two widths
        assert [row.verdict for row in results.rows] == ["agrees", "agrees"]

    def test_one_wrong_number_is_enough(self, study_document, agreeing):
        study, rows = self.rows(study_document, agreeing)
        rows[1][1]["outliers"][1]["location"] *= 1.2
        results = compare_rows(study, rows)
        assert not results.agree
        assert [row.verdict for row in results.rows] == ["agrees", "disagrees"]

    def test_the_quantile_accounts_for_the_whole_study(self, study_document, agreeing):
        study, rows = self.rows(study_document, agreeing)
        alone = compare_rows(study, rows[:1]).rows[0].comparisons[0]
        together = compare_rows(study, rows).rows[0].comparisons[0]
        assert together.margin > alone.margin

    def test_json_has_no_nan(self, study_document, agreeing):
        study, rows = self.rows(study_document, agreeing)
        rows[0] = (rows[0][0], rows[0][1], {})  # nothing simulated yet
        document = json.loads(json.dumps(compare_rows(study, rows).as_json(), allow_nan=False))
        assert document["agreement"] is True
        assert document["rows"][0]["verdict"] == "not judged"
        assert document["rows"][1]["comparisons"][0]["name"] == "outlier 1"
