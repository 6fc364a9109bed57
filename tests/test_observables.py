"""The registry of observables: every function it names is there, and what is not offered is refused by name."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace

import pytest

from rmtfl.errors import BadInput
from rmtfl.observables import OBSERVABLES
from rmtfl.setup import Table

NO_ROLES = ("name", "model", "devices", "size")
ROLES = [field.name for field in fields(next(iter(OBSERVABLES.values()))) if field.name not in NO_ROLES]


@pytest.mark.parametrize("name", OBSERVABLES)
def test_every_function_is_there(name):
    observable = OBSERVABLES[name]
    assert observable.name == name
    assert issubclass(observable.row_model(), Table)
    for role in ROLES:
        if getattr(observable, role) is not None:
            assert callable(observable.function(role))


@pytest.mark.parametrize("name", OBSERVABLES)
def test_trials_take_a_device_where_they_say_so(name):
    observable = OBSERVABLES[name]
    if observable.trial is None:
        return
    assert ("device" in inspect.signature(observable.function("trial")).parameters) == observable.devices
    if observable.devices:
        assert observable.trial_on("cuda:1").keywords == {"device": "cuda:1"}
    else:
        with pytest.raises(BadInput, match=f"'device': value cuda: {name} studies .* cpu alone; .* weights, law"):
            observable.trial_on("cuda")


def test_what_is_not_offered_is_refused():
    with pytest.raises(BadInput, match="weights: there is no figure for it; expected weights"):
        replace(OBSERVABLES["weights"], figure=None).function("figure")
