"""Tables: rows of text and measured numbers, as LaTeX, Markdown, CSV.

A number is rounded where its own error says so: at the second digit of a standard error, and never beyond the first
digit of a numerical one. Nothing that changes between equal runs (times, paths, dates) is printed.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from typing import Any, Literal

Format = Literal["latex", "markdown", "csv"]

ROUNDING = 1e-13  # of a number: draws that scatter by no more are equal
MOST_DIGITS = 10  # significant digits of a number in a table, however small its error
# Of a table in 10 point type, in millimetres, generously: a character, a line, and a page for the notes.
LATEX_CHARACTER, LATEX_LINE, LATEX_LEAST_WIDTH = 1.9, 4.5, 120.0
WIDE = Context(prec=700)  # digits: every double at every place, with nothing to overflow


@dataclass(frozen=True)
class Measured:
    """A rounded number, with its rounded standard error where it has one; `value` is '' where there is none."""

    value: str
    error: str = ""

    def __str__(self) -> str:
        return f"{self.value} ± {self.error}" if self.error else self.value

    @property
    def siunitx(self) -> str:
        """In the notation that siunitx parses: 23.85(12), with the error in units of the last digit."""
        if not self.error:
            return self.value
        mantissa, mark, exponent = self.value.partition("e")
        unit = Decimal(1).scaleb(int(Decimal(self.value).as_tuple().exponent))
        return f"{mantissa}({Decimal(self.error) / unit:f}){mark}{exponent}"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: its head.
        numeric: whether it holds numbers.
        uncertain: whether these carry standard errors.
        detail: whether it is for .csv alone, as pages are narrow.
        spare: whether it may be left out of a terminal that is too narrow.
    """

    title: str
    numeric: bool = False
    uncertain: bool = False
    detail: bool = False
    spare: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table before it has a format.

    Attributes:
        columns: titles and kinds.
        rows: cells, text in text columns and Measured in numeric ones.
        notes: lines under the table.
        caption: a line above it.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str | Measured, ...], ...]
    notes: tuple[str, ...] = ()
    caption: str = ""

    @property
    def page(self) -> Sheet:
        """The table without its details."""
        return self.without(*(column for column in self.columns if column.detail))

    def without(self, *columns: Column) -> Sheet:
        """The table without some of its columns."""
        kept = [index for index, column in enumerate(self.columns) if column not in columns]
        return replace(
            self,
            columns=tuple(self.columns[index] for index in kept),
            rows=tuple(tuple(row[index] for index in kept) for row in self.rows),
        )


# ------------------------------------------------------------------------------------------------ rounding


def statistical_places(standard_error: float) -> int:
    """Decimal places that show two digits of a standard error."""
    return 1 - int(f"{standard_error:.1e}".partition("e")[2])  # 0.0996 is 0.10 in two digits, and not 0.100


def numerical_places(error: float) -> int:
    """Decimal places whose last digit is not below a numerical error."""
    return math.floor(-math.log10(error))


def measured(value: float | None, *, standard_error: float | None = None, error: float = 0.0) -> Measured:
    """A number rounded by its errors, whichever is the larger; without any, to MOST_DIGITS significant digits."""
    if value is None:
        return Measured("")
    places = [numerical_places(error)] if error > 0 else []
    if standard_error and standard_error > ROUNDING * abs(value):
        places.append(statistical_places(standard_error))
        return Measured(fixed(value, min(places)), fixed(standard_error, min(places)))
    if value:
        places.append(MOST_DIGITS - 1 - math.floor(math.log10(abs(value))))
    text = fixed(value, min(places, default=0))
    return Measured(text if error > 0 else _without_zeros(text))


def fixed(value: float, places: int) -> str:
    """The value at so many decimal places, which may be negative; scientific where fixed notation would be long."""
    rounded = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-places, WIDE), context=WIDE)
    if not rounded:
        rounded = abs(rounded)  # no -0.00
    if rounded and not -5 <= rounded.adjusted() < 9:
        digits = max(rounded.adjusted() + places, 0)
        return f"{rounded:.{digits}e}"
    return f"{rounded:f}"


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def plain(value: Any) -> str:
    """An input as a person writes it."""
    if isinstance(value, list | tuple):
        return ", ".join(plain(entry) for entry in value)
    return str(value)


# ------------------------------------------------------------------------------------------------ formats


def render(sheet: Sheet, style: Format) -> str:
    """The table as text in one of the formats, ending in a newline."""
    match style:
        case "latex":
            return _latex(sheet.page)
        case "markdown":
            return _markdown(sheet.page)
        case "csv":
            return _csv(sheet)


