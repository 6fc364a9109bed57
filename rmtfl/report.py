"""One page of HTML that holds a whole study: what was asked, what is claimed, the tables, the figure, the verdicts.

The page needs nothing but itself: pictures are embedded, there is no script, and a content security policy forbids
every request. It holds no date and no path, so that equal results give equal pages.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl import __version__
from rmtfl.compare import Results, RowResult
from rmtfl.errors import BadInput
from rmtfl.sheets import comparison_sheet, diagnostics_sheet
from rmtfl.study import Study
from rmtfl.tables import Measured, Sheet, plain

Trials = Mapping[str, NDArray[np.float64]]

SWEPT = "(swept)"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light; --ink: #1a1a1a; --faint: #5c5c5c; --line: #d8d8d8; --good: #00664a; --bad: #a83c00;
  --unsure: #7a5200; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1.25rem 4rem; color: var(--ink); background: #fff;
  font: 16px/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .6rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
p { max-width: 46rem; margin: .6rem 0; }
.verdict { font-weight: 600; }
.agrees { color: var(--good); }
.disagrees { color: var(--bad); font-weight: 600; }
.caution { color: var(--unsure); font-weight: 600; }
.note { color: var(--faint); font-size: .875rem; margin: .35rem 0; }
.scroll { overflow-x: auto; background: linear-gradient(90deg, #fff 1.5rem, #fff0) 0 0 / 3rem 100% local,
  linear-gradient(-90deg, #fff 1.5rem, #fff0) 100% 0 / 3rem 100% local,
  linear-gradient(90deg, #0003, #0000) 0 0 / .6rem 100% scroll,
  linear-gradient(-90deg, #0003, #0000) 100% 0 / .6rem 100% scroll; background-repeat: no-repeat; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .7rem .28rem 0; text-align: left; white-space: nowrap; border-bottom: 1px solid #eee; }
th { border-bottom: 1px solid var(--ink); font-weight: 600; }
tbody th { border-bottom: 1px solid #eee; font-weight: 400; color: var(--faint); }
td.number, th.number { text-align: right; }
img { display: block; width: 100%; min-width: 36rem; max-width: 60rem; height: auto; }
pre { background: #f6f6f6; padding: .8rem 1rem; overflow-x: auto; font-size: .85rem; line-height: 1.45; }
summary { cursor: pointer; }
@media (max-width: 42rem) {
  body { padding: 1rem .75rem 3rem; }
  h1 { font-size: 1.35rem; }
  img { min-width: 0; }
  table { font-size: .8rem; }
  th, td { padding-right: .5rem; }
  .words th, .words td { white-space: normal; overflow-wrap: anywhere; vertical-align: top; }
  .words th { width: 45%; }
}
"""


def write(page: str, folder: Path) -> Path:
    """Write the page as index.html of a folder, which is made where there is none.

    Raises:
        BadInput: for a place that cannot be written.
    """
    place = folder / "index.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place.write_text(page, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error.strerror}); expected a folder") from None
    return place


