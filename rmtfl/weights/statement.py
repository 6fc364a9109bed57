"""What a study of the weights claims, in words, for a report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rmtfl.setup import Setup

_RESIDUALS = {"squared": "y − f(X; W)", "correlation": "y"}
_ORDERS = {
    "finite-width": "Strengths are those of the finite width: the first step is kept to all orders.",
    "leading": "Strengths are of leading order in N.",
}
_BULKS = {
    "rigid": (
        "Rigid bulk: it is taken to be that of W₀, on [|1 − √ψ|, 1 + √ψ]; a strength above ψ^(1/4) gives an outlier "
        "at √((1 + θ²)(ψ + θ²))/θ. What the update's own noise does to the bulk is left out, and allowed for."
    ),
    "deformed": "Deformed bulk: that of W₀ with the update's own noise, and the outliers are those of this bulk.",
}


def statement(setups: Sequence[Setup]) -> Iterator[str]:
    """The model, the claims and what they leave out, a paragraph each.

    Args:
        setups: of all rows of a study.
    """
    steps = _words(str(setup.training.steps) for setup in setups)
    batches = _words(setup.training.batches for setup in setups)
    residuals = _words(_RESIDUALS[setup.training.loss] for setup in setups)
    yield (
        "A network f(x) = N^(−1/2) Σ aᵢ σ(⟨wᵢ, x⟩), with aᵢ = āᵢ/√N, āᵢ independent of mean 0 and variance 1, and "
        "wᵢ ~ N(0, I/d), learns a target of one direction β from labels y = σ⋆(⟨x, β⟩) + noise, x ~ N(0, I). "
        f"Its first layer W is trained by full gradient steps of size η = scale · N^α; number of steps: {steps}; "
        f"batches: {batches}; residual: {residuals}."
    )
    yield (
        "Up to noise, W is W₀ plus a matrix of finite rank. With ψ = N/d, each of its singular values θ, the "
        "strengths, that is large enough leaves the bulk and becomes an outlier, whose right singular vector overlaps "
        "with β."
    )
    for texts, chosen in ((_ORDERS, "order"), (_BULKS, "bulk")):
        yield from dict.fromkeys(texts[getattr(setup.theory, chosen)] for setup in setups)


def _words(values: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(values))