def _markdown(sheet: Sheet) -> str:
    def escaped(text: object) -> str:
        return str(text).replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").replace("\n", " ")

    titles = [column.title for column in sheet.columns]
    cells = [[escaped(cell) for cell in row] for row in ([*titles], *sheet.rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(titles))]

    def line(row: Iterable[str]) -> str:
        padded = (
            text.rjust(width) if column.numeric else text.ljust(width)
            for text, width, column in zip(row, widths, sheet.columns, strict=True)
        )
        return "| " + " | ".join(padded) + " |"

    rule = (
        "-" * (width - 1) + ":" if column.numeric else "-" * width
        for width, column in zip(widths, sheet.columns, strict=True)
    )
    head = [f"**{escaped(sheet.caption)}**", ""] if sheet.caption else []
    notes = [part for note in sheet.notes for part in ("", escaped(note))]
    return "\n".join([*head, line(cells[0]), line(rule), *(line(row) for row in cells[1:]), *notes]) + "\n"


def _csv(sheet: Sheet) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    head: list[str] = []
    for column in sheet.columns:
        head += [column.title, f"{column.title} standard error"] if column.uncertain else [column.title]
    writer.writerow(head)
    for row in sheet.rows:
        cells: list[str] = []
        for column, cell in zip(sheet.columns, row, strict=True):
            value = cell.value if isinstance(cell, Measured) else cell
            cells += [value, cell.error if isinstance(cell, Measured) else ""] if column.uncertain else [value]
        writer.writerow(cells)
    return buffer.getvalue()


_GREEK = (
    "alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau varphi chi psi omega"
)
_LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "∞": r"$\infty$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≃": r"$\simeq$",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "’": "'",
    **{letter: rf"$\{name}$" for letter, name in zip("αβγδεζηθικλμνξπρστφχψω", _GREEK.split(), strict=True)},
}
# What pdfLaTeX typesets of UTF-8 without further packages, beyond ASCII: the Latin letters.
_LAST_LATIN = "\u017f"


def _latex(sheet: Sheet) -> str:
    specification = " ".join(_latex_column(sheet, i) for i in range(len(sheet.columns)))
    titles = (f"{{{latex_text(column.title)}}}" for column in sheet.columns)
    lines = [
        r"% needs \usepackage{booktabs, siunitx}",
        rf"\begin{{tabular}}{{@{{}} {specification} @{{}}}}",
        r"\toprule",
        " & ".join(titles) + r" \\",
        r"\midrule",
    ]
    for row in sheet.rows:
        cells = (cell.siunitx if isinstance(cell, Measured) else latex_text(cell) for cell in row)
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if sheet.notes:
        lines += [r"\par\smallskip", r"{\footnotesize", *(latex_text(note) + r"\par" for note in sheet.notes), "}"]
    return "\n".join(lines) + "\n"


def latex_document(sheet: Sheet) -> str:
    """The table as a LaTeX document of its own, on one page that is as large as the table."""
    page = sheet.page
    cells = ([column.title for column in page.columns], *page.rows)
    longest = [max(len(str(row[index])) for row in cells) + 3 for index in range(len(page.columns))]
    width = max(sum(longest) * LATEX_CHARACTER, LATEX_LEAST_WIDTH)
    lines = len(page.rows) + sum(2 + len(note) * LATEX_CHARACTER // width for note in page.notes)
    height = LATEX_LINE * (lines + 6)
    return "\n".join(
        [
            r"\documentclass{article}",
            rf"\usepackage[paperwidth={width:.0f}mm, paperheight={height:.0f}mm, margin=5mm]{{geometry}}",
            r"\usepackage{booktabs, siunitx}",
            r"\pagestyle{empty}",
            r"\setlength{\parindent}{0pt}",
            r"\begin{document}",
            _latex(page) + r"\end{document}",
            "",
        ]
    )


def latex_text(text: str) -> str:
    """Text with everything escaped that LaTeX would read as more than a character."""
    escaped = (_LATEX_ESCAPES.get(character, character) for character in text)
    return "".join(part if part[0] <= _LAST_LATIN else "?" for part in escaped)


def _latex_column(sheet: Sheet, index: int) -> str:
    if not sheet.columns[index].numeric:
        return "l"
    cells = [row[index] for row in sheet.rows]
    return _siunitx_column([cell for cell in cells if isinstance(cell, Measured) and cell.value])


def _siunitx_column(cells: Sequence[Measured]) -> str:
    if not cells or any("e" in cell.value or "e" in cell.error for cell in cells):
        return "S"
    sign = "-" if any(cell.value.startswith("-") for cell in cells) else ""
    whole = max(len(cell.value.lstrip("-").partition(".")[0]) for cell in cells)
    decimals = max(len(cell.value.partition(".")[2]) for cell in cells)
    digits = max(len(cell.siunitx.partition("(")[2].rstrip(")")) for cell in cells)
    uncertainty = f"({digits})" if digits else ""
    return f"S[table-format={sign}{whole}.{decimals}{uncertainty}]"
