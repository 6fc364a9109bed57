"""The store: exact to the last bit, refuses what is not its own, resumes after any death, and is shared by runs."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from rmtfl import store as store_module
from rmtfl.errors import BadInput
from rmtfl.montecarlo.executors import serial
from rmtfl.montecarlo.run import run
from rmtfl.store import Store
from tests.montecarlo.trials import make_study, normals


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.sqlite"


def fill(path: Path, **changes: object) -> None:
    with Store.open(path, make_study(**changes)) as store, serial() as pool:
        for _ in run(store, normals, pool):
            pass


def contents(path: Path, **changes: object) -> list[dict[str, bytes]]:
    study = make_study(**changes)
    with Store.open(path, study) as store:
        assert store.pending() == []
        return [{name: array.tobytes() for name, array in store.trials(row).items()} for row in study.rows]


# ------------------------------------------------------------------------------------------------ what is kept


def test_numbers_come_back_to_the_last_bit(path: Path) -> None:
    study = make_study(montecarlo={"trials": 2})
    values = np.array([[0.1, -0.0, np.inf], [np.nextafter(1, 2), 5e-324, np.nan]])
    with Store.open(path, study) as store:
        for job in store.claim(2):
            store.save_trial(job, {"a": values * (1 + job.index), "b": np.array(job.index)}, 0.25)
    with Store.open(path, study) as store:
        trials = store.trials(study.rows[0])
        assert trials["a"].tobytes() == np.stack([values, values * 2]).tobytes()
        assert trials["b"].tolist() == [0, 1]
        assert store.seconds(study.rows[0]).tolist() == [0.25, 0.25]
        assert store.trials(study.rows[1]) == {}
        assert [(job.setup.sizes.width, job.index) for job in store.pending()] == [(30, 0), (30, 1)]


def test_predictions_are_kept_and_replaced(path: Path) -> None:
    study = make_study()
    with Store.open(path, study) as store:
        assert store.prediction(study.rows[0]) is None
        store.save_prediction(study.rows[0], {"outliers": [{"location": 0.1, "error": 1e-9}]})
        store.save_prediction(study.rows[0], {"outliers": [{"location": 0.2, "error": 1e-9}]})
    with Store.open(path, study) as store:
        assert store.prediction(study.rows[0]) == {"outliers": [{"location": 0.2, "error": 1e-9}]}
        assert store.prediction(study.rows[1]) is None


def test_the_first_result_of_a_trial_stands(path: Path) -> None:
    study = make_study()
    with Store.open(path, study) as store:
        (job,) = store.claim(1)
        for value in (1.0, 2.0):
            store.save_trial(job, {"a": np.array(value)}, value)
        assert store.trials(study.rows[0])["a"].tolist() == [1.0]
        assert store.seconds(study.rows[0]).tolist() == [1.0]


def test_trials_of_different_shapes_are_reported(path: Path) -> None:
    study = make_study()
    with Store.open(path, study) as store:
        for job in store.claim(2):
            store.save_trial(job, {"a": np.zeros(1 + job.index)}, 0.0)
        with pytest.raises(BadInput, match="differ in shape"):
            store.trials(study.rows[0])


# ------------------------------------------------------------------------------------------------ which studies share


def test_more_trials_and_other_rows_use_what_is_there(path: Path) -> None:
    fill(path)
    before = contents(path)
    grown = {"montecarlo": {"trials": 7}, "sizes": {"width": [30, 40]}}
    with Store.open(path, make_study(**grown)) as store:
        left = [(job.setup.sizes.width, job.index) for job in store.pending()]
    assert left == [(30, 5), (30, 6), *((40, index) for index in range(7))]
    fill(path, **grown)
    assert contents(path) == before
    fresh = path.with_name("fresh.sqlite")
    fill(fresh, **grown)
    assert contents(path, **grown) == contents(fresh, **grown)


def test_questions_to_the_theory_share_trials(path: Path) -> None:
    fill(path)
    assert contents(path, theory={"tolerance": 1e-4}, sizes={"width": 30}) == contents(path)[1:]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"montecarlo": {"seed": 12}}, r"montecarlo\.seed.* is 11 there and 12"),
        ({"data": {"noise": "1/10"}}, r"data\.noise.* is 0 there and 1/10"),
        ({"training": {"batches": "independent"}}, r"training\.batches.* is reused there and independent"),
        ({"sizes": {"width": [21]}}, r"sizes\.width.* is 20 there and 21"),
    ],
    ids=["seed", "noise", "batches", "width"],
)
def test_another_study_is_refused_by_name_and_force_moves_it_aside(path: Path, changes: dict, named: str) -> None:
    fill(path)
    before = contents(path)
    with pytest.raises(BadInput, match=named) as refusal:
        Store.open(path, make_study(**changes))
    assert str(path) in str(refusal.value) and "--force" in str(refusal.value)
    for number in (1, 2):
        with Store.open(path, make_study(**changes), force=True) as store:
            assert store.moved_aside == path.with_name(f"study.sqlite.old{number}")
            assert len(store.pending()) == 5 * len(make_study(**changes).rows)
    assert contents(path.with_name("study.sqlite.old1")) == before


def test_trials_of_two_versions_are_not_mixed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, montecarlo={"trials": 2})
    monkeypatch.setattr(store_module, "__version__", "99.0")
    fill(path, montecarlo={"trials": 2})  # nothing to do, so nothing is mixed
    with pytest.raises(BadInput, match=r"begun by version .* and this is 99\.0"):
        fill(path, montecarlo={"trials": 3})


# ------------------------------------------------------------------------------------------------ what is no store


@pytest.mark.parametrize(
    "content", [b"x = 1\n", os.urandom(5000), b"SQLite format 3\0" + bytes(300)], ids=["text", "random", "header"]
)
def test_a_file_that_is_no_store_is_refused_untouched(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(BadInput, match=str(path)):
        Store.open(path, make_study())
    assert path.read_bytes() == content


def test_force_moves_a_damaged_store_and_nothing_else(path: Path) -> None:
    path.write_bytes(damaged := b"SQLite format 3\0" + bytes(300))
    with Store.open(path, make_study(), force=True) as store:
        assert store.moved_aside is not None and store.moved_aside.read_bytes() == damaged
    study = path.with_suffix(".toml")
    study.write_text("schema = 1\n")
    with pytest.raises(BadInput, match="give another file"):
        Store.open(study, make_study(), force=True)
    assert study.read_text() == "schema = 1\n"


def test_another_programs_database_is_refused_untouched(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(BadInput, match="another program"):
        Store.open(path, make_study())
    assert path.read_bytes() == before


def test_another_schema_is_refused(path: Path) -> None:
    fill(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(BadInput, match="schema 1, and this version reads and writes schema 2"):
        Store.open(path, make_study())


def test_trials_of_another_device_are_not_added(path: Path) -> None:
    fill(path, montecarlo={"trials": 2})
    study = make_study()
    with Store.open(path, study, device="torch:cuda") as store:
        assert store.device == "numpy:cpu"
        assert (len(store.pending()), store.size) == (6, 10)
        with pytest.raises(BadInput, match=r"on device numpy:cpu .* on torch:cuda: .* not mixed; use --device numpy"):
            store.claim(1)
        assert len(store.trials(study.rows[0])["normals"]) == 2  # what is there can be read
    with Store.open(path, make_study(montecarlo={"trials": 2}), device="torch:cuda") as store:
        assert store.claim(1) == []  # nothing is missing, and nothing is refused
    with Store.open(path, study) as store:
        assert len(store.claim(1)) == 1


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_damaged_store_is_reported(path: Path, part: float) -> None:
    fill(path, montecarlo={"trials": 300})
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(BadInput, match=str(path)):
        contents(path, montecarlo={"trials": 300})


@pytest.mark.parametrize("place", ["folder", "missing/study.sqlite"])
def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match=place):
        Store.open(tmp_path / place, make_study())


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    fill(path)
    assert len(contents(path)) == 2


# ------------------------------------------------------------------------------------------------ several runs, deaths


def test_two_runs_share_the_trials(path: Path) -> None:
    study = make_study()
    with Store.open(path, study) as first, Store.open(path, study) as second:
        taken = [first.claim(4), second.claim(4), first.claim(4), second.claim(4)]
        assert [len(jobs) for jobs in taken] == [4, 4, 2, 0]
        assert len({(job.identity, job.index) for jobs in taken for job in jobs}) == 10
        with pytest.raises(BadInput, match="another run is using it"):
            Store.open(path, study, force=True)
        first.close()  # what it had in hand and did not do is free again
        assert len(second.claim(10)) == 6
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def driver(path: Path, trials: int, workers: int, notes: Path) -> subprocess.Popen[bytes]:
    notes.mkdir(exist_ok=True)
    arguments = [sys.executable, "-m", "tests.montecarlo.trials", str(path), str(trials), str(workers), str(notes)]
    return subprocess.Popen(arguments, cwd=Path(__file__).parents[1])


def calls(notes: Path) -> list[str]:
    return sorted(file.name.partition("-")[0] for file in notes.iterdir())


def finished(path: Path) -> set[tuple[int, int, float]]:
    connection = sqlite3.connect(path)
    try:
        return set(connection.execute("SELECT setting, trial, seconds FROM trials"))
    finally:
        connection.close()


def wait_for(condition: object, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_killed_ten_times_and_finished_is_as_undisturbed(path: Path, tmp_path: Path) -> None:
    trials, notes, rng = 40, tmp_path / "notes", random.Random(3)
    done: set[tuple[int, int, float]] = set()
    started = 0
    for attempt in range(10):
        process = driver(path, trials, 2 if attempt in (3, 7) else 1, notes)
        wait_for(lambda seen=started: len(calls(notes)) > seen)
        time.sleep(rng.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        workers = {int(file.name.rpartition("-")[2]) for file in notes.iterdir()}
        wait_for(lambda pids=workers: not any(map(alive, pids)))  # workers end with their parent
        started = len(calls(notes))
        assert done <= finished(path)  # what was done once is not done again
        done = finished(path)
    assert 0 < len(done) < 2 * trials
    assert driver(path, trials, 1, notes).wait() == 0
    assert [file.name for file in tmp_path.iterdir() if file.name != notes.name] == [path.name]  # no litter
    undisturbed = tmp_path / "undisturbed.sqlite"
    fill(undisturbed, montecarlo={"trials": trials})
    assert contents(path, montecarlo={"trials": trials}) == contents(undisturbed, montecarlo={"trials": trials})
    # Only what a death interrupted was started again: at most a window of four each time.
    assert 2 * trials <= len(calls(notes)) <= 2 * trials + 10 * 4


def test_runs_at_once_do_each_trial_once(path: Path, tmp_path: Path) -> None:
    trials, notes = 15, tmp_path / "notes"
    runs = [driver(path, trials, 1, notes) for _ in range(3)]
    assert [process.wait() for process in runs] == [0, 0, 0]
    assert len(calls(notes)) == len(set(calls(notes))) == 2 * trials
    assert len({file.name.rpartition("-")[2] for file in notes.iterdir()}) > 1  # they did share
    undisturbed = tmp_path / "undisturbed.sqlite"
    fill(undisturbed, montecarlo={"trials": trials})
    assert contents(path, montecarlo={"trials": trials}) == contents(undisturbed, montecarlo={"trials": trials})


def opened(path: Path, start: threading.Barrier) -> int:
    start.wait()
    with Store.open(path, make_study()) as store:
        return len(store.claim(1))


def test_a_store_may_be_made_by_several_runs_at_once(tmp_path: Path) -> None:
    for attempt in range(5):
        start = threading.Barrier(6)
        with ThreadPoolExecutor(6) as executor:
            futures = [executor.submit(opened, tmp_path / str(attempt), start) for _ in range(6)]
            assert [future.result() for future in futures] == [1] * 6


def test_a_hundred_thousand_trials_open_and_read_quickly(path: Path) -> None:
    study = make_study(montecarlo={"trials": 50_000})
    rng = np.random.default_rng(0)
    values = rng.standard_normal((50_000, 8))
    with Store.open(path, study):
        pass
    connection = sqlite3.connect(path)
    with connection:
        for setting in (1, 2):
            connection.executemany(
                "INSERT INTO trials VALUES (?, ?, ?)", ((setting, trial, 0.5) for trial in range(50_000))
            )
            for name in ("singular_values", "alignments"):
                connection.executemany(
                    "INSERT INTO numbers VALUES (?, ?, ?, '[8]', ?)",
                    ((setting, name, trial, values[trial].tobytes()) for trial in range(50_000)),
                )
    connection.close()
    start = time.perf_counter()
    with Store.open(path, study) as store:
        assert store.pending() == []
        for row in study.rows:
            trials = store.trials(row)
            assert np.array_equal(trials["singular_values"], values)
    assert time.perf_counter() - start < 3
