"""A row of a `law` study: its tables and its prediction."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rmtfl.laws.predict import LawPrediction, predict_law
from rmtfl.laws.spec import LawTable
from rmtfl.setup import Table


class Accuracy(Table):
    """How accurate a law is asked for."""

    tolerance: Annotated[float, Field(ge=1e-15, le=1e-1)] = 1e-8
    digits: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None


class LawSetup(Table):
    """One row of a `law` study."""

    law: LawTable
    theory: Accuracy = Accuracy()

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """Of the matrix whose eigenvalues follow the law."""
        return self.law.size, self.law.size


def predict(setup: LawSetup) -> LawPrediction:
    """Density, edges and outliers; raises as `rmtfl.laws.predict.predict_law` does."""
    return predict_law(setup.law, setup.theory.tolerance, setup.theory.digits)
