"""What is trained, on what, at which sizes: the inputs that prediction and simulation share, and every check on them.

Each model is frozen and refuses unknown keys. Rational inputs (step exponents, ratios, scales, noise) are kept as exact
fractions: a decimal such as 0.4 means 4/10, never the binary number next to it.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from rmtfl import given
from rmtfl.errors import AcrossTables
from rmtfl.given import GivenBatches, GivenLayer
from rmtfl.links import Link, parse

HALF = Fraction(1, 2)
LARGEST_WIDTH = 10**15  # beyond it N and N + 1 are no longer different doubles in the formulas
LARGEST_RATIO = 10**6
LARGEST_SCALE = 10**9
MOST_STEPS = 8  # predictions are held against simulation for up to four

_DECIMAL = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?")
_FRACTION = re.compile(r"[+-]?\d{1,40}\s*/\s*\d{1,40}")


def exact(value: object) -> Fraction:
    """A rational number from '3/10', '0.3', 0.3 or 3, each meaning what its decimal digits say.

    Raises:
        ValueError: for anything else, NaN and infinities included.
    """
    if isinstance(value, Fraction):
        return value
    accepted = "a rational number such as '3/10', 0.3 or 2"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"expected {accepted}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected {accepted}, and a finite one")
    text = str(value).strip()
    if not (_DECIMAL.fullmatch(text) or _FRACTION.fullmatch(text)):
        raise ValueError(f"expected {accepted}")
    try:
        return Fraction(text.replace(" ", ""))
    except ZeroDivisionError:
        raise ValueError("a fraction with denominator zero is not a number") from None


def fraction_text(value: Fraction) -> str:
    """The fraction as it is written in study files: '3/10', '2'."""
    return str(value)


def _within(
    low: Fraction | int, high: Fraction | int, *, open_low: bool = False, open_high: bool = False
) -> AfterValidator:
    shown = f"{'(' if open_low else '['}{low}, {high}{')' if open_high else ']'}"

    def check(value: Fraction) -> Fraction:
        below = value <= low if open_low else value < low
        above = value >= high if open_high else value > high
        if below or above:
            raise ValueError(f"expected a number in {shown}")
        return value

    return AfterValidator(check)


def _link(value: object) -> Link:
    if isinstance(value, Link):
        return value
    if not isinstance(value, str):
        raise ValueError("expected an expression in x, written as text such as 'tanh(x + 7/10)'")
    return parse(value)


def _trainable(link: Link) -> Link:
    if not link.is_continuous:
        raise ValueError(
            f"the activation {link.text!r} jumps, so that its gradient is a point mass; "
            "expected a continuous function (jumps are allowed in targets)"
        )
    if all(piece == 0 for piece in link.derivative().pieces):
        raise ValueError(f"the activation {link.text!r} is constant, so that nothing is trained")
    return link


LAWS = ("gaussian", "rademacher", "uniform")


def _second_layer(value: object, info: ValidationInfo) -> str:
    if isinstance(value, str) and (isinstance(value, GivenLayer) or value in LAWS):
        return value
    if isinstance(value, str) and value.startswith(given.PREFIX):
        folder = (info.context or {}).get("folder", Path())
        return given.read(value, folder)
    raise ValueError(
        f"expected 'gaussian', 'rademacher' or 'uniform', or '{given.PREFIX}PATH', the place of {given.ACCEPTED}"
    )


def _batches(value: object, info: ValidationInfo) -> GivenBatches | None:
    if value is None or isinstance(value, GivenBatches):
        return value
    if isinstance(value, str) and value.startswith(given.PREFIX):
        return given.read_batches(value, (info.context or {}).get("folder", Path()))
    raise ValueError(f"expected '{given.PREFIX}PATH', the place of {given.ACCEPTED_BATCHES}")


Rational = Annotated[Fraction, BeforeValidator(exact), PlainSerializer(fraction_text)]
StepExponent = Annotated[Rational, _within(0, HALF)]
SecondLayer = Annotated[str, PlainValidator(_second_layer)]
Batches = Annotated[GivenBatches | None, PlainValidator(_batches)]
Ratio = Annotated[Rational, _within(0, LARGEST_RATIO, open_low=True)]
Scale = Annotated[Rational, _within(0, LARGEST_SCALE, open_low=True)]
Noise = Annotated[Rational, _within(0, 10**6)]
LinkText = Annotated[Link, BeforeValidator(_link), PlainSerializer(lambda link: link.text)]
Activation = Annotated[LinkText, AfterValidator(_trainable)]
Width = Annotated[int, Field(strict=True, ge=2, le=LARGEST_WIDTH)]


class Table(BaseModel):
    """Base of the tables of a study file: frozen, and a key that nothing reads is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Network(Table):
    """f(x) = N^{-1/2} Σ a_i σ(<w_i, x>), a_i = ā_i/√N with ā_i iid of mean 0 and variance 1, w_i ~ N(0, I/d).

    `second_layer` is the law of ā_i, or the ā_i themselves as a `rmtfl.given.GivenLayer`.
    """

    activation: Activation
    second_layer: SecondLayer = "gaussian"


