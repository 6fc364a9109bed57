"""Figures: what they show, and the files they make."""

from __future__ import annotations

import numpy as np
import pytest

from rmtfl.compare import Results, RowResult, compare_rows
from rmtfl.errors import BadInput
from rmtfl.figures import features, page, phases, weights
from rmtfl.study import from_document


def results_of(document, agreeing, *, count=3):
    study = from_document(document)
    trials = [agreeing.trials(row, count) if row in study.simulable else {} for row in study.rows]
    rows = [(row, agreeing.prediction(row), draws) for row, draws in zip(study.rows, trials, strict=True)]
    return compare_rows(study, rows), trials


def texts(figure):
    found = [figure.get_suptitle(), *(part.get_suptitle() for part in figure.subfigs)]
    for axes in figure.axes:
        found += [axes.get_xlabel(), *(axes.get_title(loc=place) for place in ("left", "center", "right"))]
        found += [text.get_text() for text in axes.texts]
    return found


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".png"])
def test_equal_figures_give_equal_files(suffix, tmp_path, study_document, agreeing):
    contents = []
    for name in ("first", "second"):
        path = tmp_path / f"{name}{suffix}"
        page.save(weights.weights_figure(*results_of(study_document, agreeing)), path)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert len(contents[0]) > 1000


@pytest.mark.parametrize("path", ["figure.xyz", "figure", "missing/figure.png"])
def test_places_that_cannot_be_written(path, tmp_path):
    with pytest.raises(BadInput, match="expected"):
        page.save(phases.phase_diagram(), tmp_path / path)


def test_predicted_and_simulated_are_both_drawn(study_document, agreeing):
    results, trials = results_of(study_document, agreeing)
    bulk, outliers = weights.weights_figure(results, trials).axes
    assert bulk.patches and bulk.lines
    vertical = {line.get_xdata()[0] for line in outliers.lines if len(set(line.get_xdata())) == 1}
    assert {outlier["location"] for outlier in results.rows[0].prediction["outliers"]} <= vertical
    dots = [line for line in outliers.lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in dots] == trials[0]["singular_values"][:, 0].tolist()


@pytest.mark.parametrize("limits", [(2.05, 4.9), (1.1, 1.9), (0.9, 30.0), (2.0, 900.0)])
def test_a_logarithmic_axis_has_ticks_however_short_it_is(limits):
    axes = weights.Figure().add_subplot()
    axes.set(xscale="log", xlim=limits)
    weights._plain_log(axes)
    shown = [tick for tick in axes.get_xticks() if limits[0] <= tick <= limits[1]]
    assert 3 <= len(shown) <= 10
    assert all(axes.xaxis.get_major_formatter().format_ticks(shown))


def test_widths_give_one_panel_a_setting_and_a_convergence_panel(study_document, agreeing):
    study_document["sizes"]["width"] = [60, 80]
    study_document["sweep"] = {"training.batches": ["reused", "independent"]}
    found = texts(weights.weights_figure(*results_of(study_document, agreeing)))
    assert "N = 80, batches = reused" in found and "N = 80, batches = independent" in found
    assert "Distance to the simulated mean" in found
    assert not [text for text in found if "N = 60" in text]


def test_swept_exponents_give_a_phase_diagram_with_counts(study_document, agreeing):
    study_document["sweep"] = {"training.alpha.0": ["1/10", "2/10"], "training.alpha.1": ["3/10"]}
    found = texts(weights.weights_figure(*results_of(study_document, agreeing)))
    assert found.count("2 / 2") == 2
    assert "α₁" in found and "N = 60, α₁ = 1/10, α₂ = 3/10" in found


def test_many_exponents_leave_the_phase_diagram_alone(study_document, agreeing):
    study_document["sweep"] = {"training.alpha.0": [f"{k}/20" for k in range(page.PAGES["screen"].most_panels + 1)]}
    (axes,) = weights.weights_figure(*results_of(study_document, agreeing)).axes
    assert axes.get_xlabel() == "α₁"


