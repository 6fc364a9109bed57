"""Would a test notice if a term of a formula were missing? Writes table.md beside this file.

Each sum or difference in the formula modules loses one of its terms, one at a time, and the module's tests are run
against it until one fails. Indices, sizes, and the estimates of numerical error are left alone: they are no formulas.
A mutated module is never written to disk; each test run is a process of its own that is forked from this one.

    python validation/mutants/run.py [--sample 12] [--only rmtfl.kernel.duals] [--workers 2]

`--sample` takes that many mutants of each module, drawn from a fixed seed; 0 takes all. An hour on two cores at 12.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[2]
UNCHANGED = -1  # the number of a mutant that is none, which the tests must pass
TIMEOUT = 1200  # seconds; a mutant that hangs is noticed
WEIGHTS = ["tests/theory", "tests/weights/test_limit.py", "tests/weights/test_conditional.py"]
FINITE = [*WEIGHTS, "tests/weights/test_finite_width.py"]
FORMULAS: dict[str, list[str]] = {
    "rmtfl.gaussian": ["tests/test_gaussian.py", "tests/theory/test_gaussian_calculus.py"],
    "rmtfl.outliers": ["tests/formulas/test_two_step.py", "tests/test_outliers.py"],
    "rmtfl.weights.second_layer": ["tests/formulas/test_two_step.py", "tests/weights/test_second_layer.py"],
    "rmtfl.weights.threshold": ["tests/weights/test_threshold.py"],
    "rmtfl.weights.leading": ["tests/formulas/test_two_step.py", *WEIGHTS],
    "rmtfl.weights.limit": WEIGHTS,
    "rmtfl.weights.kinked": WEIGHTS,
    "rmtfl.weights.moments": FINITE,
    "rmtfl.weights.conditional": FINITE,
    "rmtfl.weights.rows": FINITE,
    "rmtfl.weights.piecewise_linear": FINITE,
    "rmtfl.weights.smoothing": FINITE,
    "rmtfl.weights.learning": [*FINITE, "tests/weights/test_diagnostics.py"],
    "rmtfl.formulas.two_step": ["tests/formulas/test_two_step.py"],
    "rmtfl.formulas.polynomials": ["tests/formulas/test_two_step.py"],
    "rmtfl.formulas.covariance": ["tests/formulas/test_covariance.py"],
    "rmtfl.formulas.law": ["tests/formulas/test_law.py"],
    "rmtfl.laws.symbolic": ["tests/formulas/test_law.py", "tests/laws/test_symbolic.py"],
    "rmtfl.kernel.published": ["tests/kernel/test_limit.py", "tests/kernel/test_theory.py"],
    "rmtfl.kernel.covariance": [
        "tests/formulas/test_covariance.py",
        "tests/theory/test_spiked_covariance.py",
        "tests/kernel/test_covariance.py",
    ],
    "rmtfl.kernel.duals": ["tests/kernel/test_duals.py"],
    "rmtfl.kernel.funk_hecke": ["tests/kernel/test_theory.py", "tests/kernel/test_spectrum.py"],
    "rmtfl.kernel.series": ["tests/kernel/test_duals.py", "tests/kernel/test_spectrum.py"],
    "rmtfl.kernel.fluctuations": ["tests/kernel/test_fluctuations.py"],
    "rmtfl.kernel.matrices": ["tests/kernel/test_fluctuations.py", "tests/kernel/test_samples.py"],
    "rmtfl.kernel.learning": ["tests/kernel/test_samples.py", "tests/kernel/test_cross_validation.py"],
    "rmtfl.laws.forward": ["tests/laws/test_theory.py", "tests/laws/test_generalized.py"],
    "rmtfl.laws.marchenko_pastur": ["tests/laws/test_closed_forms.py"],
    "rmtfl.laws.semicircle": ["tests/laws/test_closed_forms.py"],
    "rmtfl.laws.random_features": ["tests/laws/test_random_features.py"],
    "rmtfl.laws.variance_profile": ["tests/laws/test_variance_profile.py"],
    "rmtfl.laws.profile_equation": ["tests/laws/test_variance_profile.py"],
}
NOT_FORMULAS = ("error", "tolerance", "slack", "bound", "margin", "rounding", "edge", "level", "step", "size", "count")
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
        if self.number == UNCHANGED:
            return tree
        chosen = list(sums(tree))[self.number]

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


def sums(tree: ast.AST, skip: bool = False) -> Iterator[ast.BinOp | ast.AugAssign]:
    """The sums of a module that may be formulas, running ones included, in order."""
    for node in ast.iter_child_nodes(tree):
        skipped = skip or _no_formula(node)
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Add | ast.Sub) and not skipped:
            yield node
        yield from sums(node, skipped)


def _no_formula(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return name in SIZES
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        named = " ".join(ast.unparse(target).lower() for target in targets)
        return any(word in named for word in NOT_FORMULAS)
    if isinstance(node, ast.FunctionDef):
        return any(word in node.name.lower() for word in NOT_FORMULAS) or node.name.startswith("__")
    if isinstance(node, ast.BinOp):
        names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
        return bool(names & NUMERICS) or any(
            isinstance(term, ast.JoinedStr | ast.List | ast.Tuple | ast.Set) or _text(term)
            for term in (node.left, node.right)
        )
    return isinstance(node, ast.Subscript | ast.Slice | ast.Raise | ast.Assert | ast.Compare | ast.JoinedStr)


def _text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def mutants(module: str) -> list[Mutant]:
    """All of a module's."""
    found = []
    for number, node in enumerate(sums(ast.parse(path_of(module).read_text(encoding="utf-8")))):
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


