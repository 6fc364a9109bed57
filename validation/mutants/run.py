"""Would a test notice if a term of a formula were missing? Writes table.md beside this file.

Each sum or difference in the formula modules loses one of its terms, one at a time, and the module's tests are run
against it until one fails. Indices, sizes, and the estimates of numerical error are left alone: they are no formulas.
A mutated module is never written to disk; each test run is a process of its own that is forked from this one.

    python validation/mutants/run.py [--sample 3] [--only rmtfl.kernel.duals] [--workers 2]

`--sample` takes that many mutants of each module, drawn from a fixed seed; 0 takes all. An hour on two cores at 3.
What was found is kept in record.json: `--only` replaces what is recorded of a module, and writes the table again.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]
PATIENCE = 4  # times what the tests take without a mutant, and a minute: a mutant that hangs is noticed
RECORD = Path(__file__).with_name("record.json")
# The tests of each module, quick and decisive ones first. What solves, integrates or interpolates holds no formulas.
STEPS = [
    "tests/theory/test_two_step.py",
    "tests/theory/test_reused_batch.py",
    "tests/weights/test_conditional.py",
    "tests/weights/test_finite_width.py",
]
LEADING = ["tests/formulas/test_two_step.py", "tests/theory/test_two_step.py", "tests/weights/test_limit.py"]
MANY = ["tests/theory/test_many_steps.py", "tests/weights/test_many_steps.py"]
FEATURES = [
    f"tests/features/test_{name}.py"
    for name in ("theory", "operator", "spread", "bulk", "neurons", "limit", "counts", "networks")
]
REGRESSION = ["tests/regression/test_equivalents.py", "tests/regression/test_prediction.py"]
DEFORMED = [f"tests/weights/test_{name}.py" for name in ("nodes", "deformed", "deformed_reused", "half")]
REUSED = [*DEFORMED[2:], *DEFORMED[:2]]
OUTPUT = ["tests/weights/test_deformed_output.py"]
SPECTRUM = [f"tests/kernel/test_{name}.py" for name in ("theory", "limit", "rules", "duals", "spectrum")]
FORMULAS: dict[str, list[str]] = {
    "rmtfl.gaussian": ["tests/test_gaussian.py", "tests/theory/test_gaussian_calculus.py"],
    "rmtfl.outliers": ["tests/formulas/test_two_step.py", "tests/test_outliers.py"],
    "rmtfl.weights.second_layer": ["tests/formulas/test_two_step.py", "tests/weights/test_second_layer.py"],
    "rmtfl.weights.threshold": ["tests/weights/test_threshold.py"],
    "rmtfl.weights.statistics": STEPS,
    "rmtfl.weights.moments": LEADING,
    "rmtfl.weights.leading": LEADING,
    "rmtfl.weights.limit": LEADING,
    "rmtfl.weights.kinked": ["tests/theory/test_two_step.py", "tests/weights/test_limit.py", *STEPS],
    "rmtfl.weights.conditional": STEPS,
    "rmtfl.weights.rows": STEPS,
    "rmtfl.weights.piecewise_linear": ["tests/weights/test_conditional.py", *STEPS],
    "rmtfl.weights.smoothing": ["tests/weights/test_conditional.py", *STEPS],
    "rmtfl.weights.finite_width": STEPS,
    "rmtfl.weights.many_steps": MANY,
    "rmtfl.weights.averages": MANY,
    "rmtfl.weights.deformed.one_step": DEFORMED,
    "rmtfl.weights.deformed.two_steps": DEFORMED,
    "rmtfl.weights.deformed.reused": REUSED,
    "rmtfl.weights.deformed.neuron": REUSED,
    "rmtfl.weights.deformed.bordered": REUSED,
    "rmtfl.weights.deformed.transfer": DEFORMED,
    "rmtfl.weights.deformed.slopes": REUSED,
    "rmtfl.weights.deformed.nodes": DEFORMED,
    "rmtfl.weights.deformed.pencil": DEFORMED,
    "rmtfl.weights.deformed.frame": [*DEFORMED, *OUTPUT],
    "rmtfl.weights.deformed.branch": DEFORMED,
    "rmtfl.weights.deformed.spectrum": DEFORMED,
    "rmtfl.weights.deformed.output_one_step": OUTPUT,
    "rmtfl.weights.deformed.output_independent": OUTPUT,
    "rmtfl.weights.deformed.output_reused": OUTPUT,
    "rmtfl.weights.deformed.law": ["tests/weights/test_bulk.py", *DEFORMED],
    "rmtfl.features.hermite": FEATURES,
    "rmtfl.features.neurons": FEATURES,
    "rmtfl.features.operator": FEATURES,
    "rmtfl.features.spread": FEATURES,
    "rmtfl.features.bulk": FEATURES,
    "rmtfl.features.law": FEATURES,
    "rmtfl.features.spikes": FEATURES,
    "rmtfl.features.counts": FEATURES,
    "rmtfl.features.training_batch": ["tests/features/test_training_batch.py", *FEATURES],
    "rmtfl.regression.moments": ["tests/regression/test_moments.py", *REGRESSION],
    "rmtfl.regression.layer": [
        *REGRESSION,
        "tests/regression/test_fluctuation.py",
        "tests/regression/test_layer.py",
        "tests/regression/test_simulation.py",
    ],
    "rmtfl.regression.features": REGRESSION,
    "rmtfl.regression.batches": ["tests/regression/test_batches.py", *REGRESSION],
    "rmtfl.regression.equivalents": REGRESSION,
    "rmtfl.formulas.two_step": ["tests/formulas/test_two_step.py"],
    "rmtfl.formulas.polynomials": ["tests/formulas/test_two_step.py"],
    "rmtfl.formulas.covariance": ["tests/formulas/test_covariance.py"],
    "rmtfl.formulas.law": ["tests/formulas/test_law.py"],
    "rmtfl.kernel.published": SPECTRUM,
    "rmtfl.kernel.covariance": [
        "tests/formulas/test_covariance.py",
        "tests/theory/test_spiked_covariance.py",
        "tests/kernel/test_covariance.py",
    ],
    "rmtfl.kernel.duals": [*SPECTRUM[3:], *SPECTRUM[:3]],
    "rmtfl.kernel.funk_hecke": SPECTRUM,
    "rmtfl.kernel.series": [*SPECTRUM[3:], *SPECTRUM[:3]],
    "rmtfl.kernel.rules": SPECTRUM,
    "rmtfl.kernel.spectrum": SPECTRUM,
    "rmtfl.kernel.isotropic": SPECTRUM,
    "rmtfl.kernel.limit": SPECTRUM,
    "rmtfl.kernel.projections": ["tests/kernel/test_samples.py"],
    "rmtfl.kernel.fluctuations": ["tests/kernel/test_fluctuations.py"],
    "rmtfl.kernel.matrices": ["tests/kernel/test_fluctuations.py", "tests/kernel/test_samples.py"],
    "rmtfl.kernel.bulk": ["tests/kernel/test_bulk.py"],
    "rmtfl.kernel.bulk_equation": ["tests/kernel/test_bulk.py"],
    "rmtfl.kernel.bulk_outliers": ["tests/kernel/test_bulk.py", "tests/kernel/test_samples.py"],
    "rmtfl.kernel.learning": ["tests/kernel/test_cross_validation.py", "tests/kernel/test_samples.py"],
    "rmtfl.laws.symbolic": ["tests/formulas/test_law.py", "tests/laws/test_symbolic.py"],
    "rmtfl.laws.forward": ["tests/laws/test_theory.py", "tests/laws/test_generalized.py"],
    "rmtfl.laws.generalized": ["tests/laws/test_theory.py", "tests/laws/test_generalized.py"],
    "rmtfl.laws.marchenko_pastur": ["tests/laws/test_closed_forms.py"],
    "rmtfl.laws.semicircle": ["tests/laws/test_closed_forms.py"],
    "rmtfl.laws.views": ["tests/laws/test_generalized.py", "tests/laws/test_closed_forms.py"],
    "rmtfl.laws.uniform": ["tests/laws/test_subordinated.py", "tests/laws/test_random_features.py"],
    "rmtfl.laws.free": ["tests/laws/test_families.py", "tests/laws/test_convolution.py"],
    "rmtfl.laws.subordinated": ["tests/laws/test_subordinated.py", "tests/laws/test_convolution.py"],
    "rmtfl.laws.random_features": ["tests/laws/test_random_features.py"],
    "rmtfl.laws.variance_profile": ["tests/laws/test_variance_profile.py"],
    "rmtfl.laws.diagonal": ["tests/laws/test_variance_profile.py"],
    "rmtfl.laws.profile_equation": ["tests/laws/test_variance_profile.py"],
    "rmtfl.statistics": ["tests/test_statistics.py"],
}
# Words of names, in the singular or the plural, of what estimates an error or a size.
ESTIMATES = {"error", "tolerance", "slack", "bound", "margin", "rounding", "level", "size", "count", "reach"}
ERRORS_OF_PREDICTORS = {"rmtfl.kernel.learning": "error", "rmtfl.regression.equivalents": "errors"}  # no estimates
NUMERICS = {"digits", "order", "reach", "nodes", "bits"}  # names of what a computation may choose freely
SIZES = {
    "range",
    "len",
    "zeros",
    "ones",
    "empty",
    "arange",
    "linspace",
    "reshape",
    "BadInput",
    "ToleranceNotMet",
    "eye",
}


@dataclass(frozen=True)
class Mutant:
    """A module whose `number`-th sum has lost its left or right term."""

    module: str
    number: int
    kept: str
    line: int
    text: str

    def source(self) -> ast.Module:
        """The mutated module."""
        tree = ast.parse(path_of(self.module).read_text(encoding="utf-8"))
        chosen = list(sums(self.module, tree))[self.number]

        class Drop(ast.NodeTransformer):
            """Puts the kept term in the place of the sum."""

            def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
                """Leaves a term out of a running sum."""
                return ast.Pass() if node is chosen else self.generic_visit(node)

            def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
                if node is chosen:
                    return node.left if kept == "left" else node.right
                return self.generic_visit(node)

        kept = self.kept
        return ast.fix_missing_locations(Drop().visit(tree))


def path_of(module: str) -> Path:
    """Where a module lies."""
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def sums(module: str, node: ast.AST, skip: bool = False) -> Iterator[ast.BinOp | ast.AugAssign]:
    """The sums of a module that may be formulas, running ones included, in order."""
    for child in ast.iter_child_nodes(node):
        index = isinstance(node, ast.Subscript) and child is node.slice
        skipped = skip or index or _no_formula(module, child)
        if isinstance(child, ast.BinOp | ast.AugAssign) and isinstance(child.op, ast.Add | ast.Sub) and not skipped:
            yield child
        yield from sums(module, child, skipped)


def _no_formula(module: str, node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return name in SIZES
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(_estimate(name) for target in targets for name in _names(target))
    if isinstance(node, ast.FunctionDef):
        return _estimate(node.name) and node.name != ERRORS_OF_PREDICTORS.get(module)
    if isinstance(node, ast.BinOp):
        names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
        return bool(names & NUMERICS) or any(
            isinstance(term, ast.JoinedStr | ast.List | ast.Tuple | ast.Set) or _text(term)
            for term in (node.left, node.right)
        )
    return isinstance(node, ast.Slice | ast.Raise | ast.Assert | ast.Compare | ast.JoinedStr)


def _estimate(name: str) -> bool:
    return any(word.removesuffix("s") in ESTIMATES for word in name.lower().split("_"))


def _names(target: ast.AST) -> Iterator[str]:
    """The names that an assignment gives: no indices."""
    if isinstance(target, ast.Subscript):
        yield from _names(target.value)
    elif isinstance(target, ast.Attribute):
        yield target.attr
    elif isinstance(target, ast.Name):
        yield target.id
    else:
        for child in ast.iter_child_nodes(target):
            yield from _names(child)


def _text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def mutants(module: str) -> list[Mutant]:
    """All of a module's."""
    found = []
    for number, node in enumerate(sums(module, ast.parse(path_of(module).read_text(encoding="utf-8")))):
        both = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)
        kept = ("left", "right") if both else ("left",)
        found += [Mutant(module, number, side, node.lineno, ast.unparse(node)) for side in kept]
    return found


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from its mutated source."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """Only of the module."""
        if name != self.mutant.module:
            return None
        return importlib.util.spec_from_loader(name, self, origin=str(path_of(name)))

    def exec_module(self, module: object) -> None:
        """Run the mutated source."""
        name = str(path_of(self.mutant.module))
        exec(compile(self.mutant.source(), name, "exec"), vars(module))


def noticed(chosen: Sequence[Mutant | None], tests: list[str], workers: int, seconds: int) -> list[bool]:
    """Whether tests fail, or take longer than `seconds` (0: any time), of each mutant; None is no mutant."""
    running: dict[int, int] = {}
    found = [False] * len(chosen)
    for i, mutant in enumerate(chosen):
        while len(running) >= workers:
            _finish(running, found)
        child = os.fork()
        if child == 0:
            _test(mutant, tests, seconds)
        running[child] = i
    while running:
        _finish(running, found)
    return found


def _finish(running: dict[int, int], found: list[bool]) -> None:
    child, status = os.wait()
    found[running.pop(child)] = status != 0


def _test(mutant: Mutant | None, tests: list[str], seconds: int) -> NoReturn:
    status = 3
    with contextlib.suppress(BaseException):
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        signal.alarm(seconds)
        if mutant:
            sys.meta_path.insert(0, Mutated(mutant))
        import pytest

        status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
    os._exit(status)


@cache
def duration(*tests: str) -> float:
    """Seconds that tests take without a mutant.

    Raises:
        SystemExit: if they fail.
    """
    start = time.monotonic()
    if any(noticed([None], list(tests), 1, 0)):
        raise SystemExit(f"{', '.join(tests)}: fail without a mutant")
    return time.monotonic() - start


def tried(module: str, sample: int, workers: int) -> dict[str, Any]:
    """What is recorded of a module: how many mutants it has, how many were run, and those that no test noticed."""
    everything = mutants(module)
    chosen = everything
    if sample and len(everything) > sample:
        chosen = random.Random(module).sample(everything, sample)
    tests = list(dict.fromkeys(FORMULAS[module]))
    killed = noticed(chosen, tests, workers, round(60 + PATIENCE * duration(*sorted(tests))))
    left = [mutant for mutant, dead in zip(chosen, killed, strict=True) if not dead]
    for mutant in left:
        print(f"    line {mutant.line}: {mutant.text} -> {mutant.kept}", flush=True)
    return {"mutants": len(everything), "tried": len(chosen), "left": [[m.text, m.kept] for m in left]}


def table(record: dict[str, Any]) -> str:
    """The record for a reader."""
    lines = ["| module | mutants | tried | noticed |", "| --- | ---: | ---: | ---: |"]
    counts = [(found["mutants"], found["tried"], found["tried"] - len(found["left"])) for found in record.values()]
    lines += ["| `{}` | {} | {} | {} |".format(name, *count) for name, count in zip(record, counts, strict=True)]
    everything, total, dead = (sum(column) for column in zip(*counts, strict=True))
    lines += [f"| all | {everything} | {total} | {dead} ({dead / total:.1%}) |", ""]
    left = [(name, *mutant) for name, found in record.items() for mutant in found["left"]]
    lines += ["Not noticed:", ""] if left else []
    lines += [f"- `{name}`: of `{text}`, only the {kept} term is kept" for name, text, kept in left]
    later = [f"`{name}`" for name in FORMULAS if name not in record]
    lines += ["", f"Not run so far: {', '.join(later)}."] if later else []
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Run the mutants, record what was found and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sample", type=int, default=3)
    parser.add_argument("--only", action="append", choices=FORMULAS)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    import mpmath  # noqa: F401 - what every child needs is imported once
    import pydantic  # noqa: F401
    import scipy.integrate
    import scipy.optimize
    import scipy.special  # noqa: F401
    import sympy  # noqa: F401

    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    for module in options.only or FORMULAS:
        record[module] = found = tried(module, options.sample, options.workers)
        print(module, found["mutants"], found["tried"], found["tried"] - len(found["left"]), flush=True)
        record = {name: record[name] for name in FORMULAS if name in record}
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        RECORD.with_name("table.md").write_text(table(record), encoding="utf-8")


if __name__ == "__main__":
    main()
