"""The way from a study to its results: predict, simulate, record, compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.compare import Results, compare_rows
from rmtfl.errors import BadInput, RmtflError, ToleranceNotMet
from rmtfl.study import Row, Study, read

if TYPE_CHECKING:
    from rmtfl.store import Store

Document = Mapping[str, Any]
Draws = Mapping[str, NDArray[np.float64]]


def predict_rows(study: Study, *, certify: bool = False, watcher: Watcher | None = None) -> list[dict[str, Any]]:
    """The prediction's document of every row, in study order.

    Args:
        study: the study.
        certify: whether to add, as `certificate`, enclosures that are proved.
        watcher: is told which row is in hand.

    Raises:
        BadInput, ToleranceNotMet: naming the study's file and the row.
    """
    function = study.kind.function("predict")
    certificate = study.kind.function("certificate") if certify else None
    documents = []
    for done, row in enumerate(study.rows):
        if watcher:
            watcher.predicting(row.label or study.title, done, len(study.rows))
        try:
            document = function(row.setup).as_json()
            documents.append({**document, "certificate": certificate(row.setup)} if certificate else document)
        except RmtflError as error:
            raise type(error)(_placed(study, row, str(error))) from None
        except np.linalg.LinAlgError:
            reason = "a matrix of its equations is singular to rounding: values this far out are not predicted"
            raise ToleranceNotMet(_placed(study, row, reason)) from None
    return documents


class Watcher:
    """Is told how a run goes; this one keeps it to itself."""

    def predicting(self, label: str, done: int, total: int) -> None:
        """So many rows are predicted, and this one is next."""

    def progress(self, done: int, total: int) -> None:
        """So many of the trials that were missing are done."""

    def remark(self, text: str) -> None:
        """Something worth knowing that is no result."""


def validate(
    study: Study,
    path: Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    device: str = "cpu",
    force: bool = False,
    watcher: Watcher | None = None,
) -> Results:
    """Predict every row, simulate what the store does not hold yet, and compare.

    Args:
        study: the study.
        path: of its store, made where there is none, resumed where there is one.
        workers: the number of worker processes; None for what the machine allows.
        scheduler: the address of a Dask scheduler to use instead.
        device: the name of what computes a trial (`rmtfl.montecarlo.devices.open_device`), on each worker.
        force: whether to start anew; an old store is kept under another name.
        watcher: is told of progress.

    Raises:
        BadInput, ToleranceNotMet: before anything is simulated, if a prediction cannot be made or the trials do not
            fit into memory.
    """
    from rmtfl.montecarlo.devices import HOST, kind, open_device
    from rmtfl.montecarlo.executors import open_pool
    from rmtfl.montecarlo.memory import fitting_workers, shown_bytes
    from rmtfl.montecarlo.run import run
    from rmtfl.store import Store

    watcher = watcher or Watcher()
    if not study.simulable:
        raise BadInput(f"{study.path}: key 'sizes.width': value limit: expected at least one width to simulate")
    trial, memory = study.kind.function("trial"), study.kind.function("memory")
    if kind(device) != HOST.kind:
        trial = study.kind.trial_on(device)
    place = HOST if scheduler is not None else open_device(device)
    predictions = predict_rows(study, watcher=watcher)
    needs = {row.label: memory(row.setup) for row in study.simulable}
    if scheduler is None:
        workers = fitting_workers(needs, workers, device=place, key=study.kind.size)
    with Store.open(path, study, force=force, device=kind(device)) as store:
        if store.moved_aside:
            watcher.remark(f"the old store is kept as {store.moved_aside}")
        for row, prediction in zip(study.rows, predictions, strict=True):
            store.save_prediction(row, prediction)
        missing, done = len(store.pending()), store.size - len(store.pending())
        if done:
            watcher.remark(f"{done} of {store.size} trials were already there")
        if missing:
            watcher.remark(f"trials to do: {missing}, each of up to {shown_bytes(max(needs.values()))} of memory")
            watcher.progress(0, missing)
            with open_pool(min(workers or 1, missing), scheduler) as pool:
                for done, _ in enumerate(run(store, trial, pool), 1):
                    watcher.progress(done, missing)
        return _compared(study, store)[0]


def recorded(study: Study, path: Path, watcher: Watcher | None = None) -> tuple[Results, list[Draws]]:
    """What a store holds of a study, and each row's trials; nothing is computed but the comparison.

    Raises:
        BadInput: if there is no store, it is another study's, or it holds no predictions yet or those of an earlier
            rmtfl, which lack what is compared now.
    """
    from rmtfl.store import Store

    if not path.is_file():
        raise BadInput(f"{path}: there is no store here; expected the one that `rmtfl validate` makes")
    with Store.open(path, study) as store:
        missing = len(store.pending())
        if missing and watcher:
            watcher.remark(f"{path}: {missing} trials are not done yet; `rmtfl validate` goes on with them")
        try:
            return _compared(study, store)
        except KeyError as error:
            raise BadInput(
                f"{path}: its predictions lack {error}: they are of an earlier rmtfl; `rmtfl validate` makes them new"
            ) from None


def _compared(study: Study, store: Store) -> tuple[Results, list[Draws]]:
    rows: list[tuple[Row, Document, Draws]] = []
    for row in study.rows:
        prediction = store.prediction(row)
        if prediction is None:
            raise BadInput(_placed(study, row, f"{store.path} holds no prediction of it; `rmtfl validate` makes it"))
        rows.append((row, prediction, store.trials(row) if row in study.simulable else {}))
    results = replace(compare_rows(study, rows), device=store.device)
    return results, [trials for _, _, trials in rows]


def compare_spectrum(
    study: Study | str | PathLike[str], spectrum: Any, *, row: int | None = None, eigenvalues: bool = False
) -> Results:
    """A user's own spectra or weight matrices against the prediction of the row they belong to.

    Args:
        study: a study, or the path of its file.
        spectrum: singular values (one dimension) or weights (N × d, w_i ~ N(0, I/d) before training), for a study of
            kernel matrices eigenvalues of the n × n matrix over n, or the matrix k(x_i, x_j); as anything that
            `numpy.asarray` takes; PyTorch tensors are detached and moved. A list or tuple of such arrays, of one shape,
            holds one a draw, and so does a stack of matrices (k × N × d): several draws are judged on their own
            standard error, a single one on a bound of its spread.
        row: which row of the study, counted from 1; may be left out where only one fits.
        eigenvalues: whether one-dimensional arrays hold eigenvalues of W W^T or W^T W instead.

    Returns:
        the results of that row: `agree` is the verdict, `caution` what it leaves unjudged and looks wrong, `hint` what
        else the arrays look like, `rows[0].comparisons` the numbers.

    Raises:
        BadInput: for a study or an array that cannot be used, or a row that is missing or not certain.
    """
    from rmtfl.spectra import as_arrays

    if not isinstance(study, Study):
        study = read(Path(study))
    return compare_arrays(study, as_arrays(spectrum), row, eigenvalues)[0]


def compare_file(
    study: Study, path: Path, number: int | None = None, eigenvalues: bool = False
) -> tuple[Results, list[Draws]]:
    """`compare_arrays` for the arrays in a file.

    Raises:
        BadInput: also for a file that `rmtfl.spectra.read_arrays` cannot use; the message names it.
    """
    from rmtfl.spectra import read_arrays

    arrays = read_arrays(path)
    try:
        return compare_arrays(study, arrays, number, eigenvalues)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None


def compare_arrays(
    study: Study, arrays: Sequence[NDArray[np.float64]], number: int | None = None, eigenvalues: bool = False
) -> tuple[Results, list[Draws]]:
    """As `compare_spectrum`, for arrays that are checked; beside the results, the draws that a figure shows.

    Raises:
        BadInput: for draws that are equal or do not fit the row, or a row that is missing or not certain.
    """
    draw = study.kind.function("draw")
    if len({array.tobytes() for array in arrays}) < len(arrays):
        raise BadInput(f"{len(arrays)} draws, of which some are equal; expected each to be a draw of its own")
    row = _chosen(study, [array.shape for array in arrays], number)
    trials = draw(arrays, row.setup, eigenvalues)
    (document,) = predict_rows(replace(study, rows=(row,)))
    results = compare_rows(study, [(row, document, trials)])
    if study.kind.offers("hint"):
        results = replace(results, hint=study.kind.function("hint")(arrays, trials, row.setup, document, eigenvalues))
    return results, [trials]


def _chosen(study: Study, shapes: Sequence[tuple[int, ...]], number: int | None) -> Row:
    if number is not None:
        if not 1 <= number <= len(study.rows):
            raise BadInput(f"--row: value {number}; expected 1 to {len(study.rows)}")
        row = study.rows[number - 1]
        if row not in study.simulable:
            raise BadInput(f"--row: value {number} is a row of the limit; expected one with a width")
        return row
    sizes = {shape for shape in shapes if len(shape) == 2}
    fitting = [
        (index, row)
        for index, row in enumerate(study.rows, 1)
        if row in study.simulable and sizes <= {row.setup.matrix_shape}
    ]
    if len(fitting) == 1:
        return fitting[0][1]
    listed = fitting or [(index, row) for index, row in enumerate(study.rows, 1)]
    rows = "; ".join(f"{index}: {row.label or 'the only row'}" for index, row in listed[:20])
    problem = "is needed, as more than one row fits"
    if not fitting:
        problem = f"no row has the sizes of the matrix, {' and '.join(map(str, sorted(sizes)))}"
        if any(row.setup.matrix_shape[::-1] in sizes for row in study.simulable):
            problem += " (transposed it would fit: W is N × d)"
    raise BadInput(f"--row: {problem}; the rows are {rows}")


def _placed(study: Study, row: Row, message: str) -> str:
    parts = [str(study.path)] if study.path else []
    if row.label:
        parts.append(f"row {row.label}")
    return ": ".join([*parts, message])
