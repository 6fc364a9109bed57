"""Study files: TOML in, one checked setting a row out.

A study is a table of settings: the product of its sweeps, in file order, with the list of widths innermost. Every row
is checked by itself, and the first thing wrong is reported with its key, its value and what would be accepted.
"""

from __future__ import annotations

import copy
import itertools
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rmtfl.errors import AcrossTables, BadInput, KeyOfTable
from rmtfl.observables import OBSERVABLES, Observable
from rmtfl.setup import MonteCarlo, Table

SCHEMA = 1
T = TypeVar("T", bound=Table)
LARGEST_SWEEP = 100_000  # rows of a study: beyond any table, and a mistyped sweep is found at once


@dataclass(frozen=True)
class Row:
    """One setting of a study, and the inputs that tell it from the other rows.

    Attributes:
        setup: the checked setting.
        inputs: every input by its dotted key, as written to JSON.
        swept: the dotted keys that differ from row to row.
    """

    setup: Any
    inputs: Mapping[str, Any]
    swept: tuple[str, ...]

    @property
    def key(self) -> str:
        """The inputs as one canonical text: the row's identity in a store."""
        return json.dumps(self.inputs, sort_keys=True)

    @property
    def label(self) -> str:
        """The swept inputs, short, for tables and messages."""
        return ", ".join(f"{name.partition('.')[2] or name} = {_shown(self.inputs[name])}" for name in self.swept)


@dataclass(frozen=True)
class Study:
    """A study file, read and checked."""

    title: str
    observable: str
    rows: tuple[Row, ...]
    montecarlo: MonteCarlo
    path: Path | None = None

    @property
    def kind(self) -> Observable:
        """What serves the study's observable."""
        return OBSERVABLES[self.observable]

    @property
    def simulable(self) -> tuple[Row, ...]:
        """The rows that have a size to simulate."""
        return tuple(row for row in self.rows if row.inputs.get("width") != "limit")


def read(path: str | PathLike[str]) -> Study:
    """Read a study file.

    Args:
        path: of the file.

    Raises:
        BadInput: for a file that cannot be read or a study that cannot be used; the message names the file.
    """
    path = Path(path)
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); expected a TOML study file") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: is not UTF-8 text; expected a TOML study file") from None
    except (ValueError, RecursionError) as error:  # ValueError: also of an integer of thousands of digits
        hint = '; text is written in quotes, such as "tanh(x)"' if str(error).startswith("Invalid value") else ""
        raise BadInput(f"{path}: is not valid TOML: {error}{hint}") from None
    try:
        return from_document(document, path)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    except RecursionError:
        raise BadInput(f"{path}: is nested too deeply; expected tables of values and lists") from None


def from_document(document: Mapping[str, Any], path: Path | None = None) -> Study:
    """Check a study given as nested mappings, as `read` does for a file.

    Raises:
        BadInput: naming the key, the value and what would be accepted.
    """
    if document.get("schema") != SCHEMA or isinstance(document.get("schema"), bool):
        raise BadInput(f"key 'schema': {_found(document, 'schema')}; expected {SCHEMA}")
    title = document.get("title", "")
    if not isinstance(title, str):
        raise BadInput(f"key 'title': value {_quoted(title)}; expected text")
    observable = document.get("observable")
    if not isinstance(observable, str) or observable not in OBSERVABLES:
        raise BadInput(f"key 'observable': {_found(document, 'observable')}; expected one of {', '.join(OBSERVABLES)}")
    model = OBSERVABLES[observable].row_model()  # its fields are the tables of the study file
    tables = [*model.model_fields, "montecarlo", "sweep"]
    for key in document:
        if key not in ("schema", "title", "observable", *tables):
            expected = _place(model, key) or f"only the tables {', '.join(tables)}"
            raise BadInput(f"key {key!r}: nothing reads it in a {observable} study; expected {expected}")
    body = {key: document[key] for key in model.model_fields if key in document}
    return Study(
        title=title,
        observable=observable,
        rows=tuple(_rows(model, body, document.get("sweep", {}), path.parent if path else Path())),
        montecarlo=_validated(MonteCarlo, document.get("montecarlo", {}), ("montecarlo",)),
        path=path,
    )


