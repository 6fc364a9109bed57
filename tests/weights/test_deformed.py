"""The deformed bulk: against drawn networks, against laws known otherwise, and in its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.random import SeedSequence

import rmtfl.weights
from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur
from rmtfl.laws.marchenko_pastur import marchenko_pastur
from rmtfl.links import parse
from rmtfl.outliers import RigidBulk
from rmtfl.setup import Setup
from rmtfl.statistics import kolmogorov_distance
from rmtfl.weights import compare, deformed, predict, summary
from rmtfl.weights.deformed import branch, frame, nodes, one_step, pencil, slopes, spectrum, two_steps
from rmtfl.weights.prediction import Bulk
from rmtfl.weights.statistics import statistics
from tests.weights.deformed_networks import Draws, coarse, few_nodes, followed, own_draw, quenched, rigid, setting

CASES = {
    "mu2 and a mean": ("softplus(2*x)", "tanh(x)+1/2", (1.0,), {}),
    "wide, noisy": ("relu(x)", "tanh(x)", (1.5,), {"ratios": (2, "3/2"), "noise": "1/2", "width": 400}),
    "twovalues": ("tanh(x+7/10)", "relu(x)", (1.5,), {"second_layer": "rademacher", "ratios": (1, "1/3")}),
}


@pytest.fixture(scope="module", params=CASES, ids=str)
def drawn(request):
    activation, target, s, changes = CASES[request.param]
    case = setting(activation, target, s, **changes)
    return case, Draws(case), predict(case)


def fine(case):
    return one_step.build(case, statistics(case))


class TestOneStepAgainstNetworks:
    def test_outlier_top_and_alignment(self, drawn):
        _, draws, found = drawn
        assert found.count == 1
        location, top = float(found.outliers[0].location), float(found.bulk.top)
        draws.assert_mean(draws.values[:, 0], location, 0.01 * location)
        draws.assert_mean(draws.values[:, 1], top, 0.01 * top)
        draws.assert_mean(draws.aligned[:, 0], float(found.outliers[0].alignment), 0.01)

    def test_network_by_network(self, drawn):
        _, draws, _ = drawn
        found = [branch.follow(built, 50.0) for built in draws.quenched]
        assert all(len(one.outliers) == 1 for one in found)
        locations = np.array([one.outliers[0].location for one in found])
        assert locations == pytest.approx(draws.values[:, 0], rel=0.03)
        assert np.mean(locations / draws.values[:, 0]) == pytest.approx(1, abs=0.015)
        overlaps = np.array([one.outliers[0].alignment for one in found])
        assert np.mean(overlaps - draws.aligned[:, 0]) == pytest.approx(0, abs=0.012)

    @pytest.mark.parametrize("zeta", [1.5 + 0.25j])
    def test_resolvent_at_complex_z(self, drawn, zeta):
        _, draws, _ = drawn
        z = zeta**2
        predicted = np.array([pencil.at(built, z).m for built in draws.quenched])
        measured = draws.resolvent(z, 1)
        dimension = draws.values.shape[1]
        assert np.max(np.abs(measured - predicted) / np.abs(predicted)) < 8 / dimension
        assert abs(np.mean(measured - predicted) / np.mean(predicted)) < 4 / dimension

    def test_density_is_that_of_the_bulk(self, drawn):
        case, draws, found = drawn
        edge = float(found.bulk.upper)
        s = np.linspace(1e-3, 1.02 * edge, 120)
        density = spectrum.density(fine(case), s, 4e-3)
        mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(s))])
        distances = [kolmogorov_distance(v[1:], lambda x: np.interp(x, s, mass / mass[-1])) for v in draws.values]
        assert mass[-1] == pytest.approx(1, abs=0.02)
        assert np.mean(distances) < 5 / draws.values.shape[1]

    def test_the_rigid_bulk_is_off(self, drawn):
        case, draws, _ = drawn
        assert abs(draws.values[:, 1].mean() / rigid(case).bulk.top - 1) > 0.03


class TestFrame:
    """Q in the directions of β and b, from the matrices of a batch that was drawn, against the frame's inverse."""

    @pytest.mark.parametrize("ratio", [1, "1/3"])
    def test_resolvent_in_the_frame(self, ratio):
        case = setting("tanh(x+7/10)", "relu(x)", (2.0,), ratios=(1, ratio), second_layer="rademacher")
        seed = SeedSequence(11, spawn_key=(0,))
        built, stats = quenched(case, seed), statistics(case)
        samples, dimension = case.sizes.samples, case.sizes.dimension
        _, X, y = own_draw(case, seed)
        point = pencil.at(built, (1.2 * branch.follow(built, 50.0).edge) ** 2 + 1e-9j)
        real = pencil.at_stieltjes(built, point.m.real, point.unknowns.real)
        p0, p1, p2 = built.powers @ real.load
        M, M2 = (X.T @ (power[:, None] * X) / samples for power in (y, y * y))
        covariance = 2 * p1 * stats.mu2 * M + p2 * stats.mu2**2 * M @ M + p2 * built.rest * stats.phi * M2
        Q = np.linalg.inv(covariance + (p0 - real.z.real) * np.eye(dimension))
        assert np.trace(Q) / dimension == pytest.approx(real.G[0, 0], rel=5e-3)
        across = X.T @ y
        across[0] = 0
        frame_vectors = np.column_stack([np.eye(dimension)[0], across / np.linalg.norm(across)])
        E = np.linalg.inv(frame._frame_matrix(built, real))[::2, ::2]
        assert frame_vectors.T @ Q @ frame_vectors == pytest.approx(E, abs=0.05 * abs(E[1, 1]))


