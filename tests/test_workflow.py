"""The way from a study to its results: what is told of a run, and where it runs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.montecarlo.memory import shown_bytes
from rmtfl.montecarlo.record import memory
from rmtfl.store import Store
from rmtfl.study import Study
from rmtfl.workflow import Watcher, predict_rows, recorded, validate
from tests.montecarlo.trials import make_study

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")


class Notes(Watcher):
    """Keeps the remarks, and the rows that were predicted."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self.predicted: list[tuple[str, int, int]] = []

    def predicting(self, label: str, done: int, total: int) -> None:
        self.predicted.append((label, done, total))

    def remark(self, text: str) -> None:
        self.remarks.append(text)


def trials(path: Path, study: Study) -> dict[str, np.ndarray]:
    with Store.open(path, study) as store:
        return store.trials(study.rows[0])


def test_a_run_says_what_is_there_and_what_it_takes(tmp_path: Path) -> None:
    store = tmp_path / "study.sqlite"
    heard = []
    for count in (2, 3, 3):
        notes = Notes()
        validate(make_study(montecarlo={"trials": count}), store, workers=1, watcher=notes)
        heard.append(notes.remarks)
    largest = shown_bytes(max(memory(row.setup) for row in make_study().rows))
    assert heard[0] == [f"trials to do: 4, each of up to {largest} of memory"]
    assert heard[1] == ["4 of 6 trials were already there", f"trials to do: 2, each of up to {largest} of memory"]
    assert heard[2] == ["6 of 6 trials were already there"]
    rows = make_study().rows
    assert notes.predicted == [(row.label, done, len(rows)) for done, row in enumerate(rows)]


@needs_torch
def test_a_study_on_torch_has_numpys_numbers_to_rounding_and_is_not_mixed_with_them(tmp_path: Path) -> None:
    study = make_study(sizes={"width": 200}, montecarlo={"trials": 2})
    here, there = tmp_path / "numpy.sqlite", tmp_path / "torch.sqlite"
    assert validate(study, here, workers=1).device == "numpy:cpu"
    assert validate(study, there, workers=1, device="torch:cpu").device == "torch:cpu"
    assert recorded(study, there)[0].as_json()["device"] == "torch:cpu"
    expected, found = trials(here, study), trials(there, study)
    np.testing.assert_allclose(found["singular_values"], expected["singular_values"], rtol=1e-12)
    np.testing.assert_allclose(found["alignments"], expected["alignments"], atol=1e-8)
    with pytest.raises(BadInput, match="use --device torch:cpu"):
        validate(make_study(sizes={"width": 200}, montecarlo={"trials": 3}), there, workers=1)


@needs_torch
def test_workers_on_torch_give_the_same_bits(tmp_path: Path) -> None:
    study = make_study(sizes={"width": 160}, montecarlo={"trials": 4})
    for workers in (1, 2):
        validate(study, tmp_path / f"{workers}.sqlite", workers=workers, device="torch:cpu")
    first, second = (trials(tmp_path / f"{workers}.sqlite", study) for workers in (1, 2))
    assert {name: array.tobytes() for name, array in first.items()} == {
        name: array.tobytes() for name, array in second.items()
    }


@pytest.mark.parametrize("device", ["cuda:999", "gpu"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_made(tmp_path: Path, device: str) -> None:
    with pytest.raises(BadInput, match=f"key 'device': value {device}"):
        validate(make_study(), tmp_path / "study.sqlite", device=device)
    assert not list(tmp_path.iterdir())


def test_a_singular_matrix_is_told_of_the_row(monkeypatch):
    study = make_study()

    def singular(setup):
        np.linalg.inv(np.zeros((2, 2)))

    monkeypatch.setattr("rmtfl.weights.predict", singular)
    with pytest.raises(ToleranceNotMet, match="singular to rounding"):
        predict_rows(study)


def test_predictions_of_an_earlier_version_are_refused(tmp_path):
    study, there = make_study(), tmp_path / "old.sqlite"
    with Store.open(there, study) as store:
        for row in study.rows:
            store.save_prediction(row, {"outliers": []})
    with pytest.raises(BadInput, match=r"old\.sqlite: its predictions lack '.*earlier rmtfl; `rmtfl validate`"):
        recorded(study, there)
