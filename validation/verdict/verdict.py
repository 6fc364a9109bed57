"""How often the verdict is wrong: false alarms on correct theory, and power against theories that are wrong on purpose.

    python validation/verdict/verdict.py > validation/verdict/verdict.md

Many studies of one row each are made of simulated networks, and judged by the code that judges every study. The truth
is known in one case only: a prediction that is the mean of many other draws, judged without an allowance, shows what
the statistics do on the outliers as they are distributed. The theory's own false alarms are then those with it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.compare import FAMILY_LEVEL, compare_rows, judge
from rmtfl.montecarlo.run import sample
from rmtfl.montecarlo.weights import trial
from rmtfl.statistics import binomial_interval
from rmtfl.study import Row, Study, from_document
from rmtfl.weights.compare import quantities

SEED = 20260522
DRAWS = 3200  # a setting: 400 studies of 8, or 100 of 32
SIZES_OF_STUDIES = (8, 32)
OTHER_ACTIVATIONS = ("tanh(x + 1/5)", "sigmoid(x)")  # one that moves the first outlier by 3% to 13%, and one by half

BASE: dict[str, Any] = {
    "schema": 1,
    "observable": "weights",
    "network": {"activation": "tanh(x + 7/10)"},
    "data": {"target": "tanh(x)"},
    "theory": {"tolerance": 1e-6},
    "montecarlo": {"trials": DRAWS, "seed": SEED},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "one step": {
        "sizes": {"width": 300, "width_ratio": 1, "sample_ratio": 2},
        "training": {"batches": "reused", "alpha": ["3/10"], "scale": [2]},
    },
    "one step, deformed bulk": {
        "sizes": {"width": 300, "width_ratio": 1, "sample_ratio": 2},
        "training": {"batches": "reused", "alpha": ["3/10"], "scale": [2]},
        "theory": {"tolerance": 1e-4, "bulk": "deformed"},
    },
    "two steps, reused batch": {
        "sizes": {"width": 300, "width_ratio": 1, "sample_ratio": 2},
        "training": {"batches": "reused", "alpha": ["3/10", "3/10"], "scale": [2, 6]},
    },
}

Document = dict[str, Any]
Draws = Mapping[str, NDArray[np.float64]]


def only_row(changes: Mapping[str, Mapping[str, Any]], setting: Mapping[str, Any]) -> tuple[Study, Row]:
    """The study of one setting, with entries of its tables changed, and its row."""
    document = copy.deepcopy(BASE | setting)
    for table, entries in changes.items():
        document[table] |= entries
    study = from_document(document)
    return study, study.rows[0]


def predicted(changes: Mapping[str, Mapping[str, Any]], setting: Mapping[str, Any]) -> Document:
    """The prediction's document for a setting that may be another than the one simulated."""
    study, row = only_row(changes, setting)
    found: Document = study.kind.function("predict")(row.setup).as_json()
    return found


def theories(setting: Mapping[str, Any]) -> Iterator[tuple[str, Document]]:
    """The right theory, and the wrong ones."""
    right = predicted({}, setting)
    yield "right", right
    if len(setting["training"]["alpha"]) > 1:
        # Without the share that a sample has in the neurons it moved, a batch is as good as a fresh one.
        yield "without the self term", predicted({"training": {"batches": "independent"}}, setting)
    sizes = setting["sizes"]
    swapped = {"width_ratio": sizes["sample_ratio"], "sample_ratio": sizes["width_ratio"]}
    yield "ratios swapped", predicted({"sizes": swapped}, setting)
    for activation in OTHER_ACTIVATIONS:
        yield f"activation {activation}", predicted({"network": {"activation": activation}}, setting)
    for percent in (5, 10):
        shifted = copy.deepcopy(right)
        for outlier in shifted["outliers"]:
            outlier["location"] *= 1 + percent / 100
        yield f"locations {percent}% too large", shifted


def truth(prediction: Document, draws: Draws) -> Document:
    """The prediction with what is judged of it replaced by means of draws."""
    document = copy.deepcopy(prediction)
    for j, outlier in enumerate(document["outliers"]):
        outlier["location"] = float(draws["singular_values"][:, j].mean())
        outlier["alignment"] = float(draws["alignments"][:, j].mean())
    document["bulk"]["top"] = float(draws["singular_values"][:, len(document["outliers"])].mean())
    return document


def studies(draws: Draws, size: int) -> list[Draws]:
    """The draws as studies of so many each."""
    count = len(draws["alignments"]) // size
    return [{name: values[i * size : (i + 1) * size] for name, values in draws.items()} for i in range(count)]


def disagrees(study: Study, row: Row, prediction: Document, draws: Draws, allowances: bool = True) -> bool:
    """The verdict; without allowances, that of the statistics alone."""
    if allowances:
        return not compare_rows(study, [(row, prediction, draws)]).agree
    found = [replace(quantity, allowance=0.0) for quantity in quantities(row.setup, prediction, draws)]
    judged = sum(quantity.judgeable for quantity in found)
    return any(judge(quantity, judged).verdict == "disagrees" for quantity in found)


def main() -> None:
    """Print the table."""
    print(f"Studies of one row found to disagree, at the {FAMILY_LEVEL:.0%} level; N = d = 300, n = 600.\n")
    print("| setting | theory | allowances | draws a study | found to disagree | 95% interval |")
    print("| --- | --- | --- | --: | --: | --: |")
    for name, setting in SETTINGS.items():
        study, row = only_row({}, setting)
        draws = sample("weights", row.setup, DRAWS, SEED, trial)
        others = sample("weights", row.setup, DRAWS, SEED + 1, trial)
        right = predicted({}, setting)
        cases = [(f"mean of {DRAWS} other draws", truth(right, others), False), ("right", right, False)]
        cases += [(theory, document, True) for theory, document in theories(setting)]
        for theory, document, allowances in cases:
            for size in SIZES_OF_STUDIES:
                found = [disagrees(study, row, document, part, allowances) for part in studies(draws, size)]
                lower, upper = binomial_interval(sum(found), len(found))
                print(
                    f"| {name} | {theory} | {'yes' if allowances else 'no'} | {size} | {sum(found)} of {len(found)} "
                    f"| {lower:.1%} to {upper:.1%} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
