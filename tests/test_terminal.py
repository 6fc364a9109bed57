"""Tables on a terminal: within the window where that can be, and never without a digit."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from rmtfl.tables import Column, Measured, Sheet
from rmtfl.terminal import Terminal, fitted, show

SHEET = Sheet(
    (
        Column("batches"),
        Column("quantity"),
        Column("predicted", numeric=True),
        Column("simulated", numeric=True, uncertain=True),
        Column("gap / %", numeric=True, spare=True),
        Column("allowance", numeric=True, spare=True),
        Column("verdict"),
    ),
    (
        ("independent", "outlier 1, leading order", *map(Measured, ("23.60", "13.83", "1.5", "0.42")), "shown"),
        ("reused", "bulk edge", *map(Measured, ("2.0000", "2.0149 ± 0.0060", "-0.74", "0.1")), "disagrees"),
    ),
    ("a note that is long enough to be folded on a narrow window",),
)
NUMBERS = ("23.60", "13.83", "2.0000", "2.0149 ± 0.0060")


def shown(width: int, terminal: bool = True) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=width, no_color=True)
    show(SHEET, "a title", console)
    return re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())


@pytest.mark.parametrize("width", [70, 80, 100, 200])
def test_a_table_fits_the_window(width):
    text = shown(width)
    assert max(map(len, text.splitlines())) <= width
    assert all(number in text for number in NUMBERS)
    for word in ("independent", "quantity", "leading", "disagrees", "narrow"):
        assert word in text


@pytest.mark.parametrize("width", [20, 40, 60])
def test_what_is_too_wide_is_not_cut(width):
    text = shown(width)
    assert all(number in text for number in NUMBERS)
    assert "independent" in text and "disagrees" in text


def test_columns_that_can_be_spared_go_first_and_are_named():
    assert fitted(SHEET, 200) is SHEET
    less = fitted(SHEET, 95)
    assert [column.title for column in less.columns] == [
        "batches", "quantity", "predicted", "simulated", "gap / %", "verdict"
    ]  # fmt: skip
    assert less.notes[-1] == "left out, as the window is 95 columns wide: allowance"
    least = fitted(SHEET, 80)
    assert "gap / %" not in [column.title for column in least.columns]
    assert least.notes[-1].endswith(": gap / %, allowance")
    assert all(len(row) == len(least.columns) for row in least.rows)


def test_elsewhere_a_table_is_as_wide_as_it_is():
    text = shown(40, terminal=False)
    assert len(text.splitlines()) == 6
    assert "outlier 1, leading order" in text and "allowance" in text


def test_a_table_without_lines():
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    show(Sheet((Column("k"),), (), ("nothing",)), "", console)
    assert "nothing" in console.file.getvalue()


def test_the_row_that_is_predicted_is_named_beside_the_bar(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with Terminal() as watcher:
        watcher.predicting("network.activation = [relu(x)]", 1, 12)
    assert "predicting network.activation = [relu(x)]" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
