"""The error of the published first-order formulas for relu as d and B grow: writes table.md beside this file.

Run it as a script with the package installed. Takes seconds. Relative errors are against the exact spectrum, whose own
error is below 1e-8 of the top eigenvalue. The remainder beyond first order is O(B²/d²): one column divides by it.
"""

from __future__ import annotations

from pathlib import Path

from rmtfl.kernel.prediction import kernel_prediction
from rmtfl.kernel.published import first_order
from rmtfl.kernel.spectrum import SpikedKernel
from rmtfl.links import parse

ISOTROPIC = 1.2
DIMENSIONS, RATIOS = (30, 100, 300, 1000, 10_000), (0.01, 0.1, 1.0, 10.0)
HEAD = (
    "d",
    "B/d",
    "top, exact",
    "published, off by",
    "first order, off by",
    "the same over (B/d)²",
    "share of Y_2, exact",
    "published",
    "linear mode, off by",
)


def main() -> None:
    """Compute every row."""
    lines = [f"| {' | '.join(HEAD)} |", f"|{' ---: |' * len(HEAD)}"]
    for d in DIMENSIONS:
        for ratio in RATIOS:
            kernel = SpikedKernel(parse("relu(x)"), d, ISOTROPIC, ratio * d)
            (block,) = kernel_prediction(kernel, (0,), 4).blocks
            # At large B the linear mode may be the larger one: each is told by its harmonics.
            even = max(range(4), key=lambda j: block.mixing[j][0])
            odd = max(range(4), key=lambda j: block.mixing[j][1])
            top, share = block.eigenvalues[even], block.mixing[even][2]
            formula = first_order(d, ISOTROPIC, ratio * d)
            published, corrected = formula.top / top - 1, formula.top_exact / top - 1
            cells = (
                f"{d}",
                f"{ratio:g}",
                f"{top:.6f}",
                f"{published:.2e}",
                f"{corrected:.2e}",
                f"{corrected / ratio**2:.4f}",
                f"{share:.2e}",
                f"{formula.share:.2e}",
                f"{abs(formula.along / block.eigenvalues[odd] - 1):.0e}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    note = (
        f"relu, A = {ISOTROPIC}, inputs on the sphere. Published is Aλ₀ + B/(2πd), first order is (A + B/d) λ₀; both\n"
        "columns are signed relative errors. The linear mode is (A + B)/(4d), which is exact: its error is rounding.\n"
    )
    Path(__file__).with_name("table.md").write_text("\n".join([note, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
