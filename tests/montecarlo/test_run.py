"""The same numbers whatever the executor, and what happens when workers die."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from rmtfl.errors import BadInput
from rmtfl.montecarlo import weights
from rmtfl.montecarlo.executors import Pool, open_pool, processes, serial
from rmtfl.montecarlo.run import Finished, TrialsLost, identity, run, sample, trial_seed
from rmtfl.montecarlo.threads import one_blas_thread
from rmtfl.store import Store
from tests.montecarlo import trials
from tests.montecarlo.trials import make_study


def simulate(path: Path, trial: Callable, pool: Pool, **changes: object) -> list[dict[str, bytes]]:
    study = make_study(**changes)
    with Store.open(path, study) as store:
        for finished in run(store, trial, pool):
            assert finished.seconds > 0
        return [{name: array.tobytes() for name, array in store.trials(row).items()} for row in study.rows]


def test_numbers_do_not_depend_on_workers_executors_or_order(tmp_path: Path) -> None:
    changes = {"sizes": {"width": [200, 160]}, "montecarlo": {"trials": 3}}
    study = make_study(**changes)
    with serial() as pool:
        expected = simulate(tmp_path / "serial", weights.trial, pool, **changes)
    with open_pool(2) as pool:
        assert simulate(tmp_path / "processes", weights.trial, pool, **changes) == expected
    with ThreadPoolExecutor(3) as executor:
        assert simulate(tmp_path / "threads", weights.trial, Pool(executor, window=3), **changes) == expected
    changes["sizes"] = {"width": [160, 200]}
    with serial() as pool:
        assert simulate(tmp_path / "order", weights.trial, pool, **changes) == expected[::-1]
    for row, stored in zip(study.rows, expected, strict=True):
        drawn = sample(study.observable, row.setup, 3, study.montecarlo.seed, weights.trial)
        assert {name: array.tobytes() for name, array in drawn.items()} == stored


def test_seeds_of_trials_settings_and_studies_differ() -> None:
    rows = make_study().rows
    names = [identity("weights", row.setup) for row in rows]
    seeds = [trial_seed(seed, name, index) for seed in (0, 1) for name in names for index in (0, 1)]
    states = {tuple(seed.generate_state(4)) for seed in seeds}
    assert len(states) == len(seeds)
    draws = np.array([np.random.default_rng(trial_seed(0, names[0], i)).standard_normal() for i in range(4000)])
    assert abs(draws.mean()) < 4 / math.sqrt(4000)
    assert abs(draws.var() - 1) < 4 * math.sqrt(2 / 4000)


def test_identity_is_what_is_simulated() -> None:
    plain = make_study(sizes={"width": 20}).rows[0].setup
    same = make_study(
        sizes={"width": 20}, theory={"order": "leading"}, sweep={"training.alpha.0": ["0.3"]}, title="another"
    )
    assert identity("weights", same.rows[0].setup) == identity("weights", plain)
    assert identity("features", plain) != identity("weights", plain)


def test_a_result_is_saved_before_it_is_told(tmp_path: Path) -> None:
    study = make_study()
    with Store.open(tmp_path / "store", study) as store, serial() as pool:
        left = 10
        for finished in run(store, trials.normals, pool):
            left -= 1
            assert isinstance(finished, Finished)
            assert len(store.pending()) == left
        assert left == 0


def test_a_worker_that_dies_loses_its_trial_only(tmp_path: Path) -> None:
    with serial() as pool:
        expected = simulate(tmp_path / "serial", trials.normals, pool)
    with processes(2) as pool:
        found = simulate(tmp_path / "killed", partial(trials.killed_once, tmp_path), pool)
    assert found == expected
    assert (tmp_path / "death").exists()
    done = [name.partition("-")[0] for name in os.listdir(tmp_path) if "-" in name]
    assert len(done) == len(set(done)) == 10  # none of the other trials was done a second time


def test_a_trial_that_kills_every_worker_is_reported_after_the_others(tmp_path: Path) -> None:
    study = make_study(sizes={"width": 20}, montecarlo={"trials": 4})
    with Store.open(tmp_path / "store", study) as store, processes(2) as pool:
        with pytest.raises(TrialsLost, match=r"trial 1 of .*each time"):
            list(run(store, trials.killed_always, pool))
        assert [job.index for job in store.pending()] == [1]


def test_an_executor_that_breaks_as_a_whole_is_reported(tmp_path: Path) -> None:
    study = make_study(sizes={"width": 20})
    with (
        Store.open(tmp_path / "store", study) as store,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor,
        pytest.raises(TrialsLost, match="takes no more"),
    ):
        list(run(store, trials.killed_always, Pool(executor, window=1)))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_of_a_trial_ends_the_run_and_keeps_what_is_done(tmp_path: Path, workers: int) -> None:
    study = make_study()
    with (
        Store.open(tmp_path / "store", study) as store,
        open_pool(workers) as pool,
        pytest.raises(ZeroDivisionError, match="of trial 1"),
    ):
        list(run(store, trials.failing, pool))
    with serial() as pool, Store.open(tmp_path / "store", study) as store:
        for _ in run(store, trials.normals, pool):
            pass
        assert store.pending() == []


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_blas_has_one_thread_until_the_last_user_leaves() -> None:
    before = blas_threads()
    outer, inner = one_blas_thread(), one_blas_thread()
    outer.__enter__()
    inner.__enter__()
    assert blas_threads() == {1}
    outer.__exit__(None, None, None)
    assert blas_threads() == {1}
    inner.__exit__(None, None, None)
    assert blas_threads() == before


def test_no_scheduler_is_bad_input() -> None:
    with pytest.raises(BadInput, match="scheduler"), open_pool(1, "tcp://127.0.0.1:1"):
        pass


def test_dask_gives_the_same_numbers_with_a_worker_killed_in_the_middle(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with serial() as pool:
        expected = simulate(tmp_path / "serial", trials.normals, pool)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(**options) as cluster, open_pool(1, cluster.scheduler_address) as pool:
        found = simulate(tmp_path / "dask", partial(trials.killed_once, tmp_path), pool)
    assert found == expected
    assert (tmp_path / "death").exists()
