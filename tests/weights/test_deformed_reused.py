"""Two steps on one batch with the deformed bulk: algebra, moments of a neuron, drawn networks, and limits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.random import SeedSequence

from rmtfl.links import parse
from rmtfl.weights.deformed import branch, frame, neuron, one_step, pencil, reused, slopes
from rmtfl.weights.deformed.bordered import Bordered
from rmtfl.weights.deformed.transfer import Dense
from rmtfl.weights.statistics import statistics
from tests.weights.deformed_networks import Draws, coarse, few_nodes, followed, own_draw, quenched, rigid, setting


class TestBordered:
    """Woodbury's formula against an inverse for every sample."""

    @pytest.mark.parametrize("kind", [float, complex])
    def test_is_the_dense_transfer(self, kind):
        rng = np.random.default_rng(3)
        L, K, D, part = 4, 3, 6, np.array([3, 4, 5])
        labelled = 0.3 * rng.standard_normal((L, 3, 3)).astype(kind)
        border, corner = 0.3 * rng.standard_normal((L, K, D)), rng.random((L, K))
        G = np.eye(D) + 0.2 * rng.standard_normal((D, D))
        if kind is complex:
            G = G + 0.3j * rng.standard_normal((D, D))
        border[:, :, 0] = 0
        T = np.zeros((L * K, D, D), dtype=kind)
        T[:, 3:, 3:] = np.repeat(labelled, K, axis=0)
        T[:, 0, :] += border.reshape(-1, D)
        T[:, :, 0] += border.reshape(-1, D)
        T[:, 0, 0] += corner.ravel()
        weight, factor = rng.random(L * K), rng.standard_normal(L * K)
        found = Bordered(part, labelled, border, corner).transfer(weight, 0.7, G)
        dense = Dense(T, weight, 0.7, G)
        for one, other in zip(found.full(), dense.full(), strict=True):
            assert one == pytest.approx(other)
        assert found.mean() == pytest.approx(dense.mean())
        assert found.mean(factor) == pytest.approx(dense.mean(factor))
        assert found.seen_mean(factor) == pytest.approx(np.einsum("j,jab->ab", weight * factor, dense.R))
        assert found.seen_corner == pytest.approx(dense.R[:, 0, 0])
        column = np.einsum("j,ja->a", weight * factor, dense.R[:, :, 0])
        assert found.seen_column(factor[None])[0] == pytest.approx(column)
        determinants = np.real(np.linalg.det(dense.J))
        assert found.physical == dense.physical == bool(np.all(determinants > 0))
        assert 1 / np.linalg.det(dense.J) == pytest.approx(
            (np.linalg.det(found.inner)[:, None] * found.determinant).ravel()
        )


class TestNeuron:
    @pytest.mark.parametrize("activation", ["tanh(x+7/10)", "relu(x)", "relu(x)*x+abs(x-1/2)"])
    def test_moments_against_a_sum_over_both_variables(self, activation):
        case = setting(activation, "relu(x)", (1.0, 1.0), batches="reused", ratios=(1, 2))
        stats, link = statistics(case), parse(activation)
        shift, G, y = np.array([-1.7, 0.4]), np.array([-0.8, 1.1]), np.array([0.0, 1.3])
        found = neuron.moments(link, stats, shift, G, y)
        h = np.linspace(-8, 8, 3202)
        weight = np.exp(-h * h / 2) * (h[1] - h[0]) / math.sqrt(2 * math.pi)
        both = np.multiply.outer(weight, weight)
        value, slope = link.numpy(), link.derivative().numpy()
        for i, S in enumerate(shift):
            kappa, spread = 1 + S * stats.c0 * stats.mu2, abs(S) * stats.specific
            for j in range(2):
                own = kappa * h + S * (stats.mu1 * G[j] + stats.phi * y[j] * slope(h))
                after = own[:, None] + spread * h
                after_slope = slope(after)
                brute = [
                    np.sum(both * value(after)),
                    np.sum(both * after_slope),
                    weight @ (h * (after_slope @ weight)),
                    weight @ (after_slope @ (weight * h)) / spread,
                    np.sum(both * after_slope**2),
                    weight @ (slope(h) * (after_slope @ weight)),
                    weight @ (h * (value(after) @ weight)),
                    weight @ (slope(h) * (value(after) @ weight)),
                    np.sum(both * value(after) ** 2),
                    np.sum(both * value(after) * after_slope),
                ]
                mine = [x[i, j] for x in vars(found).values()]
                assert mine == pytest.approx(brute, abs=3e-3)

    def test_functions_with_a_kink_at_zero_are_interpolated_on_either_side(self):
        a = np.linspace(-3, 3, 100)
        at = slopes.grid(a, cut=True)
        values = np.column_stack([np.abs(at) + at**2, np.exp(at)])
        expected = np.column_stack([np.abs(a) + a**2, np.exp(a)])
        assert slopes.interpolate(values, at, a, cut=True) == pytest.approx(expected, abs=1e-6)


