"""The store of a study: one SQLite file of inputs, seeds, every trial's numbers to the last bit, timings, predictions.

Trials of another version of the code, or from another kind of device, agree with a store's to rounding only, and are
not added to it: with a store, the same study gives the same bits again.

A store belongs to a study as long as the two share a simulated setting, the observable and the seed: rows may be added
or left out, and trials added, and what was simulated before is used again. What is asked of the theory alone does not
tell settings apart (see `rmtfl.montecarlo.run.identity`), so that rows that differ only in it share their trials.

Several runs may work on one store. A run claims trials before it starts them. Its claims hold as long as it lives: each
run keeps a lock on a small file of its own beside the store, which the system lifts when the process ends, however it
ends, and whoever claims next hands out again what a dead run had in hand. (The write-ahead log needs all of them on one
host already.) A result and the end of its claim are one transaction, and a trial has room for one result.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rmtfl import __version__
from rmtfl.errors import BadInput
from rmtfl.montecarlo.devices import HOST
from rmtfl.montecarlo.run import Job, identity, trial_seed
from rmtfl.study import Row, Study

Array = NDArray[np.float64]

HEADER = b"SQLite format 3\0"
SCHEMA_VERSION = 2
APPLICATION_ID = 0x524D_5446  # "RMTF": tells our files from other SQLite files
BUSY_SECONDS = 30.0  # a commit takes milliseconds; a disk that is busy for longer is reported

_TABLES = """
CREATE TABLE study (
    observable TEXT NOT NULL, seed TEXT NOT NULL, title TEXT NOT NULL,
    code_version TEXT NOT NULL, device TEXT NOT NULL);
