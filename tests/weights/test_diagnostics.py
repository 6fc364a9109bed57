"""What is shown of a row of weights beside its verdict."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rmtfl.compare import compare_rows
from rmtfl.sheets import diagnostics_sheet
from rmtfl.statistics import binomial_interval, top_of_noise
from rmtfl.study import from_document
from rmtfl.tables import render
from rmtfl.weights.compare import EDGE_MARGIN


def results_of(document, agreeing, change=lambda row, trials: trials):
    study = from_document(document)
    rows = [(row, agreeing.prediction(row), change(row, agreeing.trials(row))) for row in study.rows]
    return compare_rows(study, rows)


def shown(results, index=0):
    return {finding.name: finding for finding in results.rows[index].findings}


def test_counts_against_the_prediction(study_document, agreeing):
    def change(row, trials):
        trials["singular_values"][4:, 2] = 2.4  # a third value outside, in two of six draws
        return trials

    found = shown(results_of(study_document, agreeing, change))
    assert found["outliers predicted"].numbers["count"] == 2
    assert found["observed × draws"].text == "2 × 4, 3 × 2"
    matching = found["draws as predicted, 95%"]
    assert (matching.numbers["draws"], matching.numbers["of"]) == (4, 6)
    assert matching.numbers["interval"] == pytest.approx(binomial_interval(4, 6))


def test_what_is_counted_is_far_above_noise(study_document, agreeing):
    found = shown(results_of(study_document, agreeing))["top of noise"]
    edge, noise = found.numbers["counted_above"], top_of_noise(60, 60)
    assert edge == pytest.approx(2 * (1 + EDGE_MARGIN * 60 ** (-2 / 3)))
    assert found.numbers["counted_above_in_sd"] == pytest.approx((edge - noise.mean) / noise.sd)
    assert found.text == f"largest value {noise.mean:.4f} ± {noise.sd:.4f}; outliers are counted above {edge:.4f}"


def test_counts_that_fill_the_values_kept_are_lower_bounds(study_document, agreeing):
    def change(row, trials):
        return {**trials, "singular_values": np.full((3, 8), 5.0)}

    assert shown(results_of(study_document, agreeing, change))["observed × draws"].text == "8 or more × 3"


def test_noise_is_as_far_from_the_law_as_noise_and_a_deformed_bulk_is_not(study_document, agreeing):
    def drawn(factor):
        def change(row, trials):
            rng = np.random.default_rng(3)
            values = np.linalg.svd(rng.normal(size=(8, 60, 60)) / np.sqrt(60), compute_uv=False)
            outliers = np.broadcast_to([9.0, 8.0], (8, 2))
            spectrum = np.concatenate([outliers, factor * values], axis=1)[:, :60]
            return {**trials, "spectrum": spectrum}

        return change

    noise, wide = (shown(results_of(study_document, agreeing, drawn(factor))) for factor in (1.0, 1.3))
    scale = noise["noise to its law"].numbers
    # Two of sixty values are replaced.
    assert noise["bulk to law of W0"].numbers["distance"] < scale["quantile"] + 2 / 60
    assert wide["bulk to law of W0"].numbers["distance"] > scale["quantile"] + 2 / 60


def test_without_whole_spectra_the_bulk_is_left_out(study_document, agreeing):
    def change(row, trials):
        return {"singular_values": trials["singular_values"]}

    assert "bulk to law of W0" not in shown(results_of(study_document, agreeing, change))


def test_rates_of_a_swept_width(study_document, agreeing):
    study_document["sizes"]["width"] = [60, 120, 240, 480]
    alpha1 = 0.3

    def change(row, trials):
        # The first outlier is simulated below its prediction by what the leading order leaves out.
        gap = 4 * row.inputs["width"] ** (alpha1 - 0.5)
        trials["singular_values"][:, 0] *= 1.3 / (1 + gap) * 9 / agreeing.prediction(row)["outliers"][0]["location"]
        return trials

    results = results_of(study_document, agreeing, change)
    found = {finding.name: finding.numbers for finding in results.findings}
    assert set(found) == {"rate of outlier 1", "rate of outlier 1, leading order"}
    assert found["rate of outlier 1"]["claimed"] == 0.5
    leading = found["rate of outlier 1, leading order"]
    assert leading["claimed"] == pytest.approx(0.2)
    assert leading["lower"] < leading["rate"] < leading["upper"]
    sheet = diagnostics_sheet(results)
    assert len(sheet.rows) == 4 and len(sheet.notes) == 2
    assert "claimed at most N^(-0.2)" in render(sheet, "markdown")


def test_two_widths_have_no_rate(study_document, agreeing):
    study_document["sizes"]["width"] = [60, 120]
    assert results_of(study_document, agreeing).findings == ()


def test_json_carries_what_is_shown(study_document, agreeing):
    study_document["sizes"]["width"] = [60, 120, 240]
    document = json.loads(json.dumps(results_of(study_document, agreeing).as_json(), allow_nan=False))
    assert [entry["name"] for entry in document["rows"][0]["shown"]][:2] == ["outliers predicted", "observed × draws"]
    assert {entry["finding"] for entry in document["shown"]} <= {"consistent", "faster", "slower", "undetermined"}
    assert len(document["rows"][0]["comparisons"][0]["interval"]) == 2
