"""The observables a study can ask for: for each, the model of a row and the functions that serve it.

Functions are named as text and imported when they are first used, so that reading a study file stays quick and the
modules that predict, simulate and draw need not know one another. What each function is given and returns:

- predict(setup) returns an object whose `as_json()` is the prediction's document;
- certificate(setup) returns the document of what of it is proved, and to how many digits;
- trial(setup, seed) returns the numbers of one simulated draw, as arrays by name, and memory(setup) the bytes it needs;
  where `devices` is true, trial takes the name of one as the keyword `device`;
- quantities(setup, prediction, trials) yields the `rmtfl.compare.Quantity` of one row, from what a store holds of it;
- summary(setup, prediction) returns the `rmtfl.tables.Sheet` that `predict` prints for one row;
- diagnostics(setup, prediction, trials) yields the `rmtfl.compare.Finding`s shown of one simulated row, and
  rates(rows) those of a study, from its `rmtfl.compare.RowResult`s;
- statement(setups) yields paragraphs of text: what a study claims;
- draw(arrays, setup, eigenvalues) turns a user's arrays into trials; a matrix belongs to a row whose setup has its
  shape as `matrix_shape`; hint(arrays, trials, setup, prediction, eigenvalues) says what else they look like, or None;
- figure(results, trials, page) returns a matplotlib figure of a whole study, for a screen or for print.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Literal

from rmtfl.errors import BadInput
from rmtfl.setup import Table

Role = Literal[
    "predict",
    "certificate",
    "trial",
    "memory",
    "quantities",
    "diagnostics",
    "rates",
    "summary",
    "statement",
    "draw",
    "hint",
    "figure",
]


@dataclass(frozen=True)
class Observable:
    """One observable: every role is 'module:name', or None where it is not offered.

    Attributes:
        model: the pydantic model of a row; its fields are the tables of the study file.
        predict: the prediction.
        certificate: what of it is proved.
        trial: one simulated draw.
        devices: whether it can be drawn on other devices than the CPU with numpy.
        memory: what it needs.
        size: the key that sets how much that is.
        quantities: what is compared with what.
        diagnostics: what is shown of a row beside that.
        rates: what is shown of a study.
        summary: the prediction as a table.
        statement: what is claimed, in words.
        draw: a user's own arrays as trials.
        hint: what these look like, if not what they were taken for.
        figure: the picture of a study.
    """

    name: str
    model: str
    predict: str
    summary: str
    certificate: str | None = None
    trial: str | None = None
    devices: bool = False
    memory: str | None = None
    size: str = "sizes.width"
    quantities: str | None = None
    diagnostics: str | None = None
    rates: str | None = None
    statement: str | None = None
    draw: str | None = None
    hint: str | None = None
    figure: str | None = None

    def row_model(self) -> type[Table]:
        """The model that checks one row of a study."""
        model: type[Table] = _load(self.model)
        return model

    def offers(self, role: Role) -> bool:
        """Whether the observable has a function for a role."""
        return getattr(self, role) is not None

    def trial_on(self, device: str) -> Callable[..., Any]:
        """The function that draws once, on the device of a name.

        Raises:
            BadInput: if the observable is simulated by numpy alone.
        """
        if not self.devices:
            offering = ", ".join(other.name for other in _ALL if other.devices)
            raise BadInput(
                f"key 'device': value {device}: {self.name} studies are simulated on cpu alone; "
                f"expected cpu, or an observable of {offering}"
            )
        return partial(self.function("trial"), device=device)

    def function(self, role: Role) -> Callable[..., Any]:
        """The function that plays a role.

        Raises:
            BadInput: if the observable does not offer it.
        """
        place = getattr(self, role)
        if place is None:
            offering = ", ".join(other.name for other in _ALL if getattr(other, role) is not None)
            raise BadInput(f"key 'observable': value {self.name}: there is no {role} for it; expected {offering}")
        function: Callable[..., Any] = _load(place)
        return function


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


_ALL = (
    Observable(
        name="weights",
        model="rmtfl.setup:Setup",
        predict="rmtfl.weights:predict",
        summary="rmtfl.weights.summary:summary",
        trial="rmtfl.montecarlo.record:trial",
        devices=True,
        memory="rmtfl.montecarlo.record:memory",
        quantities="rmtfl.weights.compare:quantities",
        diagnostics="rmtfl.weights.diagnostics:diagnostics",
        rates="rmtfl.weights.diagnostics:rates",
        statement="rmtfl.weights.statement:statement",
        draw="rmtfl.weights.own:draw",
        hint="rmtfl.weights.own:hint",
        figure="rmtfl.figures.weights:weights_figure",
    ),
    Observable(
        name="kernel",
        model="rmtfl.kernel.table:KernelSetup",
        predict="rmtfl.kernel.prediction:predict_kernel",
        summary="rmtfl.kernel.summary:summary",
        trial="rmtfl.montecarlo.galerkin:trial",
        memory="rmtfl.montecarlo.galerkin:memory",
        size="kernel.dimension",
        quantities="rmtfl.kernel.compare:kernel_quantities",
        figure="rmtfl.figures.kernel:kernel_figure",
    ),
    Observable(
        name="kernel-matrix",
        model="rmtfl.kernel.table:KernelMatrixSetup",
        predict="rmtfl.kernel.prediction:predict_kernel_matrix",
        summary="rmtfl.kernel.summary:matrix_summary",
        trial="rmtfl.montecarlo.kernel:matrix_trial",
        memory="rmtfl.montecarlo.kernel:matrix_memory",
        size="kernel.samples",
        quantities="rmtfl.kernel.compare:matrix_quantities",
        draw="rmtfl.kernel.compare:matrix_draw",
        figure="rmtfl.figures.kernel:kernel_matrix_figure",
    ),
    Observable(
        name="learning-curve",
        model="rmtfl.kernel.table:LearningCurveSetup",
        predict="rmtfl.kernel.prediction:predict_learning_curve",
        summary="rmtfl.kernel.summary:curve_summary",
        trial="rmtfl.montecarlo.kernel:regression_trial",
        memory="rmtfl.montecarlo.kernel:regression_memory",
        size="kernel.samples",
        quantities="rmtfl.kernel.compare:curve_quantities",
        figure="rmtfl.figures.kernel:learning_curve_figure",
    ),
    Observable(
        name="features",
        model="rmtfl.features.table:FeaturesSetup",
        predict="rmtfl.features.prediction:predict",
        summary="rmtfl.features.summary:summary",
        trial="rmtfl.montecarlo.features:trial",
        memory="rmtfl.montecarlo.features:memory",
        quantities="rmtfl.features.compare:quantities",
        diagnostics="rmtfl.features.compare:diagnostics",
        statement="rmtfl.features.summary:statement",
        figure="rmtfl.figures.features:features_figure",
    ),
    Observable(
        name="feature-regression",
        model="rmtfl.regression.table:RegressionSetup",
        predict="rmtfl.regression.prediction:predict",
        summary="rmtfl.regression.summary:summary",
        trial="rmtfl.montecarlo.regression:trial",
        memory="rmtfl.montecarlo.regression:memory",
        quantities="rmtfl.regression.compare:quantities",
        figure="rmtfl.figures.regression:regression_figure",
    ),
    Observable(
        name="law",
        model="rmtfl.laws.study:LawSetup",
        predict="rmtfl.laws.study:predict",
        summary="rmtfl.laws.summary:summary",
        certificate="rmtfl.laws.certificate:certificate",
        trial="rmtfl.montecarlo.law:trial",
        devices=True,
        memory="rmtfl.montecarlo.law:memory",
        size="law.size",
        quantities="rmtfl.laws.compare:quantities",
        diagnostics="rmtfl.laws.compare:diagnostics",
        draw="rmtfl.laws.draw:draw",
        figure="rmtfl.figures.law:law_figure",
    ),
)
OBSERVABLES: dict[str, Observable] = {observable.name: observable for observable in _ALL}
