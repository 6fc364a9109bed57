"""What of a law study's row is proved: edges, thresholds, outliers and densities, as enclosures of `rmtfl.certify`.

Nothing is proved here. The semicircle's numbers are closed forms, and have no certificate.
"""

from __future__ import annotations

from typing import Any

from rmtfl import certify
from rmtfl.errors import BadInput
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur
from rmtfl.laws.predict import build_law, points
from rmtfl.laws.study import LawSetup

#: Digits that are proved unless `theory.digits` says otherwise.
DIGITS = 30


def certificate(setup: LawSetup) -> dict[str, Any]:
    """Return the proved numbers of a row as a document: each a decimal string and a radius.

    Raises:
        BadInput: If python-flint is not installed, or the family has no certificate.
        ToleranceNotMet: If a number cannot be proved to the digits asked for.
    """
    law = build_law(setup.law)
    if not isinstance(law, GeneralizedMarchenkoPastur):
        raise BadInput(
            f"key 'law.family': value {setup.law.family}: there is no certificate for it; expected "
            "generalized-marchenko-pastur or marchenko-pastur"
        )
    digits = setup.theory.digits or DIGITS
    population = (law.ratio, *law.forward.given)
    x = points(law, setup.law).tolist()
    edges, thresholds = certify.edges(*population, digits), certify.thresholds(*population, digits)
    outliers = [certify.outlier(*population, spike, digits) for spike in setup.law.spikes]
    return {
        "digits": digits,
        "statement": edges[0].statement,
        "edges": [_document(edge) for edge in edges],
        "thresholds": [_document(point) for point in thresholds],
        "outliers": [
            {
                "spike": found.spike,
                "location": found.location and _document(found.location),
                "overlap": found.overlap and _document(found.overlap),
                "statement": found.statement,
            }
            for found in outliers
        ],
        "density": [
            {"x": place, **_document(value)}
            for place, value in zip(x, certify.density(*population, x, digits), strict=True)
        ],
    }


def _document(found: certify.Enclosure) -> dict[str, Any]:
    return {"value": found.value, "radius": found.radius}
