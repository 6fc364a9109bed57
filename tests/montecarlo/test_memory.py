"""Runs that would not fit are refused, with the numbers, before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rmtfl.errors import BadInput
from rmtfl.montecarlo.devices import Device
from rmtfl.montecarlo.memory import PROCESS, available_cores, available_memory, fitting_workers, shown_bytes
from rmtfl.montecarlo.weights import memory
from rmtfl.setup import LARGEST_WIDTH, Setup

GIB = 2**30


def test_the_largest_width_is_refused_with_the_number(setup: Callable[..., Setup]) -> None:
    need = memory(setup(width=LARGEST_WIDTH))
    with pytest.raises(BadInput, match=r"sizes\.width.*width = 10\^15.* needs 2\.24e\+22 GiB .* is free"):
        fitting_workers({"width = 10^15": need, "small": 1})


def test_the_workers_asked_for_must_fit_at_once() -> None:
    assert fitting_workers({"a": GIB}, workers=3, available=4 * GIB) == 3
    with pytest.raises(BadInput, match=r"workers.*value 4.*4\.78 GiB at once and 4 GiB is free; expected at most 3"):
        fitting_workers({"a": GIB}, workers=4, available=4 * GIB)
    assert fitting_workers({"a": GIB}, workers=1, available=GIB) == 1
    with pytest.raises(BadInput, match="expected at least 1"):
        fitting_workers({"a": GIB}, workers=0, available=4 * GIB)


def test_by_default_there_are_as_many_workers_as_cores_and_memory_allow() -> None:
    assert fitting_workers({"a": 0}, available=PROCESS * 10**6) == available_cores()
    assert fitting_workers({"a": GIB, "b": 1}, available=GIB) == 1
    assert fitting_workers({}) >= 1


class OnAGpu(Device):
    def free_memory(self) -> int:
        return 4 * GIB


def test_a_device_with_a_memory_of_its_own_is_what_trials_must_fit_into() -> None:
    gpu = OnAGpu("torch:cuda", None)
    assert fitting_workers({"a": 3 * GIB}, device=gpu) == 1  # and not one a core
    assert fitting_workers({"a": GIB}, workers=2, device=gpu) == 2
    with pytest.raises(BadInput, match="needs 5 GiB of memory and 4 GiB is free on torch:cuda; expected sizes"):
        fitting_workers({"a": 5 * GIB}, device=gpu)
    with pytest.raises(BadInput, match="4 GiB is free on torch:cuda; expected at most 2"):
        fitting_workers({"a": GIB}, workers=3, device=gpu)


def test_the_machine_has_memory_and_cores() -> None:
    assert 2**24 < available_memory() < 2**60
    assert available_cores() >= 1


@pytest.mark.parametrize(("count", "shown"), [(2**20, "1 MiB"), (3 * 2**29, "1.5 GiB"), (2**80, "1.13e+15 GiB")])
def test_bytes_are_shown_in_units(count: int, shown: str) -> None:
    assert shown_bytes(count) == shown
