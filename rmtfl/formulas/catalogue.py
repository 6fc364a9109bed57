"""Which questions there are, what each one reads, and the checks on what a user gave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import sympy as sp

from rmtfl.errors import BadInput
from rmtfl.formulas import covariance, law, two_step
from rmtfl.formulas.formula import Formula
from rmtfl.formulas.polynomials import polynomial
from rmtfl.links import parse
from rmtfl.setup import exact

SECOND_LAYERS = ("gaussian", "rademacher", "uniform")
BATCHES = ("reused", "independent")
MAX_ORDERS = 4
DEFAULT_ORDERS = 2


@dataclass(frozen=True)
class Inputs:
    """What a question may read; None where it is not given.

    Attributes:
        activation: σ, a polynomial in x.
        target: σ⋆, a polynomial in x.
        noise: standard deviation of the label noise, 0 unless given.
        second_layer: the law of ā, gaussian unless given.
        batches: reused (unless given) or independent.
        orders: how many orders k of the expansion, 2 unless given.
        ratio: γ = p/n of a law.
        atoms: population eigenvalues, separated by commas.
        weights: their masses, likewise.
    """

    activation: str | None = None
    target: str | None = None
    noise: str | None = None
    second_layer: str | None = None
    batches: str | None = None
    orders: int | None = None
    ratio: str | None = None
    atoms: str | None = None
    weights: str | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The names of what is given."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)


@dataclass(frozen=True)
class _Question:
    """How one label is answered: from what, and what it cannot do without."""

    answer: Callable[[Inputs], Formula]
    reads: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


LINKS = ("activation", "target")
NETWORK = (*LINKS, "noise", "second_layer", "batches", "orders")
LAW = ("ratio", "atoms", "weights")


def _links(build: Callable[[two_step.Network, int], Formula]) -> _Question:
    return _Question(lambda inputs: build(_network(inputs), _orders(inputs)), NETWORK, LINKS)


def _threshold(inputs: Inputs) -> Formula:
    links = [name for name in LINKS if name in inputs.given]
    if len(links) == 1:
        raise BadInput("two-step.threshold: reads --activation and --target together, or neither")
    return two_step.exponents(_network(inputs) if links else None, _orders(inputs))


_QUESTIONS = {
    "two-step.preactivation": _links(two_step.preactivation),
    "two-step.gram": _links(two_step.gram),
    "two-step.threshold": _Question(_threshold, NETWORK),
    "two-step.constants": _links(two_step.constants),
    "two-step.outliers": _Question(lambda _: two_step.outliers()),
    "two-step.learning": _links(two_step.learning),
    "spiked-covariance.averaged": _Question(
        lambda inputs: covariance.averaged(_network(inputs)), (*LINKS, "noise"), LINKS
    ),
    "spiked-covariance.batch": _Question(
        lambda inputs: covariance.given_batch(_network(inputs)), (*LINKS, "noise"), LINKS
    ),
    "generalized-marchenko-pastur.equation": _Question(
        lambda inputs: law.equation(_ratio(inputs), *_population(inputs)), LAW, ("atoms", "weights")
    ),
    "generalized-marchenko-pastur.edges": _Question(
        lambda inputs: law.edges(_ratio(inputs), *_population(inputs)), LAW, LAW
    ),
}

LABELS = tuple(_QUESTIONS)


def formula(label: str, inputs: Inputs | None = None) -> Formula:
    """The exact answer to one question.

    Args:
        label: one of `LABELS`, which are those of the derivations in theory/.
        inputs: links, or a population.

    Raises:
        BadInput: for an unknown label, a link that is no polynomial, or inputs missing, unread or out of range.
        ToleranceNotMet: if an edge cannot be told apart from another root.

    Examples:
        >>> found = formula("two-step.constants", Inputs(activation="x + He2(x)/3", target="x"))
        >>> found.case("alpha_1 < alpha_2")["theta_0"]
        e_2*sqrt(phi + 1)
    """
    inputs = inputs or Inputs()
    question = _QUESTIONS.get(label)
    if question is None:
        raise BadInput(f"formula: value {label!r}: expected one of {', '.join(LABELS)}")
    unread = [name for name in inputs.given if name not in question.reads]
    missing = [name for name in question.needs if name not in inputs.given]
    if unread or missing:
        problem = f"{_option(unread[0])} is not read" if unread else f"{_option(missing[0])} is missing"
        reads = ", ".join(map(_option, question.reads)) or "no options"
        raise BadInput(f"formula {label}: {problem}; expected {reads}")
    return question.answer(inputs)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _network(inputs: Inputs) -> two_step.Network:
    assert inputs.activation is not None and inputs.target is not None  # both are needed: checked by `formula`
    activation = polynomial(parse(inputs.activation), "--activation")
    target = polynomial(parse(inputs.target), "--target")
    noise = _rational("noise", inputs.noise or "0")
    if activation.degree() < 1:
        raise BadInput(f"--activation: value {inputs.activation!r}: is constant, so that nothing is trained")
    if noise < 0:
        raise BadInput(f"--noise: value {inputs.noise}: expected a rational number of at least 0")
    if noise == 0 and target.is_zero:
        raise BadInput("--target: value '0': with no noise nothing is learned")
    return two_step.Network(
        activation,
        target,
        noise,
        _choice("second_layer", inputs.second_layer, SECOND_LAYERS),
        _choice("batches", inputs.batches, BATCHES) == "reused",
    )


def _choice(name: str, value: str | None, accepted: tuple[str, ...]) -> str:
    value = accepted[0] if value is None else value
    if value not in accepted:
        raise BadInput(f"{_option(name)}: value {value!r}: expected one of {', '.join(accepted)}")
    return value


def _orders(inputs: Inputs) -> int:
    count = DEFAULT_ORDERS if inputs.orders is None else inputs.orders
    if not 1 <= count <= MAX_ORDERS:
        raise BadInput(f"--orders: value {count}: expected 1 to {MAX_ORDERS}")
    return count


def _rational(name: str, text: str) -> sp.Rational:
    try:
        found = exact(text)
    except ValueError as error:
        raise BadInput(f"{_option(name)}: value {text!r}: {error}") from None
    return sp.Rational(found.numerator, found.denominator)


def _ratio(inputs: Inputs) -> Any:
    if inputs.ratio is None:
        return None
    ratio = _rational("ratio", inputs.ratio)
    if ratio <= 0:
        raise BadInput(f"--ratio: value {inputs.ratio}: expected a rational number above 0")
    return ratio


def _population(inputs: Inputs) -> tuple[list[sp.Rational], list[sp.Rational]]:
    assert inputs.atoms is not None and inputs.weights is not None  # both are needed: checked by `formula`
    atoms = [_rational("atoms", text) for text in inputs.atoms.split(",")]
    weights = [_rational("weights", text) for text in inputs.weights.split(",")]
    if len(atoms) > law.MAX_ATOMS or min(atoms) <= 0 or len(set(atoms)) < len(atoms):
        raise BadInput(f"--atoms: value {inputs.atoms}: expected at most {law.MAX_ATOMS} different numbers above 0")
    if len(weights) != len(atoms) or min(weights) <= 0 or sum(weights) != 1:
        raise BadInput(f"--weights: value {inputs.weights}: expected {len(atoms)} numbers above 0 whose sum is 1")
    return atoms, weights
