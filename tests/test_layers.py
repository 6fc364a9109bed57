"""The arrows between modules go one way: read off the source of the package, imports within functions included."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "rmtfl"
PREDICTS = {
    "weights",
    "formulas",
    "gaussian",
    "outliers",
    "laws",
    "kernel",
    "features",
    "regression",
    "solve",
    "newton",
    "certify",
}
FIGURES = ("page", "weights", "phases", "law", "kernel", "features", "regression")
# A module outside the package -> the only modules of the package that may import it.
RESERVED = {
    "sqlite3": {"rmtfl.store"},
    "matplotlib": {f"rmtfl.figures.{name}" for name in FIGURES},
    "typer": {"rmtfl.cli"},
    "rich": {"rmtfl.cli", "rmtfl.terminal"},
    "array_api_compat": {"rmtfl.montecarlo.devices", "rmtfl.links"},
    "distributed": {"rmtfl.montecarlo.executors"},
    "theory": set(),
    "tests": set(),
    "validation": set(),
}
MAY_PRINT = {"rmtfl.cli"}

Trees = Mapping[str, ast.Module]


def package_trees() -> dict[str, ast.Module]:
    """Module name -> syntax tree, for every module of the package."""
    trees = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
        for depth in range(1, name.count(".")):
            trees.setdefault(name.rsplit(".", depth)[0], ast.Module([], []))  # a folder without __init__.py
    return trees


def imports(name: str, trees: Trees) -> set[str]:
    """The modules that one module imports by name, their parent packages included."""
    package = name if any(other.startswith(f"{name}.") for other in trees) else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(trees[name]):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in trees)
    parents = {module.rsplit(".", depth)[0] for module in found for depth in range(1, module.count(".") + 1)}
    return found | parents


def reached(start: Iterable[str], trees: Trees) -> dict[str, str]:
    """Every module of the package that importing `start` brings in -> by which way."""
    ways = {name: name for name in start}
    left = list(ways)
    while left:
        name = left.pop()
        for module in sorted(imports(name, trees) & trees.keys() - ways.keys()):
            ways[module] = f"{ways[name]} -> {module}"
            left.append(module)
    return ways


def simulation_that_predicts(trees: Trees) -> list[str]:
    start = [name for name in trees if name.split(".")[:2] == ["rmtfl", "montecarlo"]]
    return [way for name, way in reached(start, trees).items() if "." in name and name.split(".")[1] in PREDICTS]


def reserved_imports(trees: Trees) -> list[str]:
    return [
        f"{name} imports {module}"
        for name in trees
        for module in sorted(imports(name, trees))
        if name not in RESERVED.get(module.partition(".")[0], {name})
    ]


def prints(trees: Trees) -> list[str]:
    return [
        f"{name}:{node.lineno} prints"
        for name, tree in trees.items()
        if name not in MAY_PRINT
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "print"
    ]


def numerics_that_see_the_front(trees: Trees) -> list[str]:
    """Predicting and simulating modules from which a table, a figure, the store or the command line can be reached."""
    front = {
        "rmtfl.cli",
        "rmtfl.report",
        "rmtfl.sheets",
        "rmtfl.store",
        "rmtfl.workflow",
        *(f"rmtfl.figures.{name}" for name in FIGURES),
    }
    start = [
        name
        for name in trees
        if "." in name and name.split(".")[1] in PREDICTS | {"montecarlo", "links", "setup", "functions"}
    ]
    return [way for name, way in reached(start, trees).items() if name in front]


RULES = [simulation_that_predicts, reserved_imports, prints, numerics_that_see_the_front]


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps_the_rule(rule: Callable[[Trees], list[str]]) -> None:
    assert rule(package_trees()) == []


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (simulation_that_predicts, "rmtfl.montecarlo.weights", "from rmtfl.gaussian import moment"),
        (simulation_that_predicts, "rmtfl.montecarlo.weights", "from rmtfl import outliers"),
        (simulation_that_predicts, "rmtfl.montecarlo.weights", "def f():\n    from .. import solve"),
        (simulation_that_predicts, "rmtfl.montecarlo.new", "import rmtfl.laws.base"),
        (simulation_that_predicts, "rmtfl.setup", "from rmtfl.weights import predict"),  # by two arrows
        (simulation_that_predicts, "rmtfl", "import rmtfl.solve"),  # by the parent package
        (reserved_imports, "rmtfl.setup", "import sqlite3 as s"),
        (reserved_imports, "rmtfl.tables", "def f():\n    from matplotlib import pyplot"),
        (reserved_imports, "rmtfl.montecarlo.run", "from rich.progress import Progress"),
        (reserved_imports, "rmtfl.weights.prediction", "from theory.two_steps import gram"),
        (prints, "rmtfl.solve", "def f(x):\n    print(x)"),
        (numerics_that_see_the_front, "rmtfl.outliers", "from rmtfl.store import Store"),
    ],
)
def test_the_rule_can_be_broken(rule: Callable[[Trees], list[str]], module: str, source: str) -> None:
    trees = {**package_trees(), module: ast.parse(source)}
    broken = rule(trees)
    assert broken and module in broken[0]
