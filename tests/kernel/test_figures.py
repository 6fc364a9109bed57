"""Figures of kernel studies: what they show of a prediction and of draws."""

import numpy as np
import pytest

from rmtfl.compare import compare_rows
from rmtfl.errors import BadInput
from rmtfl.figures import kernel as figures_kernel
from rmtfl.study import from_document

KERNEL = {"inputs": "sphere", "dimension": 20, "isotropic": 1, "spike": 10}
NETWORK = {"activation": "erf(x)"}
SPECTRUM = {"observable": "kernel", "kernel": KERNEL}
MATRIX = {"observable": "kernel-matrix", "kernel": {**KERNEL, "samples": 60}}
CURVE = {
    "observable": "learning-curve",
    "kernel": {**KERNEL, "samples": [30, 90], "ridge": [0.1, 1]},
    "data": {"target": "x", "noise": 0.5},
}
DRAWN = {"kernel": "kernel_figure", "kernel-matrix": "kernel_matrix_figure", "learning-curve": "learning_curve_figure"}


def results_of(document, sweep=None, count=2):
    study = from_document({"schema": 1, "network": NETWORK, **document, **({"sweep": sweep} if sweep else {})})
    rows, trials = [], []
    for row in study.rows:
        draws = [study.kind.function("trial")(row.setup, seed) for seed in np.random.SeedSequence(2).spawn(count)]
        trials.append({name: np.array([draw[name] for draw in draws]) for name in draws[0]})
        rows.append((row, study.kind.function("predict")(row.setup).as_json(), trials[-1]))
    return study.kind, compare_rows(study, rows), trials


def lines_at(axes):
    return [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"]


def test_a_spectrum_is_drawn_with_its_amplification_and_its_mixing():
    kind, results, trials = results_of(SPECTRUM)
    figure = kind.function("figure")(results, trials)
    values, ratios, mixing = figure.axes
    prediction = results.rows[0].prediction
    for block, line in zip(prediction["blocks"][:1], values.lines, strict=False):
        np.testing.assert_allclose(line.get_ydata(), np.array(block["eigenvalues"])[: len(line.get_ydata())])
    means = [container.lines[0].get_ydata()[0] for container in values.containers[:2]]
    np.testing.assert_allclose(means, trials[0]["eigenvalues"][:, :, 0].mean(axis=0))
    np.testing.assert_allclose(ratios.lines[0].get_ydata()[0], prediction["amplification"][0][0])
    np.testing.assert_allclose(mixing.images[0].get_array(), np.array(prediction["blocks"][0]["mixing"])[:4, :6])
    assert f"({trials[0]['mixing'].mean(axis=0)[0, 1]:.3f})" in "".join(text.get_text() for text in mixing.texts)


def test_a_matrix_is_drawn_with_its_outliers_and_a_density_of_the_right_mass():
    kind, results, trials = results_of(MATRIX, {"kernel.spike": [10, "21/2"]})
    figure = kind.function("figure")(results, trials)
    assert [part.get_suptitle() for part in figure.subfigs] == ["B = 10", "B = 21/2"]
    axes, prediction = figure.axes[0], results.rows[0].prediction
    assert {outlier["location"] for outlier in prediction["outliers"]} == set(lines_at(axes))
    (top,) = (line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_array_equal(top.get_xdata(), trials[0]["eigenvalues"][:, 0])
    curves = [line.get_data() for line in axes.lines if len(line.get_xdata()) == figures_kernel.DENSITY_POINTS]
    assert len(curves) == len(prediction["bulk"]["intervals"])
    mass = sum(np.trapezoid(y, np.log10(x)) for x, y in curves)
    assert mass == pytest.approx(1, abs=0.02)  # all but the outliers, in the limit: by trapezoids


def test_a_learning_curve_has_a_line_and_points_for_each_row():
    kind, results, trials = results_of(CURVE, {"kernel.spike": [10, 270.99100940266124]})
    (axes,) = kind.function("figure")(results, trials).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[:2] == ["B = 10", "B = 271"]
    for label, row, container in zip(labels, results.rows, axes.containers, strict=False):
        np.testing.assert_allclose(container.lines[0].get_ydata().astype(float), [c.mean for c in row.comparisons])
        (line,) = (line for line in axes.lines if line.get_label() == label)
        np.testing.assert_allclose(line.get_ydata(), row.prediction["mse"])


@pytest.mark.parametrize("document", [SPECTRUM, MATRIX, CURVE])
def test_print_fits_a_column_and_nothing_drawn_is_refused(document):
    kind, results, trials = results_of(document, {"kernel.spike": [9, 10, 11]}, count=1)
    width, height = kind.function("figure")(results, trials, "print").get_size_inches()
    assert width <= 3.5 and height <= 9.5
    with pytest.raises(BadInput, match="no draw"):
        getattr(figures_kernel, DRAWN[document["observable"]])(results, [{}] * 3)
