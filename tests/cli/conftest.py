from __future__ import annotations

import dataclasses

import pytest

from rmtfl.observables import OBSERVABLES, Observable
from tests.cli.command import Patched
from tests.documents import TOML


@pytest.fixture
def predicting(monkeypatch):
    """Put another prediction in the place of the package's."""

    def patch(function):
        fields = {f.name: getattr(OBSERVABLES["weights"], f.name) for f in dataclasses.fields(Observable)}
        monkeypatch.setitem(OBSERVABLES, "weights", Patched(**fields, other=function))

    return patch


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(TOML, encoding="utf-8")
    return path
