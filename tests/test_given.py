"""Second layers given as numbers: reading, refusing, identity, and what is predicted and simulated with them."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.random import SeedSequence

from rmtfl import given, study
from rmtfl.errors import BadInput
from rmtfl.given import GivenLayer
from rmtfl.montecarlo.weights import train
from rmtfl.setup import Setup
from rmtfl.weights import predict, second_layer
from rmtfl.weights.deformed import nodes
from rmtfl.weights.finite_width import finite_rank
from tests.weights.deformed_networks import setting

VALUES = np.random.default_rng(1).standard_normal(120)
LAYER = GivenLayer("a.npy", VALUES)


def write(folder, name, values=VALUES):
    path = folder / name
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        path.write_text("\n".join(repr(float(value)) for value in values), encoding="utf-8")
    return path


def document(second="file:a.npy", width=120, **tables):
    return {
        "schema": 1,
        "observable": "weights",
        "network": {"activation": "tanh(x)", "second_layer": second},
        "data": {"target": "tanh(x)"},
        "sizes": {"width_ratio": 1, "sample_ratio": 1, "width": width},
        "training": {"batches": "reused", "alpha": ["2/5"], "scale": [2]},
        **tables,
    }


class TestReading:
    @pytest.mark.parametrize("name", ["a.npy", "a.txt", "a.csv"])
    def test_numbers_of_a_file_beside_the_study(self, tmp_path, name):
        write(tmp_path, name)
        (row,) = study.from_document(document(f"file:{name}"), tmp_path / "study.toml").rows
        assert np.array_equal(row.setup.network.second_layer.values, VALUES)
        assert row.inputs["network.second_layer"].startswith(f"file:{name} (sha256 ")

    def test_a_row_is_known_by_the_numbers(self, tmp_path):
        def key():
            return study.from_document(document(), tmp_path / "study.toml").rows[0].key

        write(tmp_path, "a.npy")
        first = key()
        assert key() == first
        write(tmp_path, "a.npy", VALUES[::-1])
        assert key() != first

    def test_the_text_of_a_row_is_read_again_unless_the_file_changed(self, tmp_path):
        write(tmp_path, "a.npy")
        assert given.read(str(LAYER), tmp_path) == LAYER
        write(tmp_path, "a.npy", -VALUES)
        with pytest.raises(ValueError, match="have changed"):
            given.read(str(LAYER), tmp_path)

    def test_copies_keep_the_numbers(self):
        for twin in (copy.deepcopy(LAYER), pickle.loads(pickle.dumps(LAYER))):
            assert twin == LAYER and np.array_equal(twin.values, VALUES)
        with pytest.raises(ValueError, match="read-only"):
            LAYER.values[0] = 1.0

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("none.npy", None, "cannot be read"),
            ("a.npy", b"nonsense", "is not a numeric .npy file"),
            ("a.txt", b"1 two 3", "is not a numeric .txt file"),
            ("a.mat", b"1", "is not a numeric .mat file"),
            ("a.txt", b"1", "holds float64 of shape"),
            ("a.txt", b"1 nan", "holds NaN"),
            ("a.txt", b"3 -3 3 -3", "has mean 0 and root mean square 3"),
            ("a.txt", b" ".join([b"1"] * 100), "has mean 1 "),
        ],
    )
    def test_what_cannot_be_used_is_named(self, tmp_path, name, content, message):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match=rf"key 'network\.second_layer'.*{message}"):
            study.from_document(document(f"file:{name}"), tmp_path / "study.toml")

    def test_nothing_is_unpickled(self, tmp_path):
        np.save(tmp_path / "a.npy", np.array([{}, 1]), allow_pickle=True)
        with pytest.raises(BadInput, match="is not a numeric"):
            study.from_document(document(), tmp_path / "study.toml")

    @pytest.mark.parametrize("second", ["normal", 3, "file:"])
    def test_another_law(self, second):
        with pytest.raises(BadInput, match=r"key 'network\.second_layer'.*expected"):
            study.from_document(document(second), Path("study.toml"))

    @pytest.mark.parametrize("width", [100, [100, 120], "limit"])
    def test_another_width(self, tmp_path, width):
        write(tmp_path, "a.npy")
        with pytest.raises(BadInput, match=r"key .sizes\.width.*expected 120"):
            study.from_document(document(width=width), tmp_path / "study.toml")

    @pytest.mark.parametrize("observable", ["features", "feature-regression"])
    def test_other_observables_refuse_it(self, tmp_path, observable):
        write(tmp_path, "a.npy")
        with pytest.raises(BadInput, match=r"key 'network'.*only weights take one"):
            study.from_document(document() | {"observable": observable}, tmp_path / "study.toml")


class TestLaw:
    @pytest.mark.parametrize("cut", [False, True])
    def test_gauss_rules_have_the_moments_of_the_numbers(self, cut):
        x, weight = second_layer.rule(LAYER, 12, cut=cut)
        assert x.size < VALUES.size
        for power in range(8):
            assert weight @ x**power == pytest.approx(np.mean(VALUES**power), rel=1e-10)
            assert weight @ np.abs(x) ** power == pytest.approx(np.mean(np.abs(VALUES) ** power), rel=1e-10) or not cut

    def test_few_values_are_their_own_rule(self):
        signs = GivenLayer("s.npy", np.tile([1.0, -1.0, 1.0, -1.0], 25))
        assert second_layer.distinct_powers(signs) == 2
        assert finite_rank(setting(s=(0.5, 0.5), width=100, second_layer=signs), 1e-8).strengths == pytest.approx(
            finite_rank(setting(s=(0.5, 0.5), width=100, second_layer="rademacher"), 1e-8).strengths
        )

    @pytest.mark.parametrize("activation", ["tanh(x+7/10)", "relu(x)"])
    def test_spikes_from_a_rule_are_those_of_all_numbers(self, activation, monkeypatch):
        case = setting(activation, "tanh(x)", (0.6, 0.8), width=120, second_layer=LAYER, batches="reused")
        found = finite_rank(case, 1e-6).strengths
        monkeypatch.setattr(second_layer, "_discrete", lambda values, weights, order: (values, weights))
        second_layer._given.cache_clear()
        assert finite_rank(case, 1e-6).strengths == pytest.approx(found, rel=2e-6)
        second_layer._given.cache_clear()

    def test_one_step_knows_the_norm(self):
        case = setting(s=(0.5,), width=120, second_layer=LAYER)
        drawn = setting(s=(0.5,), width=120)
        ratio = finite_rank(case, 1e-8).strengths / finite_rank(drawn, 1e-8).strengths
        assert ratio == pytest.approx(np.sqrt(np.mean(VALUES**2)))

    def test_merged_numbers_have_their_mean_and_variance(self):
        values = np.random.default_rng(2).standard_normal(3001)
        x, weight = nodes.second_layer(GivenLayer("b.npy", values), 3001)
        assert x.size < 400
        assert weight.sum() == pytest.approx(1)
        assert weight @ x == pytest.approx(values.mean(), abs=1e-12)
        assert weight @ x**2 == pytest.approx(np.mean(values**2))
        assert weight @ x**4 == pytest.approx(np.mean(values**4), rel=1e-3)
        assert x.max() == values.max()


class TestOneNetwork:
    def test_is_simulated_with_the_very_same_numbers(self):
        case, seed = setting(s=(1.0,), width=120, second_layer=LAYER), SeedSequence(3)
        # With the labels for residuals no neuron knows of another.
        case = case.model_copy(update={"training": case.training.model_copy(update={"loss": "correlation"})})
        scaled = GivenLayer("b.npy", VALUES * np.array([1.0] * 60 + [-1.0] * 60))
        other = case.model_copy(update={"network": case.network.model_copy(update={"second_layer": scaled})})
        one, two = train(case, seed), train(other, seed)
        assert np.array_equal(one[:60], two[:60]) and not np.allclose(one[60:], two[60:])

    @pytest.mark.parametrize(("s", "batches"), [((1.0,), "reused"), ((1.0, 1.0), "independent")])
    def test_prediction_follows_its_second_layer(self, s, batches):
        gaps, drawn = [], []
        for index in range(3):
            values = np.random.default_rng(index).standard_normal(400)
            layer = GivenLayer("a.npy", values * (1 + 0.2 * (index - 1)))
            case = setting("tanh(x+7/10)", "tanh(x)", s, second_layer=layer, batches=batches)
            top = np.linalg.norm(train(case, SeedSequence(index)), 2)
            gaps.append(float(predict(case).outliers[0].location) / top - 1)
            drawn.append(top)
        assert np.abs(gaps) == pytest.approx(0, abs=0.08)  # the data of 400 samples still fluctuate
        assert np.ptp(drawn) / np.mean(drawn) > 0.2

    def test_a_prediction_outlives_its_text(self):
        case = setting("relu(x)", s=(0.5, 0.5), batches="reused", width=120, second_layer=LAYER, bulk="rigid")
        assert isinstance(case, Setup)
        assert predict(case).count >= 1
