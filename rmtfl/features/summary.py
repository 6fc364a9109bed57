"""The prediction of the conjugate kernel as a table for a reader, and what a study of it claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rmtfl.features.table import FeaturesSetup
from rmtfl.tables import Column, Measured, Sheet, measured

Document = Mapping[str, Any]


def summary(setup: FeaturesSetup, prediction: Document) -> Sheet:
    """One row's prediction, a line an outlier or, in the limit, a line a spike that grows."""
    grows = [spike for spike in prediction.get("spikes", ()) if spike["exponent"] != "0"]
    columns = (
        Column("spike"),
        Column("eigenvalue", numeric=True),
        Column("alignment", numeric=True),
        Column("squared cosine", numeric=True),
        *([Column("grows as")] if grows else []),
    )
    lines: list[tuple[str | Measured, ...]] = []
    for spike in grows:
        name = "mean" if spike["k"] == 0 else f"feature {spike['k']}"
        constant = "" if spike["constant"] is None else f"{spike['constant']:.6g} "
        how = f"vanishes: {spike['vanishes']}" if spike["vanishes"] else f"{constant}N^({spike['exponent']})"
        lines.append((name, Measured(""), Measured(""), Measured(""), how))
    for outlier in prediction["outliers"]:
        turned = (measured(outlier[key], error=outlier["alignment_error"]) for key in ("alignment", "cosine"))
        blank = ("",) if grows else ()
        lines.append((outlier["name"], measured(outlier["location"], error=outlier["error"]), *turned, *blank))
    return Sheet(columns, tuple(lines), tuple(_notes(prediction)))


def _notes(prediction: Document) -> Iterator[str]:
    critical = ", and one more is critical" if prediction["critical"] else ""
    yield (
        f"feature spikes that grow with N, unless a coefficient that they need vanishes: {prediction['threshold']}"
        f"{critical}; beside them the mean spike of an uncentred σ"
    )
    intervals = ", ".join(f"[{low:.6g}, {high:.6g}]" for low, high in prediction["bulk"]["intervals"])
    yield f"bulk {intervals}; eigenvalues of F F^T/N on fresh samples"
    yield "alignment is |y^T u|^2 over the number of samples, squared cosine the same for labels of mean square 1"


def statement(setups: Sequence[FeaturesSetup]) -> Iterator[str]:
    """The model, the claims and what they leave out, a paragraph each."""
    centred = any(setup.features.centre for setup in setups)
    yield (
        "A network f(x) = N^(−1/2) Σ aᵢ σ(⟨wᵢ, x⟩), with aᵢ = āᵢ/√N and wᵢ ~ N(0, I/d), learns a target of one "
        "direction; then the features F = σ(X̃ W^T) of fresh samples have the conjugate kernel K = F F^T/N."
        + (" Activation and target are standardised: mean 0 and variance 1 over N(0, 1)." if centred else "")
    )
    yield (
        "K has the bulk of random features, and outliers: the mean spike, where σ is not centred, and the feature "
        "spikes, which are the singular functions of a neuron's mean answer to a sample given its second-layer weight. "
        "Step sizes are kept finite. The conjugate kernel on the training batch is a different matrix."
    )
