"""A study from its file to its table and figure."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pytest

from rmtfl.errors import BadInput
from rmtfl.figures.regression import regression_figure
from rmtfl.regression.prediction import predict
from rmtfl.regression.summary import summary
from rmtfl.sheets import comparison_sheet
from rmtfl.study import read
from rmtfl.workflow import recorded, validate
from tests.regression.settings import setting

STUDY = """
schema = 1
title = "What a step buys"
observable = "feature-regression"
[network]
activation = "tanh(x)"
[data]
target = "x"
noise = 0.5
[sizes]
width_ratio = 1
sample_ratio = 2
width = 80
[training]
batches = "reused"
alpha = ["1/4", "1/4"]
scale = [2, 2]
[regression]
sample_ratio = [0.5, 2]
ridge = ["1/10", 1]
[montecarlo]
trials = 3
[sweep]
"training.batches" = ["reused", "independent"]
"""


def test_from_file_to_figure(tmp_path: Path) -> None:
    mpl.use("agg")
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    study = read(path)
    with pytest.raises(BadInput, match="no store"):
        recorded(study, tmp_path / "study.sqlite")
    validate(study, tmp_path / "study.sqlite", workers=1)
    results, trials = recorded(study, tmp_path / "study.sqlite")
    judged = [comparison for comparison in results.rows[0].comparisons if comparison.judged]
    assert [len(row.comparisons) for row in results.rows] == [24, 24]
    assert len(judged) == 12 and judged[0].name == "mse, no step, ridge 0.1, 0.5 d samples"
    assert sum(comparison.name.startswith("mse, 1 step, ") for comparison in judged) == 4
    assert all(comparison.allowance == pytest.approx(0.375 * comparison.prediction) for comparison in judged)
    notes = comparison_sheet(results).notes
    assert any("37.5% of the error" in note for note in notes)
    figure = regression_figure(results, trials)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        f"batches = {mode}, ridge {ridge}" for mode in ("reused", "independent") for ridge in ("0.1", "1")
    ]
    # A curve and its simulated points for each number of steps, with caps, and the noise floor.
    assert sum(len(line.get_xdata()) == 2 for line in figure.axes[0].lines) >= 7
    with pytest.raises(BadInput, match="nothing to draw"):
        regression_figure(results, [{}, {}])


def test_the_summary_sets_the_steps_side_by_side() -> None:
    setup = setting(ridge=[1, "1/10"], alpha=["1/4"] * 2, scale=[3, 3])
    sheet = summary(setup, predict(setup).as_json())
    assert [column.title for column in sheet.columns][2:5] == ["mse, no step", "mse, 1 step", "mse, 2 steps"]
    assert len(sheet.rows) == 4
    assert str(sheet.rows[0][5]).startswith("-")
