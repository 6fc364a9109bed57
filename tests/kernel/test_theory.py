"""The symbolic derivations that the kernel's formulas rest on."""

import pytest

from theory import spiked_duals, spiked_spectrum


@pytest.mark.parametrize(
    "check",
    [
        spiked_duals.test_price_theorem_along_the_recurrence,
        spiked_duals.test_point_mass_recurrence,
        spiked_duals.test_generating_equation,
        spiked_spectrum.test_rodrigues,
        spiked_spectrum.test_determinant,
    ],
    ids=lambda check: check.__name__,
)
def test_derivation(check):
    check()
