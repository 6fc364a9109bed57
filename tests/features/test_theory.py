"""The symbolic derivations that the features' formulas rest on."""

import pytest

from theory import features


@pytest.mark.parametrize("check", [features.test_outlier, features.test_widened_gaussian], ids=lambda c: c.__name__)
def test_derivation(check):
    check()
