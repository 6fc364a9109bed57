"""The rows of `feature-regression` studies: the `[regression]` table and what stands beside it."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from rmtfl.gaussian import check_square_integrable
from rmtfl.setup import Data, Network, Ratio, Rational, Setup, Sizes, Table, Training, below_half, drawn, drawn_data

MOST_STEPS = 2
LARGEST_SAMPLES = 10**9  # of the regression: ratios beyond are the infinite-data limit in all digits
SMALLEST_RIDGE, LARGEST_RIDGE = Fraction(1, 10**8), 10**12


def _list(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


def _ridge(value: Fraction) -> Fraction:
    if not SMALLEST_RIDGE <= value <= LARGEST_RIDGE:
        raise ValueError("expected a number in [1e-8, 1e12]: the ridge on ‖ỹ − Fâ‖² + ridge ‖â‖², F = σ(X̃W^T)/√N")
    return value


Ridge = Annotated[Rational, AfterValidator(_ridge)]


class RegressionTable(Table):
    """Fresh samples per d, and the ridge λ or several of them, each a curve of its own.

    The read-out minimises ‖ỹ − σ(X̃W^T) â/√N‖² + λ ‖â‖², a sum over samples and not a mean: λ is the ridge on the
    unnormalised conjugate kernel σ(X̃W^T) σ(X̃W^T)^T/N, as in a `learning-curve` study.
    """

    sample_ratio: Annotated[tuple[Ratio, ...], BeforeValidator(_list), Field(min_length=1, max_length=10_000)]
    ridge: Annotated[tuple[Ridge, ...], BeforeValidator(_list), Field(min_length=1, max_length=100)]


class RegressionTheory(Table):
    """How accurate: relative, of every error predicted."""

    tolerance: Annotated[float, Field(ge=1e-10, le=1e-1)] = 1e-3


class RegressionSetup(Table):
    """One row of a `feature-regression` study."""

    network: Annotated[Network, AfterValidator(drawn)]
    data: Annotated[Data, AfterValidator(drawn_data)]
    sizes: Sizes
    training: Annotated[Training, AfterValidator(below_half)]
    regression: RegressionTable
    theory: RegressionTheory = RegressionTheory()

    @field_validator("network")
    @classmethod
    def _finite_features(cls, network: Network) -> Network:
        check_square_integrable(network.activation, "network.activation")
        return network

    @field_validator("data")
    @classmethod
    def _finite_labels(cls, data: Data) -> Data:
        check_square_integrable(data.target, "data.target")
        return data

    @field_validator("sizes")
    @classmethod
    def _has_width(cls, sizes: Sizes) -> Sizes:
        if sizes.width == "limit":
            raise ValueError("a regression is predicted at a width; expected a number in sizes.width")
        return sizes

    @field_validator("training")
    @classmethod
    def _few_steps(cls, training: Training) -> Training:
        if training.steps > MOST_STEPS:
            raise ValueError(f"has {training.steps} steps; expected at most {MOST_STEPS}")
        return training

    @field_validator("regression")
    @classmethod
    def _has_samples(cls, table: RegressionTable, info: ValidationInfo) -> RegressionTable:
        sizes = info.data.get("sizes")
        if sizes is not None:
            for ratio in table.sample_ratio:
                if not 1 <= round(ratio * sizes.dimension) <= LARGEST_SAMPLES:
                    raise ValueError(
                        f"sample_ratio {ratio} is {round(ratio * sizes.dimension)} samples at dimension "
                        f"{sizes.dimension}; expected 1 to {LARGEST_SAMPLES}"
                    )
        return table

    def samples(self, ratio: Fraction) -> int:
        """The number ñ of fresh samples, the integer nearest to ratio · d."""
        return round(ratio * self.sizes.dimension)

    def trained(self, steps: int) -> Setup:
        """The weights after that many of the steps, at least one, as a setting of their own."""
        return Setup(network=self.network, data=self.data, sizes=self.sizes, training=self.after(steps))

    def after(self, steps: int) -> Training:
        """The training cut off after that many steps, at least one."""
        table = self.training
        return Training(batches=table.batches, loss=table.loss, alpha=table.alpha[:steps], scale=table.scale[:steps])