class TestSamples:
    @pytest.mark.parametrize("noise", [0, "1/2"])
    def test_have_the_moments_of_a_batch(self, noise):
        case = setting("tanh(x)", "tanh(x)", (1.0, 1.0), batches="reused", noise=noise)
        stats, found = statistics(case), reused.samples(case, reused.FINE)
        label = found.weight.sum(axis=1)
        assert label.sum() == pytest.approx(1)
        assert label @ found.y == pytest.approx(stats.c0, abs=1e-3)
        assert label @ found.y**2 == pytest.approx(stats.m2, rel=5e-3)
        assert np.sum(found.weight * found.y[:, None] * found.z) == pytest.approx(stats.c1, rel=5e-3)
        assert np.sum(found.weight * found.g**2) == pytest.approx(1)
        assert np.sum(found.weight * (found.g * found.z) ** 2) == pytest.approx(1, abs=0.02)


class TestResolvent:
    """Q, its entries in the frame and on the mean rows' vectors, from the matrices of a batch that was drawn."""

    @pytest.mark.parametrize("activation", ["tanh(x+7/10)", "relu(x)"])
    def test_against_matrices(self, activation):
        case = setting(
            activation, "relu(x)", (1.0, 1.0), batches="reused", width=500, ratios=(1, "3/2"), second_layer="rademacher"
        )
        seed = SeedSequence(11, spawn_key=(0,))
        mine, (_, X, y) = quenched(case, seed), own_draw(case, seed)
        count, dimension = X.shape
        found = pencil.at_stieltjes(mine, -1 / 40.0)
        stats, load = mine.stats, found.load

        def matrix(values):
            return X.T @ (values[:, None] * X) / count

        rest, S = stats.v1 - stats.mu2**2, mine.powers[1]
        M, M2, one = matrix(y), matrix(y * y), np.eye(dimension)
        alpha = mine.e[:, 1:] @ mine.border[:, 0, mine.dual_e[1:]].T
        beta = mine.f @ mine.border[:, 0, mine.dual_f].T
        total = np.zeros((dimension, dimension))
        # The two values of ā are all there is.
        for i in (int(np.argmin(S)), int(np.argmax(S))):
            B = matrix(beta[i])
            A = one + matrix(alpha[i]) + B @ (one + S[i] * stats.mu2 * M)
            C = matrix((mine.crossed.left @ mine.crossed.right)[i])
            noise = matrix((mine.noise.left @ mine.noise.right)[i])
            covariance = A @ A.T + S[i] ** 2 * rest * stats.phi * B @ M2 @ B
            covariance += stats.phi * (B @ C + C @ B + noise)
            total += load[S[i] == S].sum() * covariance
        Q = np.linalg.inv(total - found.z.real * one)
        assert np.trace(Q) / dimension == pytest.approx(found.m.real, rel=5e-3)
        across = X.T @ y
        across[0] = 0
        axes = np.column_stack([one[0], across / np.linalg.norm(across)])
        E = np.linalg.inv(frame._frame_matrix(mine, found))
        assert axes.T @ Q @ axes == pytest.approx(E[:: mine.size, :: mine.size], abs=0.03 * abs(E[0, 0]))
        V = np.column_stack([X.T @ y / count, X.T @ mine.curves.values[:3].T / count])
        # With 𝒦 = 1 the vectors themselves are seen.
        mine.coefficients, mine.dimension, mine.output = np.eye(mine.coefficients.shape[1]), 1, None
        left, right, base = frame._vectors(mine, replace(found, load=np.ones(mine.coefficients.shape[0])))
        inner = (left @ E @ right + base)[:4, :4]
        scale = np.sqrt(np.abs(np.diag(inner)))
        assert V.T @ Q @ V / scale / scale[:, None] == pytest.approx(inner / scale / scale[:, None], abs=0.04)


