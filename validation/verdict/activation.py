"""Whether the recorded studies notice a wrong activation in their prediction, and how small a change they notice.

    python validation/verdict/activation.py > validation/verdict/activation.md

Every study of a network is run at a small size, and judged by the code of `rmtfl validate`: against its own prediction,
and against those of the same study with other activations, from one of another shape to ones that are all but the same.
A change that moves every judged number by less than its margin (statistics and allowance) cannot be noticed: where none
is, the table says how far the prediction moved beside that margin. Arguments are parts of studies' names: with any,
only those are run.
"""

from __future__ import annotations

import copy
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.compare import Results, compare_rows
from rmtfl.errors import ToleranceNotMet
from rmtfl.montecarlo.run import identity, trial_seed
from rmtfl.study import Row, Study, from_document
from rmtfl.workflow import predict_rows

FOLDER = Path(__file__).parents[1]
NETWORKS = ("weights", "features", "feature-regression", "kernel", "kernel-matrix", "learning-curve")
LEFT_OUT = ("deformed/more-draws.toml",)  # two rows of two-steps-reused again, with more draws
WIDTH = {"weights": 300, "features": 400, "feature-regression": 400}
DRAWS = {"weights": 32, "features": 16, "feature-regression": 16}
OTHER_DRAWS = 8  # of kernels
SAMPLES = {"kernel-matrix": 300, "learning-curve": 200}  # larger ones are left out
# The slope of the look-alike at the middle is that of the activation.
ALIKE = {
    "tanh(x + 7/10)": "erf(sqrt(pi)/2*(x + 7/10))",
    "tanh(x)": "erf(sqrt(pi)/2*x)",
    "erf(x)": "tanh(2*x/sqrt(pi))",
    "relu(x)": "softplus(x)",
    "softplus(x)": "relu(x)",
}
WRONG: dict[str, Callable[[str], str]] = {
    "sigmoid(x)": lambda right: "sigmoid(x)",
    "a look-alike": lambda right: ALIKE[right],
    "σ without its bias": lambda right: right.replace("x + 7/10", "x"),
    "σ(x + 1/5)": lambda right: re.sub(r"\bx\b", "(x + 1/5)", right),
    "σ + x/10": lambda right: f"{right} + x/10",
    "11/10 σ": lambda right: f"11/10*({right})",
}
# An isotropic kernel learns the linear part of a target whatever σ is, as long as σ has one: this one has none.
EVEN: dict[str, Callable[[str], str]] = {"abs(x)": lambda right: "abs(x)"}
FACTORS = ("101/100", "103/100", "105/100", "110/100", "120/100", "150/100", "2")
MANY_STEPS_WIDTH = 400  # of three and more: below it their recursion is out of reach
# Below it the update's noise carries the top of the bulk past the second outlier: the rigid bulk is the wrong theory,
# and found to be.
WIDTH_OF = {"independent-against-reused/exponent-three.toml": 1000}

Document = dict[str, Any]


def small(document: Document, place: str) -> Document:
    """The study in a file at a size that takes seconds."""
    document, observable = copy.deepcopy(document), document["observable"]
    sweep = document.get("sweep", {})
    if observable in WIDTH:
        document["sizes"]["width"] = WIDTH_OF.get(place, WIDTH[observable])
        sweep.pop("sizes.width", None)
    if observable == "feature-regression":
        document["theory"] = {"tolerance": 1e-2}
    if observable == "weights":
        steps = len(document["training"]["alpha"])
        if steps > 2:
            document["sizes"]["width"] = MANY_STEPS_WIDTH
        if "theory.bulk" in sweep and steps > 1:
            for key in ("training.scale", "data.target"):  # those of the study itself are left
                sweep.pop(key, None)
        elif "theory.bulk" not in sweep:
            document["theory"] = document.get("theory", {}) | {"tolerance": 1e-5 if steps <= 2 else 1e-2}
    for table, key in ((sweep, "kernel.samples"), (document.get("kernel", {}), "samples")):
        if isinstance(table.get(key), list):
            most = SAMPLES[observable]
            table[key] = [n for n in table[key] if n <= most] or [most]
    return document


