"""Does a spike slow the decay of the kernel's eigenvalues, c λ_j(0) ≤ λ_j(B)? Writes table.md beside this file.

The j-th eigenvalues, counted with multiplicity, of kernels of equal A with and without the spike, for the ten thousand
largest. Run it as a script with the package installed. Takes seconds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rmtfl.kernel.mercer import mercer
from rmtfl.kernel.spectrum import SpikedKernel
from rmtfl.links import parse

LINKS, DIMENSIONS, RATIOS, COUNT = ("relu(x)", "erf(x)", "tanh(x)"), (30, 300), (0.1, 1.0, 10.0), 10_000
HEAD = ("activation", "d", "B/d", "least ratio", "at j =", "ratio at j = 1", "at j = 100", "at j = 10000")


def leading(link: str, dimension: int, spike: float) -> np.ndarray:
    """The largest eigenvalues, with multiplicity, descending: (COUNT,)."""
    found = mercer(SpikedKernel(parse(link), dimension, 1.0, spike), COUNT)
    order = np.argsort(-found.eigenvalues)
    counts = np.minimum(found.multiplicities[order], COUNT).astype(int)
    return np.repeat(found.eigenvalues[order], counts)[:COUNT]


def main() -> None:
    """Compute every row."""
    lines = [f"| {' | '.join(HEAD)} |", f"| --- |{' ---: |' * (len(HEAD) - 1)}"]
    for link in LINKS:
        for d in DIMENSIONS:
            bare = leading(link, d, 0.0)
            for spike in RATIOS:
                ratio = leading(link, d, spike * d) / bare
                at = int(ratio.argmin())
                cells = (link, d, f"{spike:g}", f"{ratio[at]:.3f}", at + 1, *(f"{ratio[j]:.3f}" for j in (0, 99, -1)))
                lines.append(f"| {' | '.join(map(str, cells))} |")
    Path(__file__).with_name("table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
