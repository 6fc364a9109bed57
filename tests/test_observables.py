"""The registry of observables: every function it names is there, and what is not offered is refused by name."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from rmtfl.errors import BadInput
from rmtfl.observables import OBSERVABLES
from rmtfl.setup import Table

ROLES = [field.name for field in fields(next(iter(OBSERVABLES.values()))) if field.name not in ("name", "model")]


@pytest.mark.parametrize("name", OBSERVABLES)
def test_every_function_is_there(name):
    observable = OBSERVABLES[name]
    assert observable.name == name
    assert issubclass(observable.row_model(), Table)
    for role in ROLES:
        if getattr(observable, role) is not None:
            assert callable(observable.function(role))


def test_what_is_not_offered_is_refused():
    with pytest.raises(BadInput, match="weights: there is no figure for it; expected weights"):
        replace(OBSERVABLES["weights"], figure=None).function("figure")