def test_more_settings_than_fit_on_a_page(study_document, agreeing):
    study_document["sweep"] = {"training.scale.0": list(range(1, 10))}
    figure = weights.weights_figure(*results_of(study_document, agreeing))
    assert len(figure.subfigs) == page.PAGES["screen"].most_panels


def test_print_is_one_column_of_a_page(study_document, agreeing):
    study_document["sizes"]["width"] = [60, 80]
    study_document["sweep"] = {"training.scale.0": list(range(1, 10)), "training.alpha.0": ["1/10", "2/10"]}
    figure = weights.weights_figure(*results_of(study_document, agreeing), "print")
    width, height = figure.get_size_inches()
    assert width <= 3.5 and height <= 9.5
    study_document["sweep"] = {}
    figure = weights.weights_figure(*results_of(study_document, agreeing), "print")
    bulk, outliers = (axes.get_position() for axes in figure.subfigs[0].axes)
    assert bulk.y0 > outliers.y1


def test_a_picture_in_text_is_the_one_in_a_file(tmp_path, study_document, agreeing):
    first, second = (weights.weights_figure(*results_of(study_document, agreeing)) for _ in range(2))
    page.save(first, tmp_path / "figure.svg")
    assert page.as_svg(second) == (tmp_path / "figure.svg").read_bytes()


def test_nothing_simulated_yet(study_document, agreeing):
    results, _ = results_of(study_document, agreeing)
    with pytest.raises(BadInput, match="no draw"):
        weights.weights_figure(results, [{}])


def test_the_phase_diagram_has_the_critical_lines():
    (axes,) = phases.phase_diagram().axes
    slopes = []
    for line in axes.lines:
        x, y = line.get_data()
        slopes.append((y[200] - y[399]) / (x[399] - x[200]) if y[200] == y[200] else None)
    assert slopes[0] == pytest.approx(1.0)
    assert slopes[1] == pytest.approx(2.0)
    assert len(axes.lines) == phases.MOST_COUNT - 1


def test_what_a_histogram_leaves_out_is_said(study_document, agreeing):
    results, trials = results_of(study_document, agreeing)
    count = len(results.rows[0].prediction["outliers"])
    near, far = (dict(trials[0]) for _ in range(2))
    for draws, place in ((near, 2.5), (far, 9.0)):
        draws["spectrum"] = draws["spectrum"].copy()
        draws["spectrum"][:, count : count + 2] = place
    shown = [texts(weights.weights_figure(results, [draws])) for draws in (trials[0], near, far)]
    assert [any(text == "2 a draw beyond" for text in found) for found in shown] == [False, False, True]
    bulk, _ = weights.weights_figure(results, [near]).axes
    assert bulk.get_xlim()[1] > 2.5  # nearer ones are drawn
    assert sum(patch.get_height() for patch in bulk.patches if patch.get_x() > 2.3) > 0
    assert "5 largest singular values (log scale)" in shown[0]


@pytest.mark.parametrize(
    ("kept", "words"),
    [("spectrum", "10% of them below 0.02"), ("eigenvalues", "the 5 largest of each draw, 50% of them below 0.5")],
)
def test_what_a_histogram_of_features_leaves_out_is_said(study_document, kept, words):
    study = from_document({**study_document, "observable": "features", "features": {"samples": 1}, "theory": {}})
    prediction = {"outliers": [{"name": "mean", "location": 9.0}], "bulk": {"intervals": [[0.001, 2.0]]}}
    values = np.tile([9.0, *([1.0] * 9), 0.001], (2, 1))
    draws = {"eigenvalues": np.tile([9.0, 1.9, 0.4, 0.3, 1.0], (2, 1))} | ({kept: values} if kept == "spectrum" else {})
    results = Results("", "features", (RowResult(study.rows[0], prediction, ()),), 0)
    assert words in texts(features.features_figure(results, [draws]))