def _rows(model: type[Table], body: Mapping[str, Any], sweep: Any, folder: Path) -> list[Row]:
    if not isinstance(sweep, Mapping):
        raise BadInput(f"key 'sweep': value {_quoted(sweep)}; expected a table of dotted keys with lists")
    axes: list[tuple[str, list[Any]]] = []
    for key, values in sweep.items():
        if not isinstance(values, list) or not values:
            raise BadInput(f"key 'sweep.{key}': value {_quoted(values)}; expected a list that is not empty")
        axes.append((key, values))
    width = body.get("sizes", {}).get("width") if isinstance(body.get("sizes"), Mapping) else None
    if isinstance(width, list) and "sizes.width" not in sweep:
        if not width:
            raise BadInput("key 'sizes.width': value []; expected a number or a list that is not empty")
        axes.append(("sizes.width", width))
    count = 1
    for _, values in axes:
        count *= len(values)
    if count > LARGEST_SWEEP:
        raise BadInput(f"key 'sweep': gives {count} rows; expected at most {LARGEST_SWEEP}")
    swept = tuple(_input_name(key) for key, _ in axes)
    rows = []
    for values in itertools.product(*(values for _, values in axes)):
        filled = copy.deepcopy(dict(body))
        for table in {key.partition(".")[0] for key, _ in axes} & set(model.model_fields):
            filled.setdefault(table, {})
        for (key, _), value in zip(axes, values, strict=True):
            _assign(filled, key, value)
        setup = _validated(model, filled, (), folder)
        rows.append(Row(setup=setup, inputs=_inputs(setup, swept), swept=swept))
    return rows


def _assign(tables: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    place: Any = tables
    for step in path:
        place = _descend(place, step, dotted)
    if isinstance(place, list) and last.isdecimal() and int(last) < len(place):
        place[int(last)] = value
    elif isinstance(place, dict) and path:
        place[last] = value
    else:
        raise BadInput(
            f"key 'sweep.{dotted}': there is no such place in the study; expected a key such as 'training.alpha.1', "
            "the second entry of that list, as entries are counted from 0"
        )


def _descend(place: Any, step: str, dotted: str) -> Any:
    if isinstance(place, dict) and step in place:
        return place[step]
    if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
        return place[int(step)]
    raise BadInput(
        f"key 'sweep.{dotted}': there is no {step!r} in the study; expected a key such as 'training.alpha.1'"
    )


def _inputs(setup: Table, swept: tuple[str, ...]) -> dict[str, Any]:
    """Every input by its dotted key; the width and swept list entries also under names of their own."""
    flat: dict[str, Any] = {}
    for table, values in setup.model_dump(mode="json").items():
        for key, value in values.items():
            flat[_input_name(f"{table}.{key}")] = value
    for name in swept:
        head, _, index = name.rpartition(".")
        if name not in flat:
            flat[name] = flat[head][int(index)]
    return flat


def _input_name(dotted: str) -> str:
    return "width" if dotted == "sizes.width" else dotted


def _validated(model: type[T], values: Any, prefix: tuple[str, ...], folder: Path = Path()) -> T:
    """The checked model; files that values name are looked for in the folder."""
    try:
        return model.model_validate(values, context={"folder": folder})
    except ValidationError as error:
        raise BadInput(_message(error, model, prefix)) from None


def _message(error: ValidationError, model: type[Table], prefix: tuple[str, ...]) -> str:
    """The first thing wrong, with its dotted key, its value and what would be accepted."""
    errors = error.errors(include_url=False)
    first = errors[0]
    key = _dotted(first["loc"], prefix)
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, AcrossTables):
        return f"key {'.'.join((*prefix, cause.key))!r}: value {_shown(cause.value)}: {cause}"
    if isinstance(cause, KeyOfTable):
        return f"key {f'{key}.{cause.key}'!r}: {cause.reason}"
    table, _, name = key.rpartition(".")
    match first["type"]:
        case "missing":
            expected = f"a value for {name} in [{table}]" if table else f"a table [{key}]{_needs(model, key)}"
            return f"key {key!r}: is missing; expected {expected}{_unread_beside(errors)}"
        case "extra_forbidden":
            where = f" in [{table}]" if table else ""
            expected = _place(model, name) or _one_of(model, table)
            return f"key {key!r}: value {_quoted(first['input'])}: nothing reads it{where}; expected {expected}"
    # Where several types are accepted, each has a reason of its own.
    reason, *others = dict.fromkeys(_reason(other) for other in errors if _dotted(other["loc"], prefix) == key)
    why = ", or ".join([reason, *(other.removeprefix("expected ") for other in others)])
    # TOML has no None: a check found that something is not there. A check of a whole table names the key itself.
    if first["input"] is None or (isinstance(first["input"], Mapping) and first["type"] == "value_error"):
        return f"key {key!r}: {why}"
    return f"key {key or 'study'!r}: value {_quoted(first['input'])}: {why}"


