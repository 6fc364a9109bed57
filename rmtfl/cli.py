"""The `rmtfl` command.

stdout carries the answer alone; progress and remarks go to stderr. Exit status: 0 done and in agreement, 1 prediction
and simulation disagree, 2 bad input or usage, 3 a tolerance out of reach, 70 a defect of rmtfl, 130 interrupted, 141 a
pipe whose reader left.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from rmtfl import __version__
from rmtfl.compare import Results
from rmtfl.errors import BadInput, RmtflError
from rmtfl.setup import exact
from rmtfl.sheets import comparison_sheet, diagnostics_sheet
from rmtfl.study import SCHEMA, read
from rmtfl.tables import latex_document, render
from rmtfl.terminal import Terminal, show
from rmtfl.workflow import compare_file, predict_rows, recorded
from rmtfl.workflow import validate as run_study

DISAGREE = 1
DEFECT = 70
INTERRUPTED = 130
BROKEN_PIPE = 141


class Commands(TyperGroup):
    """The group of commands: every expected failure becomes one message and its exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except RmtflError as error:
            print(f"rmtfl: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_status) from None
        except KeyboardInterrupt:
            print("rmtfl: interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The interpreter flushes stdout once more on its way out: give it somewhere to write.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        return result


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Predict, simulate and compare the spectra of two-layer networks that learn features.",
)


def main() -> None:
    """Entry point of the `rmtfl` command."""
    try:
        app(prog_name="rmtfl")
    except Exception:
        # Python's own status for this is 1, which would read as a disagreement.
        traceback.print_exc()
        sys.exit(DEFECT)


Choice = TypeVar("Choice", bound=StrEnum)


def _one_of(choices: type[Choice]) -> Callable[[str], Choice]:
    def choice(text: str) -> Choice:
        if text not in list(choices):
            raise typer.BadParameter(f"value {text}: expected one of {', '.join(choices)}")
        return choices(text)

    return choice


def _whole_number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"value {text}: expected a whole number of at least 1")
    return int(text)


class Style(StrEnum):
    """Formats of a table."""

    latex = "latex"
    markdown = "markdown"
    csv = "csv"


class PageStyle(StrEnum):
    """Where a figure is shown."""

    screen = "screen"
    print = "print"


StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (TOML).", show_default=False)]
StoreFile = Annotated[
    Path | None, typer.Option("--store", metavar="FILE", help="Results; by default beside the study, as .sqlite.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="The picture: .pdf, .svg or .png.", show_default=False)
]


def _version(asked: bool) -> None:
    if asked:
        print(f"rmtfl {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


@app.command()
def predict(
    study_file: StudyFile,
    certify: Annotated[
        bool, typer.Option("--certify", help="Prove the numbers, to theory.digits digits (30 unless given).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The deterministic answer, in seconds, without sampling."""
    study = read(study_file)
    with Terminal() as watcher:
        documents = predict_rows(study, certify=certify, watcher=watcher)
    if as_json:
        rows = [
            {"inputs": dict(row.inputs), "prediction": document}
            for row, document in zip(study.rows, documents, strict=True)
        ]
        _print_json({"schema": SCHEMA, "observable": study.observable, "rows": rows})
        return
    summary = study.kind.function("summary")
    for row, document in zip(study.rows, documents, strict=True):
        show(summary(row.setup, document), row.label or study.title)


@app.command()
def validate(
    study_file: StudyFile,
    store: StoreFile = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", parser=_whole_number, metavar="N", help="Worker processes; by default one a core."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", metavar="ADDRESS", help="An existing Dask scheduler, tcp://host:port.")
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="What computes: cpu, cuda, cuda:1, cupy:cuda or torch:cpu.")
    ] = "cpu",
    force: Annotated[
        bool, typer.Option("--force", help="Start anew; an old store is kept under another name.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Predict, simulate, compare; an interrupted run is resumed. Exit status 1 if they disagree."""
    study = read(study_file)
    path = _store_path(study_file, store)
    with Terminal() as watcher:
        results = run_study(
            study, path, workers=workers, scheduler=scheduler, device=device, force=force, watcher=watcher
        )
    _verdict(results, as_json)


@app.command()
def table(
    study_file: StudyFile,
    store: StoreFile = None,
    style: Annotated[
        Style,
        typer.Option("--format", parser=_one_of(Style), metavar="|".join(Style), help="What it is written in."),
    ] = Style.markdown,
    diagnostics: Annotated[
        bool, typer.Option("--diagnostics", help="Counts, the bulk against its law, and rates instead.")
    ] = False,
    standalone: Annotated[
        bool, typer.Option("--standalone", help="LaTeX as a document of its own, that compiles as it is.")
    ] = False,
) -> None:
    """The table of a validated study, from its store: nothing is computed again."""
    results, _ = recorded(read(study_file), _store_path(study_file, store), Terminal())
    sheet = diagnostics_sheet(results) if diagnostics else comparison_sheet(results)
    if standalone and style is not Style.latex:
        raise BadInput(f"--standalone: with --format {style.value}; expected --format latex")
    sys.stdout.write(latex_document(sheet) if standalone else render(sheet, style.value))


@app.command()
def figure(
    study_file: StudyFile,
    output: Output,
    store: StoreFile = None,
    style: Annotated[
        PageStyle,
        typer.Option(
            "--style",
            parser=_one_of(PageStyle),
            metavar="|".join(PageStyle),
            help="For a screen, or one column of print.",
        ),
    ] = PageStyle.screen,
) -> None:
    """The picture of a validated study, from its store."""
    from rmtfl.figures.page import save

    study = read(study_file)
    results, trials = recorded(study, _store_path(study_file, store), Terminal())
    save(study.kind.function("figure")(results, trials, style.value), output)
    _remark(f"wrote {output}")


@app.command()
def report(
    study_file: StudyFile,
    folder: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="The folder index.html is written to.", show_default=False),
    ],
    store: StoreFile = None,
) -> None:
    """One self-contained page of HTML of a validated study, from its store."""
    from rmtfl.report import report as render_page
    from rmtfl.report import write

    study = read(study_file)
    results, trials = recorded(study, _store_path(study_file, store), Terminal())
    _remark(f"wrote {write(render_page(study, results, trials, study_file.read_text(encoding='utf-8')), folder)}")


@app.command()
def compare(
    study_file: StudyFile,
    spectrum: Annotated[
        Path,
        typer.Option(
            "--spectrum",
            metavar="FILE",
            help="Singular values, eigenvalues, a matrix or a stack: .npy, .npz (one array a draw) or .csv.",
            show_default=False,
        ),
    ],
    row: Annotated[
        int | None,
        typer.Option(
            "--row", parser=_whole_number, metavar="N", help="Which row of the study it belongs to, counted from 1."
        ),
    ] = None,
    eigenvalues: Annotated[
        bool, typer.Option("--eigenvalues", help="The file holds eigenvalues of W W^T or W^T W.")
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="Draw the spectrum over the law: .pdf, .svg or .png."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Your own simulated spectrum against the prediction. Exit status 1 if they disagree."""
    study = read(study_file)
    results, trials = compare_file(study, spectrum, row, eigenvalues)
    if picture is not None:
        from rmtfl.figures.page import save

        save(study.kind.function("figure")(results, trials), picture)
        _remark(f"wrote {picture}")
    if results.largest_margin is not None:
        scatter = "one draw is judged on a bound of its scatter; several would be on their own"
        if not results.one_draw:
            scatter = "the draws are judged on their own scatter; more of them narrow what agrees"
        _remark(f"a gap of up to {results.largest_margin:.0%} agrees: {scatter}")
    _verdict(results, as_json)


# An exponent such as -1/10 is a value outside the domain, and not an unknown option.
@app.command(context_settings={"ignore_unknown_options": True})
def threshold(
    alpha1: Annotated[str, typer.Argument(metavar="ALPHA1", help="Exponent of the first step, such as 3/10.")],
    alpha2: Annotated[str, typer.Argument(metavar="ALPHA2", help="Exponent of the second step.")],
    more: Annotated[list[str] | None, typer.Argument(metavar="[ALPHA3]...", help="Of further steps.")] = None,
    as_json: AsJson = False,
) -> None:
    """The exact number of spikes that two steps make, or more on independent batches, and what it rests on."""
    from rmtfl.weights import threshold as compute

    exponents = enumerate((alpha1, alpha2, *(more or ())), start=1)
    found = compute(*(_exponent(f"alpha of step {step}", alpha) for step, alpha in exponents)).as_json()
    if as_json:
        _print_json({"schema": SCHEMA, **found})
        return
    from rmtfl.weights.summary import threshold_sheet

    show(threshold_sheet(found), "")


@app.command("phase-diagram")
def phase_diagram(output: Output) -> None:
    """The number of spikes over the two exponents, with the lines where it is critical."""
    from rmtfl.figures.page import save
    from rmtfl.figures.phases import phase_diagram as draw

    save(draw(), output)
    _remark(f"wrote {output}")


@app.command()
def formula(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A label of theory/, such as two-step.constants.")] = "",
    activation: Annotated[str | None, typer.Option(help="A polynomial in x, such as 'x + He2(x)/3'.")] = None,
    target: Annotated[str | None, typer.Option(help="A polynomial in x.")] = None,
    noise: Annotated[str | None, typer.Option(help="Standard deviation of the label noise; by default 0.")] = None,
    second_layer: Annotated[str | None, typer.Option(help="gaussian (default), rademacher or uniform.")] = None,
    batches: Annotated[str | None, typer.Option(help="reused (default) or independent.")] = None,
    orders: Annotated[int | None, typer.Option(help="How many orders of the expansion; by default 2.")] = None,
    ratio: Annotated[str | None, typer.Option(help="p/n of a law.")] = None,
    atoms: Annotated[str | None, typer.Option(help="Population eigenvalues, such as 1,8.")] = None,
    weights: Annotated[str | None, typer.Option(help="Their masses, such as 1/2,1/2.")] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Displayed formulas for a LaTeX document.")] = False,
    as_json: AsJson = False,
) -> None:
    """An exact answer in symbols, for polynomial links or an atomic population."""
    from rmtfl.formulas import Inputs
    from rmtfl.formulas import formula as answer

    if latex and as_json:
        raise BadInput("--latex: with --json, which holds LaTeX beside every expression; expected one of them")
    inputs = Inputs(activation, target, noise, second_layer, batches, orders, ratio, atoms, weights)
    found = answer(name, inputs)
    if as_json:
        _print_json({"schema": SCHEMA, **found.as_json()})
    else:
        sys.stdout.write(found.as_latex() if latex else found.as_text())


# ------------------------------------------------------------------------------------------------ helpers


def _exponent(name: str, text: str) -> Any:
    try:
        return exact(text)
    except ValueError as error:
        raise BadInput(f"{name}: value {text}: {error}") from None


def _store_path(study_file: Path, store: Path | None) -> Path:
    return study_file.with_suffix(".sqlite") if store is None else store


def _verdict(results: Results, as_json: bool) -> None:
    if as_json:
        _print_json(results.as_json())
    else:
        show(comparison_sheet(results), results.title)
        diagnostics = diagnostics_sheet(results)
        if diagnostics.rows:
            show(diagnostics, diagnostics.caption)
    if as_json:
        for text in (results.caution, results.hint):
            if text:
                _remark(text)
    if not results.judged:
        _remark("no outlier is predicted, so that nothing was judged")
    if not results.agree:
        raise typer.Exit(DISAGREE)


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2, allow_nan=False))


def _remark(text: str) -> None:
    print(f"rmtfl: {text}", file=sys.stderr)
