"""The command line as tests call it, and predictions that take the place of the package's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from typer.testing import CliRunner

from rmtfl.cli import app
from rmtfl.montecarlo.run import sample
from rmtfl.observables import Observable


@dataclasses.dataclass(frozen=True)
class Document:
    """What `predict` of an observable returns."""

    document: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return self.document


@dataclasses.dataclass(frozen=True)
class Patched(Observable):
    """An observable with another prediction."""

    other: Callable[[Any], Document] | None = None

    def function(self, role):
        return self.other if role == "predict" else super().function(role)


def simulated_prediction(shift: float = 1.0) -> Callable[[Any], Document]:
    """A prediction that is the mean of what will be simulated, times a factor."""

    def predict(setup):
        from rmtfl.montecarlo.weights import trial

        draws = sample("weights", setup, 3, 5, trial)
        location = shift * float(draws["singular_values"][:, 0].mean())
        alignment = float(draws["alignments"][:, 0].mean())
        return Document(
            {
                "threshold": 1,
                "critical": False,
                "generic_count": 2,
                "count": 1,
                "update_noise": 0.01,
                "bulk_trusted": True,
                "bulk": {"lower": 0.0, "upper": 2.0, "top": 2.0},
                "spikes": [{"strength": location, "error": 1e-9}],
                "outliers": [{"location": location, "alignment": alignment, "error": 1e-9}],
                "leading": [1.5 * location],
            }
        )

    return predict


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="rmtfl")


def refused(*arguments):
    """The one message of a command that exits 2 with nothing on stdout."""
    found = run(*arguments)
    assert found.exit_code == 2, found.output
    assert found.stdout == ""
    assert "Traceback" not in found.stderr
    return found.stderr