def below_half(training: Training, instead: str = "") -> Training:
    """The training, if no step exponent is 1/2: the validator of rows whose theory has small steps.

    Raises:
        AcrossTables: naming the exponent; `instead` is what else would be accepted.
    """
    for step, alpha in enumerate(training.alpha):
        if alpha == HALF:
            raise AcrossTables(f"training.alpha.{step}", str(alpha), f"expected a number in [0, 1/2){instead}")
    return training


def drawn(network: Network) -> Network:
    """The network, if its second layer is drawn from a law: the validator of rows that take no given one.

    Raises:
        ValueError: naming what is accepted.
    """
    if isinstance(network.second_layer, GivenLayer):
        raise ValueError(f"second_layer = {network.second_layer!r}: only weights take one; expected {', '.join(LAWS)}")
    return network


def drawn_data(data: Data) -> Data:
    """The data, if they are drawn: the validator of rows that take no given batch.

    Raises:
        AcrossTables: naming the key.
    """
    if data.batch is not None:
        raise AcrossTables("data.batch", str(data.batch), "only weights take one; expected no such key")
    return data


SMALLEST_NOISE = 1e-5  # of labels in a file, relative to their size: those of single precision are rounded


class Data(Table):
    """x ~ N(0, I_d), y = target(<x, β>) + noise · N(0, 1), with ‖β‖ = 1.

    `batch` is None, or the very draws that one network is trained on, with β the first basis vector.
    """

    target: LinkText
    noise: Noise = Field(default=Fraction(0), validate_default=True)
    batch: Batches = None

    @model_serializer(mode="wrap")
    def _without_what_is_drawn(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = inner(self)
        if self.batch is None:  # a row without it keeps its key in stores of before
            found.pop("batch", None)
        return found

    @field_validator("noise", mode="after")
    @classmethod
    def _some_signal(cls, noise: Fraction, info: ValidationInfo) -> Fraction:
        target = info.data.get("target")
        if noise == 0 and target is not None and all(piece == 0 for piece in target.pieces):
            raise ValueError("the target is zero and there is no noise, so that nothing is learned")
        return noise

    @field_validator("batch", mode="after")
    @classmethod
    def _labels_of_the_target(cls, batch: GivenBatches | None, info: ValidationInfo) -> GivenBatches | None:
        target, noise = info.data.get("target"), info.data.get("noise")
        if batch is None or target is None or noise is None:
            return batch
        for inputs, labels in map(batch.batch, range(batch.steps)):
            off = math.sqrt(np.mean((labels - target.numpy()(inputs[:, 0].copy())) ** 2))
            allowed = given.LARGEST_SPREAD * float(noise) / math.sqrt(2 * len(labels))
            if abs(off - noise) > allowed + SMALLEST_NOISE * math.sqrt(np.mean(labels**2)):
                raise ValueError(
                    f"its labels differ from the target at X[:, 0] by {off:.3g} in root mean square; expected "
                    f"data.noise = {noise}, β being the first basis vector"
                )
        return batch


class Sizes(Table):
    """Width N and the ratios N/d and n/d; `width` is a number or 'limit'."""

    width_ratio: Ratio
    sample_ratio: Ratio
    width: Width | Literal["limit"]

    @field_validator("width", mode="after")
    @classmethod
    def _large_enough(cls, width: int | str, info: ValidationInfo) -> int | str:
        width_ratio, sample_ratio = info.data.get("width_ratio"), info.data.get("sample_ratio")
        if isinstance(width, int) and width_ratio is not None and sample_ratio is not None:
            dimension = round(width / width_ratio)
            samples = round(sample_ratio * dimension)
            if dimension < 2 or samples < 2:
                raise ValueError(f"gives dimension {dimension} and {samples} samples; expected at least 2 of each")
        return width

    @property
    def dimension(self) -> int:
        """The input dimension d, the integer nearest to N / width_ratio."""
        return round(Fraction(self._number) / self.width_ratio)

    @property
    def samples(self) -> int:
        """The batch size n, the integer nearest to sample_ratio · d."""
        return round(self.sample_ratio * self.dimension)

    @property
    def psi(self) -> Fraction:
        """ψ = N/d, of the integer sizes where there are any."""
        return self.width_ratio if self.width == "limit" else Fraction(self._number, self.dimension)

    @property
    def phi(self) -> Fraction:
        """φ = d/n, of the integer sizes where there are any."""
        return 1 / self.sample_ratio if self.width == "limit" else Fraction(self.dimension, self.samples)

    @property
    def _number(self) -> int:
        if self.width == "limit":
            raise ValueError("the limit has ratios, but no sizes")
        return self.width


class Training(Table):
    """Gradient steps on the first layer, at most two on a reused batch: step t has η_t = scale_t · N^{alpha_t}."""

    batches: Literal["reused", "independent"]
    loss: Literal["squared", "correlation"] = "squared"
    alpha: Annotated[tuple[StepExponent, ...], Field(min_length=1, max_length=MOST_STEPS)]
    scale: Annotated[tuple[Scale, ...], Field(min_length=1, max_length=MOST_STEPS)]

    @field_validator("alpha", mode="after")
    @classmethod
    def _at_most_two_reused(cls, alpha: tuple[Fraction, ...], info: ValidationInfo) -> tuple[Fraction, ...]:
        if info.data.get("batches") == "reused" and len(alpha) > 2:
            raise ValueError(
                f"has {len(alpha)} steps on a reused batch; expected one or two, or batches = 'independent'"
            )
        return alpha

    @field_validator("scale", mode="after")
    @classmethod
    def _one_a_step(cls, scale: tuple[Fraction, ...], info: ValidationInfo) -> tuple[Fraction, ...]:
        alpha = info.data.get("alpha")
        if alpha is not None and len(alpha) != len(scale):
            raise ValueError(f"has {len(scale)} entries and alpha has {len(alpha)}; expected one a step")
        return scale

    @property
    def steps(self) -> int:
        """The number of gradient steps."""
        return len(self.alpha)

    def step_size(self, step: int, width: int) -> float:
        """s_t = η_t/√N = scale_t · N^{alpha_t - 1/2}, steps counted from 0."""
        exponent = self.alpha[step] - HALF
        return float(self.scale[step]) * math.pow(width, float(exponent))


class Theory(Table):
    """Which prediction is asked for, and how accurate."""

    order: Literal["finite-width", "leading"] = "finite-width"
    tolerance: Annotated[float, Field(ge=1e-13, le=1e-1)] = 1e-8
    digits: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    bulk: Literal["rigid", "deformed"] = "rigid"


class Setup(Table):
    """One setting of the weights: everything that a prediction or a simulation needs to know."""

    network: Network
    data: Data
    sizes: Sizes
    training: Training
    theory: Theory = Theory()

    @field_validator("sizes", mode="after")
    @classmethod
    def _as_many_as_given(cls, sizes: Sizes, info: ValidationInfo) -> Sizes:
        network = info.data.get("network")
        if network is not None and isinstance(network.second_layer, GivenLayer):
            count = network.second_layer.values.size
            if sizes.width != count:
                raise AcrossTables(
                    "sizes.width", sizes.width, f"expected {count}, the numbers in {network.second_layer}"
                )
        return sizes

    @model_validator(mode="after")
    def _as_the_batch(self) -> Self:
        batch, training = self.data.batch, self.training
        if batch is None:
            return self
        if self.sizes.width == "limit":
            raise AcrossTables("sizes.width", "limit", "expected a number with a batch that is given")
        if self.theory.bulk != "deformed":
            raise AcrossTables(
                "data.batch", str(batch), "only a deformed bulk knows it; expected theory.bulk = 'deformed'"
            )
        wanted = training.steps if training.batches == "independent" else 1
        if batch.steps != wanted:
            raise AcrossTables("data.batch", str(batch), f"holds {batch.steps} batches; expected {wanted}")
        shape, expected = batch.batch(0)[0].shape, (self.sizes.samples, self.sizes.dimension)
        if shape != expected:
            raise AcrossTables("data.batch", str(batch), f"holds X of shape {shape}; expected (n, d) = {expected}")
        return self

    @model_validator(mode="after")
    def _small_steps(self) -> Self:
        if self.theory.bulk == "rigid":
            below_half(self.training, ", or 1/2 with theory.bulk = 'deformed'")
        elif self.sizes.width == "limit" and HALF in self.training.alpha:
            raise AcrossTables("sizes.width", "limit", "expected a number with a step exponent of 1/2")
        return self

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """(N, d), of the weights; there is none in the limit."""
        return int(self.sizes.width), self.sizes.dimension


class MonteCarlo(Table):
    """How many trials are drawn, and from which seed."""

    trials: Annotated[int, Field(strict=True, ge=2, le=10**6)] = 16
    seed: Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)] = 0