TWO_STEPS = {
    "tanh": ("tanh(x+7/10)", "tanh(x)", (1.0, 1.5), {}),
    "relu": ("relu(x)", "tanh(x)", (1.0, 1.0), {"ratios": ("3/2", 2), "noise": "1/4"}),
}


class TestTwoIndependentSteps:
    @pytest.mark.parametrize("name", TWO_STEPS)
    def test_against_networks(self, name, monkeypatch):
        few_nodes(monkeypatch)
        activation, target, s, changes = TWO_STEPS[name]
        case = setting(activation, target, s, **changes)
        draws, built = Draws(case, own=False), coarse(case)
        outliers, top = followed(case, built)
        assert len(outliers) == 2
        for index, (found, allowance) in enumerate(zip(outliers, (0.015, 0.03), strict=True)):
            draws.assert_mean(draws.values[:, index], found.location, allowance * found.location)
            draws.assert_mean(draws.aligned[:, index], found.alignment, 0.012)
        draws.assert_mean(draws.values[:, 2], top, 0.03 * top)
        z = (1.5 + 0.3j) ** 2
        predicted, measured = pencil.at(built, z).m, draws.resolvent(z, 2)
        draws.assert_mean(measured.real, predicted.real, 0.006)
        draws.assert_mean(measured.imag, predicted.imag, 0.006)

    @pytest.mark.parametrize(
        ("activation", "noise", "law"), [("relu(x)", "1/2", "gaussian"), ("softplus(2*x)", 0, "rademacher")]
    )
    def test_either_step_alone_is_one_step(self, activation, noise, law):
        changes = {"ratios": (1, "3/2"), "noise": noise, "second_layer": law}
        alone = setting(activation, "tanh(x)+1/2", (1.0,), **changes)
        known = branch.follow(fine(alone), 40.0)
        for s in ((1.0, 1e-6), (1e-6, 1.0)):
            case = setting(activation, "tanh(x)+1/2", s, **changes)
            found = branch.follow(coarse(case), 40.0)
            assert found.edge == pytest.approx(known.edge, rel=5e-3)
            assert found.outliers[0].location == pytest.approx(known.outliers[0].location, rel=5e-3)
            assert found.outliers[0].alignment == pytest.approx(known.outliers[0].alignment, abs=6e-3)

    @pytest.mark.parametrize("slope", ["tanh(x)**2", "sign(x)+x", "relu(x)"])
    def test_moments_of_a_slope(self, slope):
        link, mean, spread = parse(slope), np.array([-0.7, 0.0, 1.3]), np.array([0.4, 1.0, 1.7])
        found = slopes.moments(link, mean, spread)
        t = np.linspace(-9, 9, 400_001)
        weight = np.exp(-t * t / 2) * (t[1] - t[0]) / math.sqrt(2 * math.pi)
        values = link.numpy()(mean[:, None] + spread[:, None] * t)
        first, linear = values @ weight, values @ (weight * t) / spread
        assert found.mean == pytest.approx(first, abs=1e-4)
        assert found.linear == pytest.approx(linear, abs=1e-4)
        assert found.rest == pytest.approx((values**2) @ weight - first**2 - (spread * linear) ** 2, abs=1e-3)

    def test_separation_is_exact_for_a_function_of_small_rank(self):
        a, x = np.linspace(-3, 3, 200), np.linspace(-1, 1, 50)

        def function(at):
            return np.exp(-(at[:, None] ** 2) / 9) * x + np.cos(at[:, None]) * x**2

        at = slopes.grid(a)
        found = slopes.separate(function(at), at, a, 1e-9, 5)
        assert found.rank == 2
        assert found.left @ found.right == pytest.approx(function(a), abs=1e-8)


