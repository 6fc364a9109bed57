"""Verdicts: what agrees, what does not, how often chance alone would say so."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rmtfl.compare import FAMILY_LEVEL, Quantity, compare_rows, judge, student_quantile
from rmtfl.study import from_document

SAMPLE = (9.9, 10.1, 10.0, 10.2, 9.8)


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
