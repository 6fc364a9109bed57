"""The tables of a study: digits and notes of what was compared."""

from __future__ import annotations

from rmtfl.compare import Quantity, Results, RowResult, compare_rows, judge
from rmtfl.sheets import comparison_sheet
from rmtfl.study import from_document


def test_the_comparison_of_a_study(study_document, agreeing):
    study_document["sizes"]["width"] = [60, 80]
    study = from_document(study_document)
    rows = [(row, agreeing.prediction(row), agreeing.trials(row)) for row in study.rows]
    sheet = comparison_sheet(compare_rows(study, rows))
    assert [column.title for column in sheet.columns][:3] == ["width", "quantity", "predicted"]
    first = sheet.rows[0]
    assert first[0] == "60" and first[1] == "outlier 1" and first[-1] == "agrees"
    assert {row[-1] for row in sheet.rows} == {"agrees", "shown"}
    assert any("3%" in note and "outlier 1" in note for note in sheet.notes)
    # The prediction has the digits of the simulated mean, and no more.
    assert len(first[2].value.partition(".")[2]) == len(first[3].value.partition(".")[2])


def test_draws_that_do_not_scatter_are_shown_to_what_the_theory_is_allowed(study_document):
    study = from_document(study_document)
    sample = Quantity("share below 2", 0.5, 1e-12, (0.4950000001,) * 4, allowance=0.0325, reason="few", judged=True)
    row = RowResult(study.rows[0], {}, (judge(sample),))
    sheet = comparison_sheet(Results("t", "weights", (row,), 1))
    cells = {column.title: str(cell) for column, cell in zip(sheet.columns, sheet.rows[0], strict=True)}
    assert (cells["predicted"], cells["simulated"], cells["allowance"]) == ("0.500", "0.495", "0.032")
    assert cells["gap / %"] == "1.0" and cells["verdict"] == "agrees"


def test_one_draw_without_a_bound_is_shown_to_four_digits(study_document):
    study = from_document(study_document)
    row = RowResult(study.rows[0], {}, (judge(Quantity("bulk edge", 2.2247448713915, sample=(4.0591659448594,))),))
    sheet = comparison_sheet(Results("t", "weights", (row,), 0))
    cells = {column.title: str(cell) for column, cell in zip(sheet.columns, sheet.rows[0], strict=True)}
    assert (cells["predicted"], cells["simulated"], cells["gap / %"]) == ("2.225", "4.059", "-45.19")