class TestLawsKnownOtherwise:
    def test_an_odd_activation_and_labels_of_modulus_one(self):
        # μ₂ = 0, |y| = 1, ā = ±1: every row has the covariance 1 + s² v φ X^T X/n, whatever the signs of y.
        case = setting("tanh(x)", "sign(x)", (2.0,), width=300, ratios=("3/2", 2), second_layer="rademacher")
        stats = statistics(case)
        u = (np.arange(1000) + 0.5) / 1000
        law = marchenko_pastur(stats.phi)
        grid = np.linspace(*law.support[0], 40001)
        wishart = np.interp(u, law.cdf(grid), grid)
        atoms = 1 + 4.0 * stats.v1 * stats.phi * wishart
        known = GeneralizedMarchenkoPastur(1 / stats.psi, atoms, np.full(1000, 1 / 1000))
        lower, upper = (math.sqrt(stats.psi * end) for end in (known.support[0][0], known.support[-1][1]))
        found = predict(case).bulk
        assert found.upper == pytest.approx(upper, rel=1e-4)
        assert found.lower == pytest.approx(lower, rel=1e-4)
        z = (1.3 + 0.1j) ** 2
        transform = known.stieltjes(np.array([z / stats.psi]))[0] / stats.psi
        assert pencil.at(fine(case), z).m == pytest.approx(transform, rel=1e-5)

    def test_the_lower_edge_is_not_passed_in_one_step_of_a_narrow_bulk(self):
        # In [0.9, 1.1] a step below the bulk ends above it.
        case = setting(s=(0.01,), width=4000, ratios=("1/100", "1/2"), alpha=["1/4"])
        assert predict(case).bulk.lower == pytest.approx(0.9, rel=1e-4)

    @pytest.mark.parametrize("ratio", ["1/2", 1, 3])
    def test_no_step_gives_back_the_rigid_bulk(self, ratio):
        case = setting(s=(0.01,), width=10**5, ratios=(ratio, 1), alpha=["1/4"])
        found, old = predict(case), rigid(case)
        assert found.bulk.upper == pytest.approx(old.bulk.upper, rel=1e-4)
        assert found.bulk.lower == pytest.approx(old.bulk.lower, rel=1e-4)
        assert found.count == old.count == 1
        # The network's own output takes 2 s μ₁² from the square of the strength, to first order.
        bulk, strength = RigidBulk(float(case.sizes.psi)), old.spikes[0].strength
        reduced = math.sqrt(strength**2 - 2 * 0.01 * statistics(case).mu1 ** 2)
        overlap = bulk.right_overlap(reduced) / bulk.right_overlap(strength) * (strength / reduced) ** 2
        assert found.outliers[0].location == pytest.approx(bulk.location(reduced), rel=1e-4)
        assert found.outliers[0].alignment == pytest.approx(old.outliers[0].alignment * overlap, rel=1e-3)

    def test_rows_that_only_gain_variance_at_the_top(self):
        # N = 2 nodes: with no labels' spread the rigid edge is only rescaled by the noise. μ₂ = 0, φ → 0.
        case = setting("tanh(x)", "sign(x)", (1.0,), width=400, ratios=(1, 2000), second_layer="rademacher")
        stats = statistics(case)
        scale = math.sqrt(1 + stats.v1 * stats.phi)
        assert predict(case).bulk.upper == pytest.approx(2 * scale, rel=2e-3)

    def test_the_limit_has_a_rigid_bulk(self):
        case = setting(s=(1.0, 1.0), width=400)
        limit = case.model_copy(update={"sizes": case.sizes.model_copy(update={"width": "limit"})})
        assert predict(limit).bulk.upper == 2.0


