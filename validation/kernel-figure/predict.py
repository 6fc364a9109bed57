"""Both panels of figure 1 of arXiv 2605.17718 from theory alone: writes figure.json beside this file.

The published values were read off the plots. Not stated there are the label noise, the sample count of panel (a) and
the samples of each cross-validation; here the noise is scanned, and the ridge is the best of the list at all n samples.
"""

from __future__ import annotations

import json
from pathlib import Path

from rmtfl.kernel.learning import learning_curve, regression
from rmtfl.kernel.matrices import kernel_matrix
from rmtfl.kernel.spectrum import SpikedKernel
from rmtfl.links import parse

DIMENSIONS, SIZES = (50, 100, 200, 400, 800), (50, 200, 800, 3200)
MIXING = {
    0.5: (0.089, 0.078, 0.046, 0.012, 0.013),
    0.7: (0.147, 0.175, 0.140, 0.068, 0.077),
    0.9: (0.196, 0.247, 0.235, 0.173, 0.205),
}
REGRESSION = {
    "isotropic": (33.7, 29.0, 20.5, 16.5),
    "p = 0.3": (17.9, 13.7, 10.8, 8.8),
    "p = 0.7": (10.0, 9.2, 8.6, 8.2),
}
KERNELS = {"isotropic": (1.0, 0.0), "p = 0.3": (1.2, 5 * 300**0.3), "p = 0.7": (1.2, 5 * 300**0.7)}
TARGET, RIDGES = "2*x**2 + 3*x + 4*sin(2*x)", [10.0**k for k in range(-3, 4)]


def main() -> None:
    """Predict both panels."""
    relu = parse("relu(x)")
    panel_a = []
    for power, published in MIXING.items():
        predicted = {}
        for samples in (500, 1000, 2000, 10**9):
            row = []
            for d in DIMENSIONS:
                matrix = kernel_matrix(SpikedKernel(relu, d, 1.2, 5 * d**power, "gaussian"), samples)
                row.append(round(float(matrix.harmonic_overlaps(matrix.outliers[0], 3)[2]), 4))
            predicted["operator" if samples == 10**9 else f"n = {samples}"] = row
        panel_a.append({"p": power, "published": published, "predicted": predicted})
    panel_b = []
    for name, (isotropic, spike) in KERNELS.items():
        kernel = SpikedKernel(relu, 300, isotropic, spike, "gaussian")
        predicted = {}
        for noise in (0.0, 0.5, 1.0):
            curve = learning_curve(regression(kernel, parse(TARGET), noise, max(SIZES)), SIZES, RIDGES)
            predicted[f"noise {noise:g}"] = [round(float(mse), 2) for mse in curve.mse]
        panel_b.append({"kernel": name, "published": REGRESSION[name], "predicted": predicted})
    document = {"panel_a": {"dimensions": DIMENSIONS, "rows": panel_a}, "panel_b": {"samples": SIZES, "rows": panel_b}}
    Path(__file__).with_name("figure.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
