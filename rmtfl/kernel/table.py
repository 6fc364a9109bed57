"""The rows of kernel studies: the `[kernel]` table and what stands beside it, with every check on values.

A and B are given, or taken from a training setup with `from_training = true`; then [data], [sizes] and [training] are
needed and d is that of the sizes. Each observable has its own `[kernel]` keys, so that a key that nothing reads is an
error.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_serializer
from pydantic import SerializerFunctionWrapHandler as Handler

from rmtfl.gaussian import check_square_integrable
from rmtfl.kernel.covariance import Covariance, Form, after_training
from rmtfl.kernel.learning import FOLDS
from rmtfl.kernel.spectrum import SpikedKernel
from rmtfl.links import Link
from rmtfl.setup import Data, LinkText, Rational, Sizes, Table, Theory, Training, drawn_data

LARGEST_DIMENSION = 10**9  # beyond it 1/d² is below rounding, and the limit says the same
LARGEST_DEGREE = 60
LARGEST_MODES = 40
LARGEST_SAMPLES = 10**12


def _activation(link: Link) -> Link:
    if all(piece == 0 for piece in link.pieces):
        raise ValueError("the activation is zero, and so is its kernel; expected another function")
    check_square_integrable(link, "network.activation")
    return link


def _positive(value: Fraction) -> Fraction:
    if value <= 0:
        raise ValueError("expected a positive number, for Γ = A I + B uu^T to be a covariance")
    return value


def _degrees(value: object) -> object:
    """A list of degrees, or the largest: 4 means 0, 1, 2, 3, 4."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= LARGEST_DEGREE:
            raise ValueError(f"expected degrees from 0 to {LARGEST_DEGREE}")
        return tuple(range(value + 1))
    return value