class TestOutliersOfCovarianceType:
    CASE = ("x**2", "tanh(x)**2", (1.0,))

    def test_is_found_without_a_mean_row(self):
        case = setting(*self.CASE, width=1200, ratios=(4, 16), second_layer="rademacher")
        found = predict(case)
        assert found.spikes == () and found.count == 1
        assert found.outliers[0].alignment > 0.2

    def test_is_in_the_bulk_with_few_samples(self):
        assert predict(setting(*self.CASE, width=400, second_layer="rademacher")).count == 0


class TestNodes:
    def test_merged_nodes_have_the_moments_of_all(self):
        for count in (150, 1000, 50_000):
            u, weight = nodes.ranks(count)
            every = (np.arange(count) + 0.5) / count
            assert weight.sum() == pytest.approx(1, abs=1e-14)
            assert weight @ u**2 == pytest.approx(np.mean(every**2), abs=1e-6)
            assert weight @ np.log(u) == pytest.approx(np.mean(np.log(every)), rel=1e-6)

    def test_few_are_whole(self):
        assert np.array_equal(nodes.ranks(100)[0], (np.arange(100) + 0.5) / 100)

    @pytest.mark.parametrize("law", ["gaussian", "uniform", "rademacher"])
    def test_second_layer_has_unit_variance(self, law):
        a, weight = nodes.second_layer(law, 700)
        assert weight @ a == pytest.approx(0, abs=1e-14)
        assert weight @ a**2 == pytest.approx(1, rel=1e-14)

    def test_noisy_labels_have_the_moments_of_their_law(self):
        case = setting("tanh(x)", "x", noise=2)
        found = nodes.labels(case, 5000)
        # y = z + 2ε: E[z | y] = y/5, Var[z | y] = 4/5.
        assert found.weight @ found.y**2 == pytest.approx(5, rel=2e-3)
        inner = np.abs(found.y) < 5
        assert found.z1[inner] == pytest.approx(found.y[inner] / 5, abs=2e-3)
        assert (found.z2 - found.z1**2)[inner] == pytest.approx(0.8, abs=5e-3)

    def test_labels_that_are_noise_alone(self):
        _, _, y = two_steps.lattice(setting("tanh(x)", "1", s=(0.5, 0.5), noise=2), two_steps.FINE)
        assert np.mean(y) == pytest.approx(1, abs=1e-12)
        assert np.var(y) == pytest.approx(4, rel=1e-12)

    def test_merging_does_not_move_what_is_predicted(self, monkeypatch):
        case = setting(s=(1.5,), width=300)
        merged = predict(case)
        monkeypatch.setattr(nodes, "WHOLE", 1000)
        whole = predict(case)
        assert merged.bulk.upper == pytest.approx(whole.bulk.upper, rel=2e-6)
        gap = abs(merged.outliers[0].location - whole.outliers[0].location)
        assert gap <= merged.outliers[0].error


class TestTop:
    def test_half_a_singular_value_lies_above_it(self):
        case = setting(s=(1.0,), width=400)
        built, found = fine(case), predict(case).bulk
        s = np.linspace(found.top, 1.01 * found.upper, 150)
        assert 400 * np.trapezoid(spectrum.density(built, s, 1e-4), s) == pytest.approx(0.5, abs=0.05)

    def test_of_the_rigid_bulk(self):
        # MP at ψ = 1: the density of singular values is √(4 - s²)/π, of which (4/3π) x^{3/2} lies within x of the end.
        case = setting(s=(1e-4,), width=1000)
        x = (3 * math.pi / 8 / 1000) ** (2 / 3)
        assert predict(case).bulk.top == pytest.approx(2 - x, rel=3e-4)