def slow(document: Document) -> bool:
    """Whether a prediction takes seconds, so that few are made."""
    steps = len(document.get("training", {}).get("alpha", ()))
    deformed = "theory.bulk" in document.get("sweep", {})
    return document["observable"] == "kernel" or steps > 2 or (deformed and steps > 1)


def with_activation(document: Document, change: Callable[[str], str]) -> Document:
    """The study with every activation changed."""
    document = copy.deepcopy(document)
    document["network"]["activation"] = change(document["network"]["activation"])
    key = "network.activation"
    if key in document.get("sweep", {}):
        document["sweep"][key] = [change(activation) for activation in document["sweep"][key]]
    return document


def draws(study: Study, row: Row, count: int) -> dict[str, NDArray[np.float64]]:
    """What is simulated of a row, but for the whole spectra that only the first draws have."""
    trial, name = study.kind.function("trial"), identity(study.observable, row.setup)
    found = [trial(row.setup, trial_seed(study.montecarlo.seed, name, index)) for index in range(count)]
    return {key: np.stack([values[key] for values in found]) for key in found[-1]}


class Judge:
    """Judges one study against predictions that may be wrong; what was computed once is kept."""

    def __init__(self, document: Document, place: str) -> None:
        self.document = small(document, place)
        self.study = from_document(self.document)
        count = DRAWS.get(self.study.observable, OTHER_DRAWS)
        self._predicted: dict[str, Any] = {}
        drawn: dict[str, Any] = {}
        for row in self.study.rows:
            name = identity(self.study.observable, row.setup)
            if name not in drawn:
                drawn[name] = draws(self.study, row, count)
        self._draws = [drawn[identity(self.study.observable, row.setup)] for row in self.study.rows]

    def results(self, change: Callable[[str], str] = str) -> Results | None:
        """The verdicts on the prediction for a changed activation; None where it has none in reach."""
        believed = from_document(with_activation(self.document, change))
        try:
            predictions = [self._prediction(believed, number) for number in range(len(believed.rows))]
        except ToleranceNotMet as error:
            print(error, file=sys.stderr)
            return None
        return compare_rows(self.study, list(zip(self.study.rows, predictions, self._draws, strict=True)))

    def _prediction(self, study: Study, number: int) -> Any:
        row = study.rows[number]
        key = row.setup.model_dump_json()
        if key not in self._predicted:
            (self._predicted[key],) = predict_rows(replace(study, rows=(row,)))
        return self._predicted[key]

    @property
    def activations(self) -> list[str]:
        """Those of the study."""
        swept: list[str] = self.document.get("sweep", {}).get("network.activation", [])
        return swept or [self.document["network"]["activation"]]

    def smallest_factor(self) -> str:
        """The first of FACTORS that is noticed on the activation."""
        for factor in FACTORS:
            found = self.results(lambda right, factor=factor: f"{factor}*({right})")  # type: ignore[misc]
            if found is None:
                return f"none below {float(Fraction(factor)):g}, which has no prediction"
            if not found.agree:
                return f"{float(Fraction(factor)):g}"
        return "none to 2"


def moves(right: Results, wrong: Results) -> Iterator[tuple[float, str]]:
    """For each judged number, how far its prediction moves beside its margin, and both in words."""
    for mine, other in zip(right.rows, wrong.rows, strict=True):
        moved = {comparison.name: comparison.prediction for comparison in other.comparisons}
        for comparison in mine.comparisons:
            if comparison.verdict == "not judged" or not comparison.margin or comparison.name not in moved:
                continue
            move, scale = abs(moved[comparison.name] - comparison.prediction), abs(comparison.prediction) or 1.0
            part = f"{comparison.name}: moves {move / scale:.1%}, margin {comparison.margin / scale:.1%}"
            yield move / comparison.margin, part


def disagreeing(results: Results) -> Iterator[str]:
    """What disagrees, and where: on correct theory, what a rigid bulk leaves out."""
    for row in results.rows:
        for comparison in row.comparisons:
            if comparison.verdict == "disagrees":
                yield f"disagrees: {comparison.name}, {row.row.label}"


