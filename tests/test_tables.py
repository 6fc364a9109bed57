"""Tables: rounding by the error, and the three formats."""

from __future__ import annotations

import csv
import io
import math
import re
import subprocess
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rmtfl.compare import compare_rows
from rmtfl.sheets import comparison_sheet, diagnostics_sheet
from rmtfl.study import from_document
from rmtfl.tables import (
    Column,
    Measured,
    Sheet,
    fixed,
    latex_document,
    latex_text,
    measured,
    render,
)

numbers = st.floats(-1e12, 1e12).filter(lambda x: x == 0 or abs(x) > 1e-12)
errors = st.floats(1e-12, 1e12)

SHEET = Sheet(
    columns=(Column("a_b | c"), Column("x", numeric=True, uncertain=True), Column("y", numeric=True)),
    rows=(("5 % & more", Measured("23.85", "0.12"), Measured("-1.5")), ("α ± β", Measured("3"), Measured(""))),
    notes=("a note: 100 %",),
    caption="A # table",
)


@pytest.mark.parametrize(
    ("value", "standard_error", "shown", "siunitx"),
    [
        (23.8531, 0.1234, "23.85 ± 0.12", "23.85(12)"),
        (23.8531, 12.34, "24 ± 12", "24(12)"),
        (23853.1, 1234.0, "23900 ± 1200", "23900(1200)"),
        (0.00123456, 0.0000996, "0.00123 ± 0.00010", "0.00123(10)"),
        (-0.0001, 0.05, "0.000 ± 0.050", "0.000(50)"),
        (2.0, 0.0, "2", "2"),
        (1e-9, 1e-11, "1.000e-9 ± 1.0e-11", "1.000(10)e-9"),
        (-3.2e12, 1.7e10, "-3.200e+12 ± 1.7e+10", "-3.200(17)e+12"),
    ],
)
def test_two_digits_of_a_standard_error(value, standard_error, shown, siunitx):
    found = measured(value, standard_error=standard_error)
    assert str(found) == shown
    assert found.siunitx == siunitx


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (23.853123456, 1e-4, "23.8531"),
        (23.853123456, 3e-4, "23.853"),
        (23.85, 0.0, "23.85"),
        (1 / 3, 0.0, "0.3333333333"),
    ],
)
def test_no_digit_beyond_a_numerical_error(value, error, shown):
    assert measured(value, error=error).value == shown


def test_draws_that_differ_by_rounding_have_no_standard_error():
    assert str(measured(0.1375, standard_error=4e-17)) == "0.1375"


@given(value=numbers, error=errors)
def test_a_shown_digit_is_worth_at_least_the_error(value, error):
    shown = Decimal(measured(value, error=error).value)
    assume(shown)
    assert 10.0 ** shown.normalize().as_tuple().exponent >= error * (1 - 1e-9)


@given(value=numbers, standard_error=errors)
def test_rounding_loses_less_than_a_tenth_of_the_standard_error(value, standard_error):
    assume(standard_error > 1e-12 * abs(value))
    found = measured(value, standard_error=standard_error)
    assert abs(Decimal(found.value) - Decimal(repr(value))) <= Decimal(standard_error) / 19
    assert math.isclose(float(found.error), standard_error, rel_tol=0.051)


@given(value=st.floats(allow_nan=False, allow_infinity=False), places=st.integers(-320, 330))
def test_fixed_takes_every_double(value, places):
    assert abs(Decimal(fixed(value, places)) - Decimal(repr(value))) <= Decimal(1).scaleb(-places)


def test_nothing_is_shown_for_nothing():
    assert str(measured(None)) == ""


def test_markdown():
    assert render(SHEET, "markdown").splitlines() == [
        "**A # table**",
        "",
        "| a_b \\| c   |            x |    y |",
        "| ---------- | -----------: | ---: |",
        "| 5 % & more | 23.85 ± 0.12 | -1.5 |",
        "| α ± β      |            3 |      |",
        "",
        "a note: 100 %",
    ]


def test_csv_splits_value_and_error():
    lines = list(csv.reader(io.StringIO(render(SHEET, "csv"))))
    assert lines == [
        ["a_b | c", "x", "x standard error", "y"],
        ["5 % & more", "23.85", "0.12", "-1.5"],
        ["α ± β", "3", "", ""],
    ]


def test_latex():
    text = render(SHEET, "latex")
    assert r"\begin{tabular}{@{} l S[table-format=2.2(2)] S[table-format=-1.1] @{}}" in text
    assert r"{a\_b \textbar{} c} & {x} & {y} \\" in text
    assert r"5 \% \& more & 23.85(12) & -1.5 \\" in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    assert r"a note: 100 \%" in text


@pytest.mark.parametrize("which", [comparison_sheet, diagnostics_sheet])
def test_latex_compiles(which, tmp_path, study_document, agreeing, latex):
    study_document["title"] = r"a_b & c % \ {^~} α"
    study_document["sizes"]["width"] = [60, 80, 100]
    study = from_document(study_document)
    rows = [(row, agreeing.prediction(row), agreeing.trials(row)) for row in study.rows]
    (tmp_path / "table.tex").write_text(latex_document(which(compare_rows(study, rows))), encoding="utf-8")
    found = subprocess.run([*latex, "table.tex"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-2000:]
    assert "Overfull" not in found.stdout
    assert "(1 page" in found.stdout or "pdflatex" not in latex[0]


def test_latex_text_keeps_dashes_and_greek_letters():
    assert latex_text("Tracy–Widom σ, λ ≥ 2 — ±1") == r"Tracy--Widom $\sigma$, $\lambda$ $\geq$ 2 --- $\pm$1"


@given(st.text())
def test_latex_text_has_no_active_character_left(text):
    escaped = latex_text(text)
    without_commands = re.sub(r"\\(text[a-z]+\{\}|[&%$#_{}])|\$(\\[a-z]+|-)\$", "", escaped)
    assert not set(without_commands) & set("\\&%$#_{}~^")


def test_columns_of_scientific_numbers_have_no_fixed_format():
    sheet = Sheet((Column("x", numeric=True),), ((Measured("1.0e-12"),),))
    assert r"{@{} S @{}}" in render(sheet, "latex")


def test_equal_results_give_equal_tables(study_document, agreeing):
    def table(style):
        study = from_document(study_document)
        rows = [(row, agreeing.prediction(row), agreeing.trials(row)) for row in study.rows]
        return render(comparison_sheet(compare_rows(study, rows)), style)

    for style in ("latex", "markdown", "csv"):
        assert table(style) == table(style)
