"""Intervals, scales of noise, and rates: against other code, sampled matrices and gaps of a known rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rmtfl.laws.marchenko_pastur import marchenko_pastur
from rmtfl.laws.views import SingularValues
from rmtfl.statistics import (
    LEVEL,
    binomial_interval,
    fit_power_law,
    kolmogorov_distance,
    noise_distance,
    top_of_noise,
)


@pytest.mark.parametrize(("successes", "draws"), [(0, 1), (1, 1), (0, 8), (7, 8), (8, 8), (130, 1000)])
def test_the_binomial_interval_is_the_exact_one(successes, draws):
    expected = stats.binomtest(successes, draws).proportion_ci(1 - LEVEL, method="exact")
    assert binomial_interval(successes, draws) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("values", [[0.3], [0.9, 0.1, 0.15], [0.5, 0.6, 0.99, 0.2, 0.4]])
def test_the_distance_is_kolmogorovs(values):
    assert kolmogorov_distance(values, lambda x: x) == pytest.approx(stats.kstest(values, "uniform").statistic)


@pytest.mark.parametrize(("width", "dimension"), [(60, 60), (120, 40)])
def test_the_scales_of_sampled_noise(width, dimension):
    rng = np.random.default_rng(8)
    draws = 500
    matrices = rng.standard_normal((draws, width, dimension)) / math.sqrt(dimension)
    spectra = np.linalg.svd(matrices, compute_uv=False)
    tops = spectra[:, 0]
    expected = top_of_noise(width, dimension)
    assert abs(tops.mean() - expected.mean) < 4 * tops.std() / math.sqrt(draws) + 0.1 * expected.sd
    assert tops.std() == pytest.approx(expected.sd, rel=4 / math.sqrt(2 * draws) + 0.1)

    ratio = width / dimension
    law = SingularValues(marchenko_pastur(ratio), ratio)
    distances = np.array([kolmogorov_distance(spectrum, law.cdf) for spectrum in spectra])
    noise = noise_distance(spectra.shape[1])
    assert abs(distances.mean() - noise.mean) < 4 * distances.std() / math.sqrt(draws) + 0.1 * noise.sd
    assert distances.std() == pytest.approx(noise.sd, rel=4 / math.sqrt(2 * draws) + 0.1)
    beyond = 0.05
    assert abs(np.mean(distances > noise.quantile) - beyond) < 4 * math.sqrt(beyond * (1 - beyond) / draws)


def test_independent_draws_would_be_far_from_the_law():
    count = 400
    uniform = np.random.default_rng(1).random((50, count))
    assert np.mean([kolmogorov_distance(u, lambda x: x) for u in uniform]) > 4 * noise_distance(count).mean


class TestRates:
    widths = (250, 500, 1000, 2000)

    def fits(self, constant, rate, errors, draws=64, studies=1):
        rng = np.random.default_rng(5)
        exact = constant * np.array(self.widths, dtype=float) ** -rate
        gaps = exact + errors * rng.normal(size=(studies, len(exact)))
        return [fit_power_law(self.widths, list(g), [errors] * len(exact), draws) for g in gaps]

    @pytest.mark.parametrize("sign", [-1, 1])
    def test_an_exact_power(self, sign):
        (fit,) = self.fits(sign * 3.0, 0.7, 1e-6)
        assert fit.rate == pytest.approx(0.7, abs=0.01)
        assert fit.freedom == 2
        assert [fit.against(claimed) for claimed in (0.5, 0.7, 0.9)] == ["faster", "consistent", "slower"]

    def test_it_is_the_weighted_fit_of_logarithms_where_gaps_are_resolved(self):
        gaps, errors = np.array([0.70, 0.58, 0.51, 0.45]), np.array([0.01, 0.006, 0.008, 0.01])
        slope, _ = np.polyfit(np.log(self.widths), np.log(gaps), 1, w=gaps / errors)
        fit = fit_power_law(self.widths, list(gaps), list(errors), 64)
        assert fit.rate == pytest.approx(-slope, abs=0.01)

    def test_the_interval_covers(self):
        studies = 400
        found = self.fits(1.0, 0.5, 0.004, draws=10_000, studies=studies)
        missed = np.mean([fit.against(0.5) not in ("consistent", "undetermined") for fit in found])
        assert abs(missed - LEVEL) < 4 * math.sqrt(LEVEL * (1 - LEVEL) / studies)

    def test_no_gap_has_no_rate(self):
        studies = 200
        found = [fit.against(0.5) for fit in self.fits(0.0, 0.5, 0.01, studies=studies)]
        # Two parameters are compared with the quantile of one.
        assert found.count("undetermined") > 0.8 * studies

    def test_few_draws_widen_the_interval(self):
        few, many = (self.fits(1.0, 0.5, 0.002, draws=draws)[0] for draws in (8, 10_000))
        assert few.lower < many.lower < many.rate < many.upper < few.upper