def noticed(chosen: list[Mutant], workers: int) -> list[bool]:
    """Whether one of the module's tests fails, or hangs, of each mutant."""
    running: dict[int, int] = {}
    found = [False] * len(chosen)
    for i, mutant in enumerate(chosen):
        while len(running) >= workers:
            _finish(running, found)
        child = os.fork()
        if child == 0:
            _test(mutant)
        running[child] = i
    while running:
        _finish(running, found)
    return found


def _finish(running: dict[int, int], found: list[bool]) -> None:
    child, status = os.wait()
    found[running.pop(child)] = status != 0


def _test(mutant: Mutant) -> NoReturn:
    status = 3
    with contextlib.suppress(BaseException):
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        signal.alarm(TIMEOUT)
        sys.meta_path.insert(0, Mutated(mutant))
        import pytest

        status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *FORMULAS[mutant.module]]))
    os._exit(status)


def main() -> None:
    """Run the mutants and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sample", type=int, default=12)
    parser.add_argument("--only", action="append")
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

    rows, survivors = [], []
    for module in options.only or FORMULAS:
        everything = mutants(module)
        chosen = everything
        if options.sample and len(everything) > options.sample:
            chosen = random.Random(module).sample(everything, options.sample)
        control, *killed = noticed([Mutant(module, UNCHANGED, "both", 0, ""), *chosen], options.workers)
        if control:
            raise SystemExit(f"{module}: its tests fail, or take more than {TIMEOUT} s, without a mutant")
        left = [mutant for mutant, dead in zip(chosen, killed, strict=True) if not dead]
        survivors += left
        rows.append((module, len(everything), len(chosen), sum(killed)))
        print(*rows[-1], *(f"\n    line {m.line}: {m.text} -> {m.kept}" for m in left), flush=True)
    total, dead = sum(row[2] for row in rows), sum(row[3] for row in rows)
    lines = ["| module | terms | tried | noticed |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| `{module}` | {terms} | {tried} | {seen} |" for module, terms, tried, seen in rows]
    lines += [f"| all | {sum(row[1] for row in rows)} | {total} | {dead} ({dead / total:.0%}) |", ""]
    lines += ["Not noticed:", ""] if survivors else []
    lines += [f"- `{m.module}`, `{m.text}`: only the {m.kept} term kept" for m in survivors]
    if not options.only:
        Path(__file__).with_name("table.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
