"""Whether every recorded study of the weights notices a wrong activation in its prediction.

    python validation/verdict/activation.py > validation/verdict/activation.md

Each study is run at a small width with few draws, and judged twice: against its own prediction, and against that of the
same study with another activation.
"""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

from rmtfl.compare import Results, compare_rows
from rmtfl.montecarlo.run import sample
from rmtfl.montecarlo.weights import trial
from rmtfl.study import from_document
from rmtfl.workflow import predict_rows

FOLDER = Path(__file__).parents[1]
WIDTH, DRAWS = 300, 8
OTHER = "sigmoid(x)"  # its strengths are about half of those of tanh, and another multiple of those of relu or He3


def results(document: dict[str, Any], activation: str | None) -> Results:
    """The study's rows, predicted with an activation that may be wrong, and simulated with its own."""
    study = from_document(document)
    believed = copy.deepcopy(document)
    if activation is not None:
        believed["network"]["activation"] = activation
        if "network.activation" in believed.get("sweep", {}):
            believed["sweep"]["network.activation"] = [activation] * len(believed["sweep"]["network.activation"])
    predictions = predict_rows(from_document(believed))
    seed = study.montecarlo.seed
    draws = [sample("weights", row.setup, DRAWS, seed, trial) for row in study.rows]
    return compare_rows(study, list(zip(study.rows, predictions, draws, strict=True)))


def main() -> None:
    """Print the table."""
    print(f"Recorded studies at N = {WIDTH}, {DRAWS} draws: with their own prediction, and with that for {OTHER}.\n")
    print("| study | rows | judged | right activation | wrong activation | rows that notice |")
    print("| --- | --: | --: | --- | --- | --: |")
    for path in sorted(FOLDER.glob("*/*.toml")):
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        if document["observable"] != "weights" or "sizes" not in document:
            continue
        document["sizes"]["width"] = WIDTH
        document["theory"] = document.get("theory", {}) | {"tolerance": 1e-5}
        right, wrong = results(document, None), results(document, OTHER)
        verdicts = ["agrees" if found.agree else "disagrees" for found in (right, wrong)]
        noticing = sum(row.verdict == "disagrees" for row in wrong.rows)
        place = path.relative_to(FOLDER).as_posix()
        print(
            f"| {place} | {len(right.rows)} | {right.judged} | {verdicts[0]} | {verdicts[1]} | {noticing} |", flush=True
        )


if __name__ == "__main__":
    main()