def _tables(model: type[Table]) -> dict[str, dict[str, bool]]:
    """Of each table of a study: its keys, and whether each is required."""
    kinds = {name: field.annotation for name, field in model.model_fields.items()} | {"montecarlo": MonteCarlo}
    return {
        name: {key: field.is_required() for key, field in kind.model_fields.items()}
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    }


def _needs(model: type[Table], table: str) -> str:
    required = [key for key, needed in _tables(model).get(table, {}).items() if needed]
    return f" with {', '.join(required)}" if required else ""


def _place(model: type[Table], key: str) -> str:
    """Where a key would be read, if in one table only: a heading is easily forgotten."""
    homes = [table for table, keys in _tables(model).items() if key in keys]
    return f"it below [{homes[0]}]" if len(homes) == 1 else ""


def _one_of(model: type[Table], table: str) -> str:
    keys = _tables(model).get(table)
    return f"only {', '.join(keys)}" if keys else "no such key"


def _unread_beside(errors: list[ErrorDetails]) -> str:
    """The keys that nothing reads where the first error is: what is missing there may be one of them, mistyped."""
    table = errors[0]["loc"][:-1]
    unread = [str(e["loc"][-1]) for e in errors if e["type"] == "extra_forbidden" and e["loc"][:-1] == table]
    return f"; nothing reads {', '.join(map(repr, unread))} there" if unread else ""


def _dotted(location: tuple[int | str, ...], prefix: tuple[str, ...]) -> str:
    """The place of an error as a dotted key, without the types that pydantic tried there."""
    parts = [str(part) for part in (*prefix, *location)]
    return ".".join(part for part in parts if part not in _TYPES and not part.startswith(("literal[", "constrained")))


_TYPES = ("int", "str", "float")


def _reason(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "tuple_type":
            return "expected a list"
        case "too_short":
            return f"expected at least {context['min_length']} entries"
        case "too_long":
            return f"expected at most {context['max_length']} entries"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "expected a table"
        case "int_type" | "int_parsing" | "int_from_float":
            return "expected an integer"
        case "greater_than_equal":
            return f"expected a number of at least {context['ge']}"
        case "less_than_equal":
            return f"expected a number of at most {context['le']}"
    return error["msg"].removeprefix("Value error, ").replace("Input should be", "expected")


def _found(document: Mapping[str, Any], key: str) -> str:
    return f"value {_quoted(document[key])}" if key in document else "is missing"


def _quoted(value: Any) -> str:
    """As in the study file: text in quotes."""
    if isinstance(value, list | tuple):
        return _cut("[" + ", ".join(map(_quoted, value)) + "]")
    if isinstance(value, str):
        return _cut(json.dumps(value, ensure_ascii=not value.isprintable()))
    return _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return _cut("[" + ", ".join(_shown(v) for v in value) + "]")
    try:
        text = value if isinstance(value, str) and value.isprintable() else repr(value)
    except ValueError:  # Python writes no integer of thousands of digits
        text = "an integer of thousands of digits"
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."