def tightest(results: Results) -> str:
    """The judged number with the smallest margin, relative to it."""
    judged = [c for row in results.rows for c in row.comparisons if c.verdict != "not judged" and c.margin]
    found = min(judged, key=lambda c: (c.margin or 0.0) / abs(c.prediction or 1.0))
    size = abs(found.prediction) or 1.0
    return f"{found.name}: {(found.margin or 0.0) / size:.1%}, of which allowance {found.allowance / size:.1%}"


def main() -> None:
    """Print the tables."""
    powers, noticed = [], []
    for path in sorted(FOLDER.glob("*/*.toml")):
        document, place = tomllib.loads(path.read_text(encoding="utf-8")), path.relative_to(FOLDER).as_posix()
        if document["observable"] not in NETWORKS or place in LEFT_OUT:
            continue
        if not all(part in place for part in sys.argv[1:]):
            continue
        judge = Judge(document, place)
        right = judge.results()
        assert right is not None
        factor = "not sought" if slow(document) else judge.smallest_factor()
        powers.append(
            f"| {place} | {len(right.rows)} | {right.judged} | {', '.join(disagreeing(right)) or 'agrees'} "
            f"| {tightest(right)} | {factor} |"
        )
        for name, change in (WRONG | (EVEN if document["observable"] == "learning-curve" else {})).items():
            if all(change(activation) == activation for activation in judge.activations):
                continue
            wrong = judge.results(change)
            if wrong is None:
                noticed.append(f"| {place} | {name} | exits 3: no prediction | | | | |")
                continue
            failing = sum(c.verdict == "disagrees" for row in wrong.rows for c in row.comparisons)
            rows = sum(row.verdict == "disagrees" for row in wrong.rows)
            largest = max(moves(right, wrong), default=(0.0, "no number of both is judged"))
            noticed.append(
                f"| {place} | {name} | {'agrees' if wrong.agree else 'disagrees'} | {rows} of {len(wrong.rows)} "
                f"| {failing} of {wrong.judged} | {largest[0]:.1f} | {largest[1]} |"
            )
        print(f"{place} is done", file=sys.stderr, flush=True)
    print("\n".join(document_of(powers, noticed)))


def document_of(powers: list[str], noticed: list[str]) -> Iterator[str]:
    """The lines of the whole document, from those of two of its tables."""
    yield from TALLY
    found: dict[str, Counter[str]] = {}
    for line in noticed:
        _, _, name, verdict, *_ = (cell.strip() for cell in line.split("|"))
        found.setdefault(name, Counter())[verdict.partition(":")[0]] += 1
    for name, verdicts in found.items():
        counts = (verdicts[verdict] for verdict in ("disagrees", "agrees", "exits 3"))
        yield f"| {name} | {' | '.join(map(str, counts))} |"
    yield from ("", *POWER, *powers, "", *NOTICED, *noticed)


TALLY = (
    "How many of the recorded studies notice a wrong activation in their prediction: `rmtfl validate` exits 1 where",
    "they do, and 3 where the wrong activation has no prediction within the tolerance.",
    "",
    "| wrong activation | notice it | do not | exit 3 |",
    "| --- | --: | --: | --: |",
)
POWER = (
    "Recorded studies at small sizes, each with its own prediction; the tightest margin of a judged number, and the",
    "smallest factor on the activation that a study notices, of 1.01, 1.03, 1.05, 1.1, 1.2, 1.5 and 2.",
    "",
    "| study | rows | judged | right activation | tightest margin | smallest factor noticed |",
    "| --- | --: | --: | --- | --- | --: |",
)
NOTICED = (
    "The same studies with predictions for other activations: whether `rmtfl validate` would exit 1 (disagrees), and",
    "the judged number whose prediction moves the most beside its margin, in units of it.",
    "",
    "| study | wrong activation | verdict | rows that notice | numbers | largest move | of |",
    "| --- | --- | --- | --: | --: | --: | --- |",
)


if __name__ == "__main__":
    main()