def report(study: Study, results: Results, trials: Sequence[Trials], source: str) -> str:
    """The page.

    Args:
        study: the study.
        results: what came of it.
        trials: for each row its draws, as the figure takes them.
        source: the text of the study file.
    """
    title = escape(study.title or "Study")
    sections = [
        ("Setup", _setup(study)),
        ("Statement", _statement(study)),
        ("Verdicts", _verdicts(results)),
        ("Figure", _figure(study, results, trials)),
        ("Predicted and simulated", _comparisons(results)),
        ("Shown, not judged", _shown(results)),
        ("Predictions", _predictions(study, results)),
        ("How to reproduce it", _reproduce(study, source, results.device)),
    ]
    body = "\n".join(
        f"<section>\n<h2>{heading}</h2>\n{content}\n</section>"
        for heading, parts in sections
        if (content := "\n".join(parts))
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="verdict {_class(results)}">{escape(_headline(results))}</p>{_caution(results)}
</header>
<main>
{body}
</main>
</body>
</html>
"""


def _class(results: Results) -> str:
    return "agrees" if results.agree else "disagrees"


def _headline(results: Results) -> str:
    if not results.judged:
        return "Nothing was judged."
    found = [comparison for row in results.rows for comparison in row.comparisons]
    disagreeing = sum(comparison.verdict == "disagrees" for comparison in found)
    verdict = f"agree, in all of {results.judged}"
    if disagreeing:
        verdict = f"disagree, in {disagreeing} of {results.judged}"
    return f"Prediction and simulation {verdict} numbers judged together."


def _caution(results: Results) -> str:
    text = results.caution
    return f'\n<p class="caution">{escape(text[:1].upper() + text[1:])}.</p>' if text else ""


def _setup(study: Study) -> Iterator[str]:
    inputs = dict(study.rows[0].inputs)
    for name in study.rows[0].swept:  # an entry of a list that is swept has a line of its own
        parent, _, index = name.rpartition(".")
        if index.isdigit() and parent in inputs:
            inputs[parent] = [SWEPT if i == int(index) else entry for i, entry in enumerate(inputs[parent])]
    swept = {name: list(dict.fromkeys(plain(row.inputs[name]) for row in study.rows)) for name in study.rows[0].swept}
    shown = {"observable": [study.observable], **{name: [plain(value)] for name, value in inputs.items()}, **swept}
    shown |= {"trials": [str(study.montecarlo.trials)], "seed": [str(study.montecarlo.seed)]}
    lines = (
        f'<tr><th scope="row">{escape(name)}</th><td>{escape("; ".join(values))}</td></tr>'
        for name, values in shown.items()
        if values != ["None"]
    )
    yield _scrolling("inputs", '<table class="words"><tbody>\n' + "\n".join(lines) + "\n</tbody></table>")


def _statement(study: Study) -> Iterator[str]:
    if study.kind.offers("statement"):
        for paragraph in study.kind.function("statement")([row.setup for row in study.rows]):
            yield f"<p>{escape(paragraph)}</p>"


def _verdicts(results: Results) -> Iterator[str]:
    lines = (
        f'<tr><th scope="row">{escape(row.row.label or "the only row")}</th>'
        f'<td class="{row.verdict.replace(" ", "-")}">{escape(_row_verdict(row))}</td></tr>'
        for row in results.rows
    )
    yield _scrolling("verdicts", '<table class="words"><tbody>\n' + "\n".join(lines) + "\n</tbody></table>")


def _row_verdict(row: RowResult) -> str:
    wrong = [comparison.name for comparison in row.comparisons if comparison.verdict == "disagrees"]
    return f"disagrees: {', '.join(wrong)}" if wrong else row.verdict


def _figure(study: Study, results: Results, trials: Sequence[Trials]) -> Iterator[str]:
    if not study.kind.offers("figure") or not any(trials):
        return
    from rmtfl.figures.page import as_svg

    picture = base64.b64encode(as_svg(study.kind.function("figure")(results, trials))).decode("ascii")
    description = "Simulated spectra with the predicted bulk and outliers; the numbers are in the tables."
    image = f'<img alt="{description}" src="data:image/svg+xml;base64,{picture}">'
    yield _scrolling("figure", image)


def _comparisons(results: Results) -> Iterator[str]:
    yield from _sheet(comparison_sheet(results), "comparisons")
    yield '<p class="note">the interval is that of the mean, at the level of the verdict</p>'


def _shown(results: Results) -> Iterator[str]:
    sheet = diagnostics_sheet(results)
    if sheet.rows:
        yield from _sheet(sheet, "counts, bulk and rates")


def _predictions(study: Study, results: Results) -> Iterator[str]:
    summary = study.kind.function("summary")
    for result in results.rows:
        found: Sheet = summary(result.row.setup, result.prediction)
        label = escape(result.row.label or "the only row")
        content = "\n".join(_sheet(found, f"prediction, {label}"))
        yield f"<details>\n<summary>{label}</summary>\n{content}\n</details>"


def _reproduce(study: Study, source: str, device: str | None) -> Iterator[str]:
    name = study.path.name if study.path else "study.toml"
    place = "" if device in (None, "numpy:cpu") else f" --device {device}"
    commands = f"rmtfl validate {name}{place}\nrmtfl table {name} --format markdown\nrmtfl report {name} -o report"
    yield f"<p>With rmtfl {escape(__version__)}, and the study below as {escape(name)}:</p>"
    yield f"<pre>{escape(commands)}</pre>"
    yield "<p>The seed is in the study: the same numbers come out to the last bit, whatever runs the trials.</p>"
    yield f"<pre>{escape(source)}</pre>"


def _sheet(sheet: Sheet, label: str) -> Iterator[str]:
    head = "".join(f"<th{_kind(column.numeric)}>{escape(column.title)}</th>" for column in sheet.columns)
    lines = []
    for row in sheet.rows:
        cells = (
            f"<td{_kind(column.numeric)}>{_cell(cell)}</td>" for column, cell in zip(sheet.columns, row, strict=True)
        )
        lines.append("<tr>" + "".join(cells) + "</tr>")
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(lines) + "\n</tbody>\n</table>"
    yield _scrolling(label, table)
    for note in sheet.notes:
        yield f'<p class="note">{escape(note)}</p>'


def _kind(numeric: bool) -> str:
    return ' class="number"' if numeric else ""


def _cell(cell: str | Measured) -> str:
    text = escape(str(cell)).replace("-", "−") if isinstance(cell, Measured) else escape(cell)
    return f'<span class="{text}">{text}</span>' if cell in ("agrees", "disagrees") else text


def _scrolling(label: str, content: Any) -> str:
    """What may be wider than a page scrolls by itself, also from the keyboard."""
    return f'<div class="scroll" role="region" aria-label="{escape(label)}" tabindex="0">\n{content}\n</div>'
