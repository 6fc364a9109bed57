"""Second layers and batches given as numbers: reading, refusing, identity, predictions and simulations with them."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.random import SeedSequence

from rmtfl import given, study
from rmtfl.errors import BadInput
from rmtfl.given import GivenBatches, GivenLayer
from rmtfl.montecarlo.weights import train
from rmtfl.setup import Setup
from rmtfl.weights import predict, second_layer
from rmtfl.weights.deformed import nodes
from rmtfl.weights.finite_width import finite_rank
from tests.test_arrays import HEADER, array_file
from tests.weights.deformed_networks import few_nodes, setting
from tests.weights.deformed_networks import given as one_network

VALUES = np.random.default_rng(1).standard_normal(120)
LAYER = GivenLayer("a.npy", VALUES)
EMPTY_ARCHIVE = b"PK\x05\x06" + bytes(18)


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
            ("a.npy", array_file("{'descr': '<f8', 'shape': (3,"), "is not a numeric .npy file"),
            ("a.npy", array_file(HEADER.replace("3", "10**15")), "is not a numeric .npy file"),
            ("a.npy", array_file(HEADER.replace("3", "1000000000000000")), "does not fit into memory"),
            ("a.npy", EMPTY_ARCHIVE, "holds no single array"),
            ("a.mat", b"1", "has the suffix '.mat'"),
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
        monkeypatch.setattr(second_layer, "discrete_rule", lambda values, weights, order: (values, weights))
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

    def test_few_values_are_their_own_nodes(self):
        signs = GivenLayer("s.npy", np.resize([1.0, -1.0, 1.0], 3000))
        x, weight = nodes.second_layer(signs, 3000)
        assert x.tolist() == [-1, 1] and weight == pytest.approx([1 / 3, 2 / 3])


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
    def test_prediction_follows_its_second_layer(self, s, batches, monkeypatch):
        few_nodes(monkeypatch)
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


N, D, SAMPLES = 60, 60, 90
INPUTS = np.random.default_rng(5).standard_normal((2, SAMPLES, D))
LABELS = np.tanh(INPUTS[:, :, 0])
ONE = {"X": INPUTS[0], "y": LABELS[0]}
TWO = {"X1": INPUTS[0], "y1": LABELS[0], "X2": INPUTS[1], "y2": LABELS[1]}


def trained_on(folder, arrays, **changes):
    """The only row of a study that names a file of these arrays."""
    np.savez(folder / "b.npz", **arrays)
    tables = {
        "data": {"target": "tanh(x)", "batch": "file:b.npz"},
        "sizes": {"width_ratio": 1, "sample_ratio": "3/2", "width": N},
        "theory": {"bulk": "deformed"},
    }
    found = document("gaussian") | {key: table | changes.pop(key, {}) for key, table in tables.items()} | changes
    return study.from_document(found, folder / "study.toml").rows[0]


TWICE = {"alpha": ["1/2"] * 2, "scale": [1, 1]}


class TestBatches:
    def test_one_for_all_steps_or_one_a_step(self, tmp_path):
        kept = trained_on(tmp_path, ONE, training={"batches": "reused"} | TWICE).setup.data.batch
        assert kept.steps == 1 and np.array_equal(kept.batch(1)[0], INPUTS[0])
        fresh = trained_on(tmp_path, TWO, training={"batches": "independent"} | TWICE).setup.data.batch
        for step in range(2):
            inputs, labels = fresh.batch(step)
            assert np.array_equal(inputs, INPUTS[step]) and np.array_equal(labels, LABELS[step])

    def test_a_row_is_known_by_the_numbers(self, tmp_path):
        row = trained_on(tmp_path, ONE)
        assert row.inputs["data.batch"].startswith("file:b.npz (sha256 ")
        assert trained_on(tmp_path, ONE).key == row.key
        assert trained_on(tmp_path, TWO, training={"batches": "independent"} | TWICE).key != row.key
        signs = np.ones(D)
        signs[-1] = -1
        assert trained_on(tmp_path, {"X": INPUTS[0] * signs, "y": LABELS[0]}).key != row.key
        assert not any(
            "batch" in key for key in study.from_document(document("gaussian")).rows[0].inputs if "data" in key
        )

    def test_copies_keep_the_numbers(self):
        batches = GivenBatches("b.npz", *TWO.values())
        twin = pickle.loads(pickle.dumps(batches))
        assert twin == batches and np.array_equal(twin.batch(1)[0], INPUTS[1])

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"X": INPUTS[0]}, "holds X; expected X of shape"),
            (ONE | {"Z": LABELS[0]}, "holds X, y, Z; expected"),
            ({"X": INPUTS[0], "y": LABELS[0][:-1]}, r"holds y, float64 of shape \(89,\)"),
            ({"X": INPUTS[0].T, "y": LABELS[0]}, r"holds y, float64 of shape \(90,\)"),
            ({"X": INPUTS[0] + 1j, "y": LABELS[0]}, "holds X, complex128"),
            ({"X": INPUTS[0] * np.nan, "y": LABELS[0]}, "holds NaN"),
            ({"X": INPUTS[0] / np.sqrt(D), "y": LABELS[0]}, "inputs of mean square 0.01"),
            ({"X": INPUTS[0], "y": LABELS[1]}, r"differ from the target .* expected data\.noise = 0"),
            ({"X": INPUTS[0, :-1], "y": LABELS[0, :-1]}, r"X of shape \(89, 60\); expected \(n, d\) = \(90, 60\)"),
            (TWO, "holds 2 batches; expected 1"),
            ({"X": np.array([{}, 1]), "y": LABELS[0]}, "is not a numeric .npz file"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, tmp_path, arrays, message):
        with pytest.raises(BadInput, match=rf"key 'data\.batch'.*{message}"):
            trained_on(tmp_path, arrays)

    @pytest.mark.parametrize("content", [None, b"nonsense", b"PK\x03\x04nonsense"])
    def test_no_such_file(self, tmp_path, content):
        if content is not None:
            (tmp_path / "c.npz").write_bytes(content)
        with pytest.raises(BadInput, match=r"key 'data\.batch'.*(cannot be read|is not a numeric .npz)"):
            trained_on(tmp_path, ONE, data={"batch": "file:c.npz"})

    @pytest.mark.parametrize(
        ("name", "message"), [("c.npz", "holds a single array"), ("c.npy", "has the suffix '.npy'")]
    )
    def test_no_archive(self, tmp_path, name, message):
        (tmp_path / name).write_bytes(array_file())
        with pytest.raises(BadInput, match=rf"key 'data\.batch'.*{message}"):
            trained_on(tmp_path, ONE, data={"batch": f"file:{name}"})

    def test_a_rigid_bulk_and_the_limit_do_not_know_it(self, tmp_path):
        with pytest.raises(BadInput, match=r"'data\.batch'.*expected theory\.bulk = 'deformed'"):
            trained_on(tmp_path, ONE, theory={"bulk": "rigid"})
        with pytest.raises(BadInput, match=r"'sizes\.width': value limit: expected a number"):
            trained_on(tmp_path, ONE, sizes={"width": "limit"})

    @pytest.mark.parametrize("observable", ["features", "feature-regression", "learning-curve"])
    def test_other_observables_refuse_it(self, tmp_path, observable):
        np.savez(tmp_path / "b.npz", **ONE)
        found = document("gaussian") | {"data": {"target": "tanh(x)", "batch": "file:b.npz"}, "observable": observable}
        if observable == "learning-curve":
            del found["network"]["second_layer"]
            found["kernel"] = {"from_training": True, "samples": 100, "ridge": 1}
        with pytest.raises(BadInput, match=r"key 'data\.batch'.*only weights take one"):
            study.from_document(found, tmp_path / "study.toml")


class TestOneNetworksBatch:
    @pytest.mark.parametrize("batches", ["reused", "independent"])
    def test_is_what_the_simulation_trains_on(self, batches):
        case, seed = setting("tanh(x)", "relu(x)", (1.0, 1.0), width=40, batches=batches, noise="1/4"), SeedSequence(3)
        network = one_network(case, seed)
        assert np.array_equal(train(network, seed), train(case, seed))
        assert not np.allclose(train(network, SeedSequence(4)), train(case, SeedSequence(4)))

    @pytest.mark.parametrize(("s", "batches", "largest"), [((1.0,), "reused", 0.03), ((0.8, 0.8), "independent", 0.03)])
    def test_is_what_the_prediction_is_of(self, s, batches, largest):
        case = setting("tanh(x+7/10)", "relu(x)", s, width=300, batches=batches)
        gaps, drawn = [], []
        for index in range(3):
            network = one_network(case, SeedSequence(index))
            found = predict(network)
            tops = [np.linalg.norm(train(network, SeedSequence(100 + k)), 2) for k in range(3)]
            assert found.spikes == () and found.leading == ()
            gaps.append(float(found.outliers[0].location) / np.mean(tops) - 1)
            drawn.append(np.mean(tops))
        assert np.abs(gaps) == pytest.approx(0, abs=largest)
        assert np.std(drawn) / np.mean(drawn) > 0.03  # from batch to batch: a typical draw says nothing of it