CREATE TABLE settings (id INTEGER PRIMARY KEY, inputs TEXT NOT NULL UNIQUE, spawn_key TEXT NOT NULL);
CREATE TABLE runs (id INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE TABLE claims (
    setting INTEGER NOT NULL REFERENCES settings, trial INTEGER NOT NULL, run INTEGER NOT NULL REFERENCES runs,
    PRIMARY KEY (setting, trial)) WITHOUT ROWID;
CREATE TABLE trials (
    setting INTEGER NOT NULL REFERENCES settings, trial INTEGER NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (setting, trial)) WITHOUT ROWID;
CREATE TABLE numbers (
    setting INTEGER NOT NULL, name TEXT NOT NULL, trial INTEGER NOT NULL, shape TEXT NOT NULL, data BLOB NOT NULL,
    UNIQUE (setting, name, trial), FOREIGN KEY (setting, trial) REFERENCES trials);
CREATE TABLE predictions (row TEXT PRIMARY KEY, document TEXT NOT NULL, code_version TEXT NOT NULL);
"""


class Store:
    """An open store; use it as a context manager, from one thread. Open one with `Store.open`.

    Attributes:
        path: of the file.
        moved_aside: where `force` moved the file that was there before, if it did.
    """

    def __init__(
        self, path: Path, study: Study, connection: sqlite3.Connection, moved_aside: Path | None, device: str
    ) -> None:
        self.path = path
        self.moved_aside = moved_aside
        self._study = study
        self._asked_device = device
        self._connection = connection
        self._setups = {identity(study.observable, row.setup): row.setup for row in study.simulable}
        self._settings: dict[str, int] = {}
        self._todo: deque[Job] = deque()
        self._run: tuple[int, sqlite3.Connection] | None = None

    @classmethod
    def open(cls, path: Path, study: Study, force: bool = False, device: str = HOST.kind) -> Self:
        """Open the store of a study; it is made where there is none.

        Args:
            path: of the file.
            study: whose rows are to be stored or read.
            force: start anew; a file that is there is moved aside, to the first free name of `path`.old1, .old2, ...
            device: the kind that trials are going to run on; nothing asks for it where none are claimed.

        Raises:
            BadInput: if the file is not a store, is damaged, has another schema, or belongs to another study, or if
                `force` would move a store that another run is using. The message names the file.
        """
        moved = _move_aside(path) if force and _is_database(path) else None
        with _reporting(path):
            connection = _connect(path)
            try:
                store = cls(path, study, connection, moved, device)
                store._adopt()
            except BaseException:
                connection.close()
                raise
        return store

    def close(self) -> None:
        """Give back what was claimed and not done, and close the file."""
        with _reporting(self.path):
            if self._run is not None:
                number, lock = self._run
                with _transaction(self._connection):
                    _forget(self._connection, number)
                lock.close()
                _lock_path(self.path, number).unlink(missing_ok=True)
                self._run = None
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -------------------------------------------------------------------------------------------- trials

    @property
    def size(self) -> int:
        """The number of trials of the study, done or not."""
        return len(self._setups) * self._study.montecarlo.trials

    @property
    def device(self) -> str:
        """The kind of device that its trials ran on."""
        with _reporting(self.path):
            (device,) = self._connection.execute("SELECT device FROM study").fetchone()
        return str(device)

    def pending(self) -> list[Job]:
        """The study's trials that have no result yet, in study order, whoever has them in hand."""
        with _reporting(self.path):
            done: dict[int, set[int]] = {}
            for setting, trial in self._connection.execute("SELECT setting, trial FROM trials"):
                done.setdefault(setting, set()).add(trial)
        return [
            Job(inputs, trial, setup, self._study.montecarlo.seed)
            for inputs, setup in self._setups.items()
            for trial in range(self._study.montecarlo.trials)
            if trial not in done.get(self._settings[inputs], ())
        ]

    def claim(self, count: int) -> list[Job]:
        """Take at most `count` trials that are neither done nor in the hands of another run that lives.

        Raises:
            BadInput: if the store was begun by another version of the code or on another kind of device.
        """
        with _reporting(self.path):
            if not self._todo:
                self._todo.extend(self.pending())
            taken: list[Job] = []
            if not self._todo or count < 1:
                return taken
            self._refuse_other_arithmetic()
            with _transaction(self._connection):
                number = self._register()
                while self._todo and len(taken) < count:
                    job = self._todo.popleft()
                    added = self._connection.execute(
                        "INSERT OR IGNORE INTO claims SELECT :setting, :trial, :run WHERE NOT EXISTS "
                        "(SELECT 1 FROM trials WHERE setting = :setting AND trial = :trial)",
                        {"setting": self._settings[job.identity], "trial": job.index, "run": number},
                    )
                    if added.rowcount == 1:
                        taken.append(job)
            return taken

    def save_trial(self, job: Job, values: Mapping[str, Array], seconds: float) -> None:
        """Keep the numbers of a trial, as float64, and the seconds it took; the first result of a trial stands."""
        key = (self._settings[job.identity], job.index)
        with _reporting(self.path), _transaction(self._connection):
            if self._connection.execute("INSERT OR IGNORE INTO trials VALUES (?, ?, ?)", (*key, seconds)).rowcount:
                self._connection.executemany(
                    "INSERT INTO numbers VALUES (?, ?, ?, ?, ?)",
                    [
                        (key[0], name, key[1], json.dumps(np.shape(array)), np.asarray(array, "<f8").tobytes())
                        for name, array in values.items()
                    ],
                )
            self._connection.execute("DELETE FROM claims WHERE setting = ? AND trial = ?", key)

    def trials(self, row: Row) -> dict[str, Array]:
        """The numbers of a row's trials: for each name an array (trials done, ...), in the order of the trials."""
        found: dict[str, list[bytes]] = {}
        shapes: dict[str, set[str]] = {}
        with _reporting(self.path):
            for name, shape, data in self._connection.execute(
                "SELECT name, shape, data FROM numbers WHERE setting = ? AND trial < ? ORDER BY name, trial",
                (self._setting(row), self._study.montecarlo.trials),
            ):
                found.setdefault(name, []).append(data)
                shapes.setdefault(name, set()).add(shape)
        result = {}
        for name, blobs in found.items():
            if len(shapes[name]) > 1:
                raise BadInput(f"{self.path}: holds trials of one row whose {name} differ in shape: {shapes[name]}")
            shape = json.loads(shapes[name].pop())
            result[name] = np.frombuffer(b"".join(blobs), "<f8").astype(float).reshape(len(blobs), *shape)
        return result

    def seconds(self, row: Row) -> Array:
        """The seconds that each of a row's finished trials took, in the order of the trials."""
        with _reporting(self.path):
            rows = self._connection.execute(
                "SELECT seconds FROM trials WHERE setting = ? AND trial < ? ORDER BY trial",
                (self._setting(row), self._study.montecarlo.trials),
            ).fetchall()
        return np.array([value for (value,) in rows], dtype=float)

    # -------------------------------------------------------------------------------------------- predictions

    def save_prediction(self, row: Row, document: Mapping[str, Any]) -> None:
        """Keep a row's prediction, a JSON document; a later one takes its place."""
        text = json.dumps(document)
        with _reporting(self.path), _transaction(self._connection):
            self._connection.execute(
                "INSERT OR REPLACE INTO predictions VALUES (?, ?, ?)", (row.key, text, __version__)
            )

    def prediction(self, row: Row) -> dict[str, Any] | None:
        """A row's prediction as it was saved, or None."""
        with _reporting(self.path):
            found = self._connection.execute("SELECT document FROM predictions WHERE row = ?", (row.key,)).fetchone()
        return None if found is None else json.loads(found[0])

    # -------------------------------------------------------------------------------------------- within

    def _setting(self, row: Row) -> int | None:
        return self._settings.get(identity(self._study.observable, row.setup))

    def _adopt(self) -> None:
        """Refuse a store of another study; enter this study's settings."""
        seed = str(self._study.montecarlo.seed)
        with _transaction(self._connection):
            begun = self._connection.execute("SELECT observable, seed FROM study").fetchone()
            if begun is None:
                self._connection.execute(
                    "INSERT INTO study VALUES (?, ?, ?, ?, ?)",
                    (self._study.observable, seed, self._study.title, __version__, self._asked_device),
                )
                begun = (self._study.observable, seed)
            _refuse_other_study(self.path, "observable", begun[0], self._study.observable)
            _refuse_other_study(self.path, "montecarlo.seed", begun[1], seed)
            stored = dict(self._connection.execute("SELECT inputs, id FROM settings ORDER BY id").fetchall())
            if stored and self._setups and stored.keys().isdisjoint(self._setups):
                key, old, new = _first_difference(next(iter(stored)), next(iter(self._setups)))
                _refuse_other_study(self.path, key, old, new)
            for inputs in self._setups:
                if inputs not in stored:
                    spawn_key = trial_seed(self._study.montecarlo.seed, inputs, 0).spawn_key[:-1]
                    added = self._connection.execute(
                        "INSERT INTO settings (inputs, spawn_key) VALUES (?, ?)", (inputs, json.dumps(spawn_key))
                    )
                    stored[inputs] = added.lastrowid
        self._settings = stored

    def _refuse_other_arithmetic(self) -> None:
        version, device = self._connection.execute("SELECT code_version, device FROM study").fetchone()
        instead = "--force to start anew (the old file is kept under another name), or another file"
        if version != __version__:
            raise BadInput(
                f"{self.path}: was begun by version {version} and this is {__version__}: their trials are not mixed; "
                f"use {instead}"
            )
        if device != self._asked_device:
            raise BadInput(
                f"{self.path}: was begun on device {device} and this run is on {self._asked_device}: their trials "
                f"agree to rounding only, and are not mixed; use --device {device}, {instead}"
            )

    def _register(self) -> int:
        """Within a transaction: the number of this run, made at first; what dead runs had in hand is set free."""
        if self._run is None:
            (number,) = self._connection.execute("INSERT INTO runs DEFAULT VALUES RETURNING id").fetchone()
            lock = _locked(_lock_path(self.path, number))
            if lock is None:
                raise BadInput(
                    f"{self.path}: {_lock_path(self.path, number)} is locked, and no run of this store has it"
                )
            self._run = (number, lock)
        own = self._run[0]
        for (number,) in self._connection.execute("SELECT id FROM runs WHERE id <> ?", (own,)).fetchall():
            lock = _locked(_lock_path(self.path, number))
            if lock is not None:
                _forget(self._connection, number)
                lock.close()
                _lock_path(self.path, number).unlink(missing_ok=True)
        return own


def _is_database(path: Path) -> bool:
    """Whether the file starts as an SQLite database does: `force` moves nothing else, a study file least of all."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        return file.read(len(HEADER)) == HEADER


def _connect(path: Path) -> sqlite3.Connection:
    """A connection to a store of our schema, which is made if the file is new or empty."""
    if path.exists() and path.stat().st_size and not _is_database(path):
        raise BadInput(f"{path}: is not a store of rmtfl; give another file")
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        # Asked before anything is written: a foreign database is left as it is.
        with _transaction(connection, "DEFERRED"):  # one snapshot: another run may be making the store just now
            ours = _pragma(connection, "application_id") == APPLICATION_ID
            empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        if not ours and not empty:
            raise BadInput(f"{path}: is a database of another program; give another file")
        if not ours:
            connection.execute("PRAGMA journal_mode = WAL")
            with _transaction(connection):
                if _pragma(connection, "application_id") != APPLICATION_ID:  # nobody else has made it meanwhile
                    for statement in _TABLES.split(";\n"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        version = _pragma(connection, "user_version")
        if version != SCHEMA_VERSION:
            raise BadInput(
                f"{path}: is a store of schema {version}, and this version reads and writes schema {SCHEMA_VERSION} "
                "alone; use the version that made it, another file, or --force to move it aside"
            )
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    # IMMEDIATE: a transaction that reads first and writes later could not be queued behind another's writing.
    connection.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # some errors, such as a full disk, have ended it already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise BadInput(
            f"{path}: cannot be used as a store ({error}); give another file, or --force to move it aside"
        ) from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be used as a store ({error.strerror}); give another file") from error


def _lock_path(path: Path, run: int) -> Path:
    return path.with_name(f"{path.name}.run{run}")


def _locked(path: Path) -> sqlite3.Connection | None:
    """A lock on a file, held until the connection closes or the process ends; None if another holds it.

    SQLite's own locking, since it works alike on all systems, within one process too, and is not handed to children.
    """
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        connection.close()
        return None
    return connection


def _forget(connection: sqlite3.Connection, run: int) -> None:
    connection.execute("DELETE FROM claims WHERE run = ?", (run,))
    connection.execute("DELETE FROM runs WHERE id = ?", (run,))


def _move_aside(path: Path) -> Path:
    """Rename a store with its log, never over another file; refuse while a run is using it."""
    for lock_path in path.parent.iterdir():
        if not re.fullmatch(re.escape(path.name) + r"\.run\d+", lock_path.name):
            continue
        lock = _locked(lock_path)
        if lock is None:
            raise BadInput(f"{path}: another run is using it, so that --force cannot move it aside; give another file")
        lock.close()
        lock_path.unlink(missing_ok=True)
    number = 1
    while (target := path.with_name(f"{path.name}.old{number}")).exists():
        number += 1
    with suppress(sqlite3.DatabaseError):  # what is no store, or a damaged one, is moved as it is
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the file alone is the whole store
        finally:
            connection.close()
    try:
        for ending in ("-wal", "-shm", ""):
            part = path.with_name(path.name + ending)
            if part.exists():
                part.rename(target.with_name(target.name + ending))
    except OSError as error:
        raise BadInput(f"{path}: --force cannot move it to {target} ({error.strerror})") from None
    return target


def _refuse_other_study(path: Path, key: str, stored: object, asked: object) -> None:
    if stored != asked:
        raise BadInput(
            f"{path}: is the store of another study: key {key!r} is {stored} there and {asked} in the study; "
            "use --force to start anew (the old file is kept under another name), or give another file"
        )


def _first_difference(stored: str, asked: str) -> tuple[str, object, object]:
    """The first dotted key in which two settings differ, and its two values."""
    old, new = _flat(json.loads(stored)), _flat(json.loads(asked))
    key = next(key for key in [*new, *old] if old.get(key) != new.get(key))
    return key, old.get(key), new.get(key)


def _flat(tables: Mapping[str, Any]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, table in tables.items():
        if isinstance(table, Mapping):
            flat.update({f"{name}.{key}": value for key, value in table.items()})
        else:
            flat[name] = table
    return flat