def _list(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


def _not_negative(value: Fraction) -> Fraction:
    if not 0 <= value <= 10**30:
        raise ValueError("expected a number in [0, 10**30]")
    return value


Degree = Annotated[int, Field(strict=True, ge=0, le=LARGEST_DEGREE)]
Samples = Annotated[int, Field(strict=True, ge=1, le=LARGEST_SAMPLES)]
Ridge = Annotated[Rational, AfterValidator(_not_negative)]


class KernelTable(Table):
    """The kernel E_w σ(<w, x>) σ(<w, x'>), w ~ N(0, Γ/d), Γ = isotropic · I + spike · uu^T, and its inputs' law."""

    inputs: Literal["sphere", "gaussian"] = "sphere"
    from_training: bool = Field(default=False, strict=True)
    covariance: Form = "derived"
    dimension: Annotated[int, Field(strict=True, ge=3, le=LARGEST_DIMENSION)] | None = Field(
        default=None, validate_default=True
    )
    isotropic: Annotated[Rational, AfterValidator(_positive)] | None = Field(default=None, validate_default=True)
    spike: Rational | None = Field(default=None, validate_default=True)
    degrees: Annotated[tuple[Degree, ...], BeforeValidator(_degrees), Field(min_length=1)] = (0, 1, 2)
    modes: Annotated[int, Field(strict=True, ge=1, le=LARGEST_MODES)] = 6

    @field_validator("covariance")
    @classmethod
    def _is_read(cls, value: str, info: ValidationInfo) -> str:
        if not info.data.get("from_training"):
            raise ValueError("nothing reads it unless kernel.from_training = true")
        return value

    @field_validator("dimension", "isotropic", "spike")
    @classmethod
    def _given_once(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("from_training"):
            if value is not None:
                raise ValueError("nothing reads it: kernel.from_training = true takes it from the training setup")
        elif value is None:
            raise ValueError("is missing; expected a number, or kernel.from_training = true")
        return value

    @field_validator("spike")
    @classmethod
    def _covariance(cls, value: Fraction | None, info: ValidationInfo) -> Fraction | None:
        isotropic = info.data.get("isotropic")
        if value is not None and isotropic is not None and isotropic + value < 0:
            raise ValueError(
                f"Γ = A I + B uu^T is negative-definite along u; expected at least -A = {-isotropic}, for A + B ≥ 0"
            )
        return value

    @field_validator("degrees")
    @classmethod
    def _distinct(cls, degrees: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(degrees)) < len(degrees):
            raise ValueError("expected each degree once")
        return degrees


class KernelMatrixTable(KernelTable):
    """With the number n of samples of the kernel matrix."""

    samples: Samples


class LearningCurveTable(KernelTable):
    """With sample sizes, and the ridge on the unnormalised kernel matrix, or a list of them to choose from."""

    samples: Annotated[tuple[Samples, ...], BeforeValidator(_list), Field(min_length=1)]
    ridge: Annotated[tuple[Ridge, ...], BeforeValidator(_list), Field(min_length=1)]
    ridge_choice: Literal["best", "cross-validation"] = "best"

    @field_validator("ridge_choice")
    @classmethod
    def _has_folds(cls, choice: str, info: ValidationInfo) -> str:
        if choice == "cross-validation" and min(info.data.get("samples", (FOLDS,))) < FOLDS:
            raise ValueError(f"cross-validation has {FOLDS} folds; expected kernel.samples of at least {FOLDS}")
        return choice


class KernelNetwork(Table):
    """The activation; the second layer is what a training step multiplies the gradient by."""

    activation: Annotated[LinkText, AfterValidator(_activation)]
    second_layer: Literal["gaussian", "rademacher", "uniform"] = "gaussian"


class _Row(Table):
    """What the rows of all three observables share."""

    network: KernelNetwork
    kernel: KernelTable
    theory: Theory = Theory()

    @model_serializer(mode="wrap")
    def _without_absent_tables(self, handler: Handler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}

    @property
    def trained(self) -> Covariance | None:
        """A and B as training leaves them, where they are taken from it."""
        if not self.kernel.from_training:
            return None
        data, sizes, training = (getattr(self, name) for name in ("data", "sizes", "training"))
        return after_training(self.network.activation, data, sizes, training, self.kernel.covariance)

    @property
    def spiked(self) -> SpikedKernel:
        """The kernel asked for."""
        trained, table, activation = self.trained, self.kernel, self.network.activation
        if trained is not None:
            sizes: Sizes = getattr(self, "sizes")  # noqa: B009 - rows that train have it
            return SpikedKernel(activation, sizes.dimension, trained.isotropic, trained.spike, table.inputs)
        assert table.dimension is not None and table.isotropic is not None and table.spike is not None
        return SpikedKernel(activation, table.dimension, float(table.isotropic), float(table.spike), table.inputs)


def _needed(table: Any, info: ValidationInfo) -> Any:
    kernel = info.data.get("kernel")
    if kernel is not None and kernel.from_training and table is None:
        raise ValueError("is missing; kernel.from_training = true needs it")
    if kernel is not None and not kernel.from_training and table is not None:
        raise ValueError("nothing reads it unless kernel.from_training = true")
    return table


def _trainable(training: Training | None, info: ValidationInfo) -> Training | None:
    """Everything that one training step needs, beyond each table's own checks."""
    if training is None:
        return None
    if training.steps != 1:
        raise ValueError("the spiked covariance is that of one step; expected lists of one entry")
    network, sizes = info.data.get("network"), info.data.get("sizes")
    if network is not None and not network.activation.is_continuous:
        raise ValueError(f"the activation {network.activation.text!r} jumps, and cannot be trained")
    if sizes is not None and (sizes.width == "limit" or sizes.dimension < 3):
        raise ValueError("needs a finite width, and a dimension of at least 3")
    return training


class KernelSetup(_Row):
    """One row of a `kernel` study."""

    kernel: KernelTable
    data: Annotated[Annotated[Data, AfterValidator(drawn_data)] | None, AfterValidator(_needed)] = Field(
        default=None, validate_default=True
    )
    sizes: Annotated[Sizes | None, AfterValidator(_needed)] = Field(default=None, validate_default=True)
    training: Annotated[Training | None, AfterValidator(_trainable), AfterValidator(_needed)] = Field(
        default=None, validate_default=True
    )


def _doubles(theory: Theory) -> Theory:
    if theory.digits is not None:
        raise ValueError("digits are offered for kernel studies; expected none here")
    return theory


class KernelMatrixSetup(KernelSetup):
    """One row of a `kernel-matrix` study."""

    kernel: KernelMatrixTable
    theory: Annotated[Theory, AfterValidator(_doubles)] = Theory()

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """(n, n), of the kernel matrix."""
        return int(self.kernel.samples), int(self.kernel.samples)


class LearningCurveSetup(_Row):
    """One row of a `learning-curve` study; the target of the regression is that of the training, where there is one."""

    kernel: LearningCurveTable
    theory: Annotated[Theory, AfterValidator(_doubles)] = Theory()
    data: Annotated[Data, AfterValidator(drawn_data)]
    sizes: Annotated[Sizes | None, AfterValidator(_needed)] = Field(default=None, validate_default=True)
    training: Annotated[Training | None, AfterValidator(_trainable), AfterValidator(_needed)] = Field(
        default=None, validate_default=True
    )

    @field_validator("data")
    @classmethod
    def _square_integrable(cls, data: Data) -> Data:
        check_square_integrable(data.target, "data.target")
        return data
