"""The rows of features studies: the `[features]` table and what stands beside it, with every check on values."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from rmtfl.errors import BadInput
from rmtfl.gaussian import check_square_integrable, expectation
from rmtfl.links import Link, parse
from rmtfl.setup import Data, Network, Ratio, Setup, Sizes, Table, Theory, Training, below_half, drawn, drawn_data

MOST_STEPS = 2


class FeaturesTable(Table):
    """Fresh samples per dimension, and whether activation and target are standardised: mean 0, variance 1."""

    samples: Ratio
    centre: bool = Field(default=False, strict=True)


def _offered(training: Training) -> Training:
    if training.steps > MOST_STEPS:
        raise ValueError(f"has {training.steps} steps; expected at most {MOST_STEPS} for features")
    return training


def _one_theory(theory: Theory) -> Theory:
    if theory.order != "finite-width" or theory.bulk != "rigid" or theory.digits is not None:
        raise ValueError("features have one theory, in doubles; expected no order, bulk or digits")
    return theory


class FeaturesSetup(Table):
    """One row of a `features` study."""

    network: Annotated[Network, AfterValidator(drawn)]
    data: Annotated[Data, AfterValidator(drawn_data)]
    sizes: Sizes
    training: Annotated[Training, AfterValidator(below_half), AfterValidator(_offered)]
    features: FeaturesTable
    theory: Annotated[Theory, AfterValidator(_one_theory)] = Theory()

    @field_validator("features")
    @classmethod
    def _enough(cls, features: FeaturesTable, info: ValidationInfo) -> FeaturesTable:
        sizes = info.data.get("sizes")
        if sizes is not None and sizes.width != "limit" and round(features.samples * sizes.dimension) < 2:
            raise ValueError(f"samples = {features.samples} gives fewer than 2 samples; expected more")
        return features

    @property
    def fresh(self) -> int:
        """ñ, the number of fresh samples."""
        return round(self.features.samples * self.sizes.dimension)

    @property
    def trained(self) -> Setup:
        """What is trained: the links standardised, where `centre` asks for it.

        Raises:
            BadInput: for a link without finite Gaussian second moment, or a constant one that is to be standardised.
        """
        network, data = self.network, self.data
        if self.features.centre:
            network = network.model_copy(update={"activation": standardised(network.activation, "network.activation")})
            data = data.model_copy(update={"target": standardised(data.target, "data.target")})
        return Setup.model_construct(
            network=network, data=data, sizes=self.sizes, training=self.training, theory=self.theory
        )


@lru_cache(maxsize=128)
def standardised(link: Link, key: str) -> Link:
    """(link − E)/√Var over N(0, 1), of the doubles nearest to these.

    Args:
        link: any link with a Gaussian second moment.
        key: of the study file, for messages.

    Raises:
        BadInput: as for `FeaturesSetup.trained`.
    """
    check_square_integrable(link, key)
    mean, square = expectation(link), expectation(link, link)
    variance = square.value - mean.value**2
    if variance <= 100 * (square.error + 2 * abs(mean.value) * mean.error):
        raise BadInput(
            f"key {key!r}: value {link.text}: is constant and has no standard form; expected another function"
        )
    centred = link.text if abs(mean.value) <= mean.error else f"({link.text}) - ({mean.value!r})"
    return parse(f"({centred}) / {variance**0.5!r}")
