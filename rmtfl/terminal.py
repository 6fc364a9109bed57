"""What a run and a table look like on a terminal: progress and remarks on stderr, tables within the window."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from rmtfl.tables import Column, Sheet
from rmtfl.workflow import Watcher

GAP = 2  # spaces that go with a column


class Page(Console):
    """A console that leaves a closed pipe to the group of commands, where rich itself would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Raise what the group of commands expects."""
        raise BrokenPipeError


class Terminal(Watcher):
    """Tells stderr how a run goes: a progress bar on a terminal, remarks anywhere."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("trials", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def predicting(self, label: str, done: int, total: int) -> None:
        """Name the row beside the bar, whose clock shows that something is being done."""
        self._bar.update(self._task, description=f"predicting {label}", completed=done, total=total)

    def progress(self, done: int, total: int) -> None:
        """Move the bar."""
        self._bar.update(self._task, description="trials", completed=done, total=total)

    def remark(self, text: str) -> None:
        """Write a line."""
        self._bar.console.file.write(f"rmtfl: {text}\n")


def show(sheet: Sheet, title: str, console: Console | None = None) -> None:
    """Print a table for a reader.

    On a terminal that is too narrow, columns that can be spared are left out and then text is folded between words; no
    number is cut, so that what is wider still breaks lines. Elsewhere the table is as wide as it is.

    Args:
        sheet: the table.
        title: a line above it.
        console: where; stdout unless given.
    """
    console = console or Page(highlight=False)
    window, sheet = console.width, sheet.page
    if console.is_terminal:
        sheet = fitted(sheet, window)
    widths = _column_widths(sheet, window if console.is_terminal else None)
    console.width = max(window, sum(widths) + GAP * len(widths))
    if title:
        console.print(Text(title, style="bold"), soft_wrap=True)
    if sheet.rows:
        console.print(_table(sheet, widths))
    console.width = window
    for note in sheet.notes:
        console.print(Text(note, style="dim"), soft_wrap=not console.is_terminal)
    console.print()


def fitted(sheet: Sheet, width: int) -> Sheet:
    """The table without as many of the columns that can be spared as need be, the last first, and a note of them."""
    left_out: list[Column] = []
    kept = sheet
    while sum(_column_widths(kept)) + GAP * len(kept.columns) > width and (
        spare := [column for column in kept.columns if column.spare]
    ):
        left_out.insert(0, spare[-1])
        kept = kept.without(spare[-1])
    if not left_out:
        return sheet
    names = ", ".join(column.title for column in left_out)
    return replace(kept, notes=(*kept.notes, f"left out, as the window is {width} columns wide: {names}"))


def _table(sheet: Sheet, widths: list[int]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, width in zip(sheet.columns, widths, strict=True):
        table.add_column(column.title, justify="right" if column.numeric else "left", width=width)
    for row in sheet.rows:
        table.add_row(*(Text(str(cell), style="red" if cell == "disagrees" else "") for cell in row))
    return table


def _column_widths(sheet: Sheet, window: int | None = None) -> list[int]:
    """The width of each column: of its longest line, or less where text has to fold between words for the window."""
    texts = [[column.title, *(str(row[i]) for row in sheet.rows)] for i, column in enumerate(sheet.columns)]
    whole = [max(map(cell_len, lines)) for lines in texts]
    excess = 0 if window is None else sum(whole) + GAP * len(whole) - window
    if excess <= 0:
        return whole
    least = []
    for column, (title, *cells) in zip(sheet.columns, texts, strict=True):
        unbroken = [*title.split(), *(cells if column.numeric else " ".join(cells).split())]
        least.append(max(map(cell_len, unbroken), default=0))
    foldable = sum(whole) - sum(least)
    if foldable <= excess:
        return least
    # Each gives up what it can spare in proportion, rounded up.
    return [most - -(-(most - low) * excess // foldable) for most, low in zip(whole, least, strict=True)]