CASES = {
    "tanh": ("tanh(x+7/10)", "relu(x)", (0.5, 1.5), {"second_layer": "uniform", "ratios": (1, "3/2")}),
    "relu, noisy": ("relu(x)", "tanh(x)", (1.0, 1.0), {"ratios": ("3/2", 2), "noise": "1/4"}),
    "odd": ("tanh(x)", "tanh(x)", (1.0, 1.5), {"second_layer": "rademacher"}),
}


@pytest.mark.parametrize("name", CASES)
def test_against_networks(name, monkeypatch):
    few_nodes(monkeypatch)
    activation, target, s, changes = CASES[name]
    case = setting(activation, target, s, batches="reused", **changes)
    draws, mine = Draws(case, own=False), coarse(case)
    outliers, top = followed(case, mine)
    assert outliers
    for index, outlier in enumerate(outliers):
        draws.assert_mean(draws.values[:, index], outlier.location, (0.015, 0.03)[index] * outlier.location)
        draws.assert_mean(draws.aligned[:, index], outlier.alignment, 0.012)
    draws.assert_mean(draws.values[:, len(outliers)], top, 0.03 * top)
    z = (1.5 + 0.3j) ** 2
    predicted, measured = pencil.at(mine, z).m, draws.resolvent(z, len(outliers))
    draws.assert_mean(measured.real, predicted.real, 0.006)
    draws.assert_mean(measured.imag, predicted.imag, 0.006)


class TestLimits:
    @pytest.mark.parametrize(("activation", "law"), [("relu(x)", "gaussian"), ("softplus(2*x)", "rademacher")])
    @pytest.mark.parametrize("s", [(1.0, 1e-5), (1e-5, 1.0)])
    def test_either_step_alone_is_one_step(self, activation, law, s, monkeypatch):
        few_nodes(monkeypatch)
        changes = {"ratios": (1, "3/2"), "second_layer": law}
        alone = setting(activation, "tanh(x)+1/2", (1.0,), **changes)
        known = branch.follow(one_step.build(alone, statistics(alone)), 40.0)
        found = branch.follow(coarse(setting(activation, "tanh(x)+1/2", s, batches="reused", **changes)), 40.0)
        assert found.edge == pytest.approx(known.edge, rel=5e-3)
        assert found.outliers[0].location == pytest.approx(known.outliers[0].location, rel=5e-3)
        assert found.outliers[0].alignment == pytest.approx(known.outliers[0].alignment, abs=6e-3)

    def test_small_steps_give_back_the_rigid_prediction(self):
        case = setting("tanh(x+7/10)", "tanh(x)", (0.02, 0.03), batches="reused", width=10**5)
        found, old = branch.follow(coarse(case), 50.0), rigid(case)
        assert len(found.outliers) == old.count
        assert found.edge == pytest.approx(old.bulk.upper, rel=2e-3)
        for one, other in zip(found.outliers, old.outliers, strict=True):
            assert one.location == pytest.approx(other.location, rel=5e-3)
            assert one.alignment == pytest.approx(other.alignment, abs=5e-3)

    def test_correlation_loss_takes_the_labels_for_the_residuals(self):
        case = setting("tanh(x)", "tanh(x)", (1.0, 1.0), batches="reused", width=200, second_layer="rademacher")
        training = case.training.model_copy(update={"loss": "correlation"})
        found = branch.follow(coarse(case.model_copy(update={"training": training})), 40.0)
        assert found.outliers[0].location > 1.05 * branch.follow(coarse(case), 40.0).outliers[0].location