class TestRefusals:
    def test_leading_order(self):
        with pytest.raises(BadInput, match=r"theory\.order"):
            predict(setting(order="leading"))

    def test_too_wide(self):
        with pytest.raises(BadInput, match=r"sizes\.width.*at most 1000000"):
            predict(setting(width=10**7))

    def test_a_tolerance_out_of_reach(self):
        with pytest.raises(ToleranceNotMet, match=r"theory\.tolerance"):
            predict(setting(tolerance=1e-9))

    def test_ends_of_the_bulk_that_are_not_known(self):
        with pytest.raises(ToleranceNotMet, match="its ends are known to 2"):
            deformed._check(setting(tolerance=0.1), Bulk(0.0, 312.0, 300.0, 72.6), ())

    def test_an_iteration_that_does_not_converge(self, monkeypatch):
        monkeypatch.setattr(pencil, "REAL_STEPS", 1)
        with pytest.raises(ToleranceNotMet, match="does not converge"):
            branch.follow(fine(setting()), 20.0)


@pytest.fixture(scope="module")
def small():
    return predict(setting(width=300))


@pytest.fixture(scope="module")
def judged(small):
    case = setting(width=300)
    draws = Draws(case, 3, own=False)
    trials = {"singular_values": draws.values[:, :8], "alignments": draws.aligned[:, :8]}
    return {quantity.name: quantity for quantity in compare.quantities(case, small.as_json(), trials)}


class TestVerdict:
    def test_all_is_judged(self, judged):
        names = {name for name, quantity in judged.items() if quantity.judged}
        assert names == {"outlier 1", "alignment 1", "top of the bulk", "outliers observed"}

    def test_the_top_is_compared_with_the_first_value_of_the_bulk(self, judged):
        top = judged["top of the bulk"]
        assert top.allowance == pytest.approx(0.02 * top.prediction)
        assert all(1.5 < value < 3 for value in top.sample)

    def test_heavy_tails_are_named(self):
        case = setting("tanh(x)", "He3(x)", width=300)
        found = predict(case).as_json()
        quantities = {q.name: q for q in compare.quantities(case, found, {})}
        assert "heavy-tailed" in quantities["top of the bulk"].reason
        assert "heavy-tailed" in summary.summary(case, found).notes[-1]

    def test_spikes_that_are_out_of_reach_are_left_out(self, small, monkeypatch):
        case = setting(width=300)

        def refuse(*_):
            raise ToleranceNotMet("too much work")

        monkeypatch.setattr(rmtfl.weights, "finite_rank", refuse)
        found = predict(case)
        assert found.spikes == ()
        assert found.outliers[0].location == pytest.approx(small.outliers[0].location)
        with pytest.raises(ToleranceNotMet):
            rigid(case)

    def test_the_top_has_an_error_that_nodes_explain(self, monkeypatch):
        few_nodes(monkeypatch)
        case = setting("tanh(x+7/10)", "tanh(x)", (1.0, 1.0), width=300, second_layer="rademacher")
        found = predict(case)
        assert 0 < found.bulk.error < 0.02
        built = two_steps.Independent(case, statistics(case), two_steps.OTHER)
        assert abs(branch.follow(built, 30.0).edge - found.bulk.upper) <= found.bulk.error


def test_rigid_bulk_stays_the_default():
    assert setting().theory.bulk == "deformed"
    case = replace_theory(setting(), {})
    assert case.theory.bulk == "rigid"
    assert predict(case).bulk.top == RigidBulk(1.0).upper


def replace_theory(case, theory):
    document = case.model_dump(mode="json")
    document["theory"] = theory
    return Setup.model_validate(document)


class TestSummary:
    def test_the_typical_top_stands_beside_the_edge(self, small):
        case, found = setting(width=300), small.as_json()
        assert found["bulk"]["top"] < found["bulk"]["upper"]
        assert "largest singular value typically" in summary.summary(case, found).notes[0]

    def test_an_outlier_without_a_spike_has_a_line(self):
        case = setting(*TestOutliersOfCovarianceType.CASE, width=1200, ratios=(4, 16), second_layer="rademacher")
        found = predict(case)
        (line,) = summary.summary(case, found.as_json()).rows
        assert line[1].value == "none"
        assert float(line[3].value) == pytest.approx(found.outliers[0].location, rel=1e-2)
