"""Studies: what a file means, and what a malformed one is told."""

from __future__ import annotations

import copy
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmtfl.errors import BadInput
from rmtfl.study import from_document, read
from tests.documents import toml

TOML = (
    toml(width_ratio=0.5, sample_ratio='"2"', width='[60, "limit"]', alpha='["3/10", 0.4]')
    + """
[sweep]
"training.alpha.1" = ["1/10", "3/10"]
"""
)


def without(document: dict[str, Any], dotted: str) -> dict[str, Any]:
    *path, last = dotted.split(".")
    place = document
    for step in path:
        place = place[step]
    del place[last]
    return document


def changed(document: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    *path, last = dotted.split(".")
    place: Any = document
    for step in path:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return document


def complaint(document: dict[str, Any]) -> str | None:
    try:
        from_document(document)
    except BadInput as error:
        return str(error)
    return None


def message(document: dict[str, Any]) -> str:
    found = complaint(document)
    assert found is not None
    return found


def test_an_integer_of_thousands_of_digits_is_not_written_out(study_document):
    found = message(changed(study_document, "training.scale.0", 16**6000))
    assert "key 'training.scale.0'" in found and len(found) < 300


class TestMeaning:
    @pytest.fixture
    def study(self, tmp_path):
        path = tmp_path / "study.toml"
        path.write_text(TOML, encoding="utf-8")
        return read(path)

    def test_rows_are_the_product_in_file_order_with_the_width_innermost(self, study):
        swept = [(row.inputs["training.alpha.1"], row.inputs["width"]) for row in study.rows]
        assert swept == [("1/10", 60), ("1/10", "limit"), ("3/10", 60), ("3/10", "limit")]
        assert [row.inputs["width"] for row in study.simulable] == [60, 60]

    def test_numbers_are_what_their_digits_say(self, study_document):
        setup = from_document(changed(study_document, "training.alpha", ["3/10", 0.4])).rows[0].setup
        assert setup.training.alpha == (Fraction(3, 10), Fraction(2, 5))

    def test_sizes(self, study):
        sizes = study.rows[0].setup.sizes
        assert (sizes.width, sizes.dimension, sizes.samples) == (60, 120, 240)

    def test_labels_name_what_is_swept(self, study):
        assert study.rows[1].label == "alpha.1 = 1/10, width = limit"

    def test_keys_tell_rows_apart(self, study):
        assert len({row.key for row in study.rows}) == 4

    def test_defaults(self, study_document):
        for key in ("theory", "montecarlo", "title", "data.noise", "network.second_layer", "training.loss"):
            without(study_document, key)
        (row,) = from_document(study_document).rows
        assert row.inputs["network.second_layer"] == "gaussian"
        assert row.inputs["training.loss"] == "squared"
        assert row.inputs["data.noise"] == "0"
        assert row.inputs["theory.order"] == "finite-width"


REQUIRED = [
    "schema",
    "observable",
    "network",
    "network.activation",
    "data",
    "data.target",
    "sizes",
    "sizes.width",
    "sizes.width_ratio",
    "sizes.sample_ratio",
    "training",
    "training.batches",
    "training.alpha",
    "training.scale",
]


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_key_is_named(study_document, key):
    assert f"key '{key}': is missing" in message(without(study_document, key))


@pytest.mark.parametrize(
    ("table", "keys"),
    [
        ("network", "activation"),
        ("sizes", "width_ratio, sample_ratio, width"),
        ("training", "batches, alpha, scale"),
    ],
)
def test_a_missing_table_is_named_with_the_keys_that_it_needs(study_document, table, keys):
    assert message(without(study_document, table)).endswith(f"is missing; expected a table [{table}] with {keys}")


def test_keys_below_the_wrong_heading_are_told_theirs(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(TOML.replace("[sizes]\n", ""), encoding="utf-8")
    with pytest.raises(BadInput, match=r"key 'data.width_ratio': .*\[data\]; expected it below \[sizes\]"):
        read(path)


LAW = {
    "schema": 1,
    "observable": "law",
    "law": {"family": "generalized-marchenko-pastur", "ratio": 0.2, "atoms": [1, 5], "weights": [0.5, 0.5]},
}


def test_a_key_that_a_law_needs_is_named_without_the_whole_table():
    found = message(without(copy.deepcopy(LAW), "law.weights"))
    needs = "expected ratio, atoms, weights with family 'generalized-marchenko-pastur'"
    assert found == f"key 'law.weights': is missing; {needs}"


def test_a_key_that_a_law_does_not_read_is_named_without_the_whole_table():
    found = message(changed(copy.deepcopy(LAW), "law.variance", 3))
    assert found.startswith("key 'law.variance': nothing reads it: expected only ratio, atoms, weights, spikes with")


def test_a_key_of_a_part_of_a_law_is_named_with_the_part():
    parts = {"first": {"family": "semicircle"}, "second": {"family": "marchenko-pastur"}}
    found = message(LAW | {"law": {"family": "free-sum"} | parts})
    assert found == "key 'law.second.ratio': is missing; expected ratio with family 'marchenko-pastur'"


def test_a_mistyped_key_is_named_beside_the_missing_one(study_document):
    network = study_document["network"]
    network["activaton"] = network.pop("activation")
    found = message(study_document)
    assert "key 'network.activation': is missing" in found and "nothing reads 'activaton' there" in found


def test_text_without_quotes(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text("activation = tanh(x)\n", encoding="utf-8")
    with pytest.raises(BadInput, match="text is written in quotes"):
        read(path)


@pytest.mark.parametrize(
    ("key", "value", "accepted"),
    [
        ("schema", 2, "expected 1"),
        ("schema", True, "expected 1"),
        ("title", 3, "expected text"),
        ("observable", "weight", "expected one of weights"),
        ("network", [], "expected a table"),
        ("network.activation", "__import__('os')", "not a real number"),
        ("network.activation", "x.__class__", "is not allowed"),
        ("network.activation", "x^2", "a power is written **"),
        ("network.activation", "foo(x)", "unknown function 'foo'"),
        ("network.activation", "x**99999999", "at most 64"),
        ("network.activation", "9**9**9**9", "exponent"),
        ("network.activation", "sign(x)", "expected a continuous function"),
        ("network.activation", "1/x", "finite Gaussian second moment"),
        ("network.activation", 3, "expression in x"),
        ("network.second_layer", "normal", "expected 'gaussian', 'rademacher' or 'uniform'"),
        ("data.target", "1/x", "finite Gaussian second moment"),
        ("data.target", "", "expression in x"),
        ("data.noise", -1, "expected a number in"),
        ("data.noise", math.nan, "a finite one"),
        ("data.noise", True, "expected a rational number"),
        ("sizes.width", 0, "expected a number of at least 2, or 'limit'"),
        ("sizes.width", 2.5, "'limit'"),
        ("sizes.width", "Limit", "'limit'"),
        ("sizes.width", 10**20, "at most"),
        ("sizes.width", [], "a list that is not empty"),
        ("sizes.width_ratio", -1, "expected a number in (0, "),
        ("sizes.width_ratio", 0, "expected a number in (0, "),
        ("sizes.width_ratio", math.inf, "a finite one"),
        ("sizes.width_ratio", "1/0", "denominator zero"),
        ("training.alpha", [], "expected at least 1"),
        ("training.alpha", ["0"] * 3, "expected one or two, or batches = 'independent'"),
        ("training.alpha", "3/10", "expected a list"),
        ("training.alpha.0", "1/2", "expected a number in [0, 1/2)"),
        ("training.alpha.1", 0.5, "expected a number in [0, 1/2)"),
        ("training.alpha.1", "-1/10", "expected a number in [0, 1/2]"),
        ("training.alpha.1", "1e400", "expected a rational number"),
        ("training.scale", [1], "expected one a step"),
        ("training.scale.1", -2, "expected a number in (0, "),
        ("training.batches", "both", "expected 'reused' or 'independent'"),
        ("theory.tolerance", 0, "a number of at least"),
        ("theory.tolerance", math.nan, "expected"),
        ("theory.digits", 0, "at least 1"),
        ("montecarlo.trials", 1, "at least 2"),
        ("montecarlo.trials", "8", 'value "8": expected an integer'),
        ("montecarlo.seed", -1, "at least 0"),
        ("sizes.width", "300", "value \"300\": expected an integer, or 'limit'"),
        ("training.momentum", 0.9, "nothing reads it in [training]; expected only batches, loss, alpha, scale"),
        ("training.width", 200, "nothing reads it in [training]; expected it below [sizes]"),
        ("training.trials", 8, "expected it below [montecarlo]"),
        ("montecarlo.trails", 8, "expected only trials, seed"),
        ("noise", 0.1, "nothing reads it in a weights study; expected it below [data]"),
        ("kernel", {}, "nothing reads it"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_accepted(study_document, key, value, accepted):
    found = message(changed(study_document, key, value))
    assert f"key '{key}'" in found
    assert accepted in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("sweep", "key"),
    [
        ([], "sweep"),
        ({"training.alpha.1": []}, "sweep.training.alpha.1"),
        ({"training.alpha.1": "1/10"}, "sweep.training.alpha.1"),
        ({"training.alpha.2": ["1/10"]}, "sweep.training.alpha.2"),
        ({"training": [{}]}, "sweep.training"),
        ({"training.alpha.1": ["1/10", "1/2"]}, "training.alpha.1"),
        ({"kernel.dimension": [3]}, "sweep.kernel.dimension"),
        ({"montecarlo.seed": [1, 2]}, "sweep.montecarlo.seed"),
        ({"": [1]}, "sweep."),
        ({"training.scale.0": list(range(1, 400)), "training.scale.1": list(range(1, 400))}, "sweep"),
    ],
)
def test_malformed_sweeps(study_document, sweep, key):
    assert f"key '{key}'" in message(study_document | {"sweep": sweep})


# ------------------------------------------------------------------------------------------------ properties

LEAVES = [
    *(key for key in REQUIRED if key not in ("network", "data", "sizes", "training")),
    "network.second_layer",
    "data.noise",
    "training.loss",
    "training.alpha.0",
    "training.scale.1",
    "theory.order",
    "theory.tolerance",
    "montecarlo.trials",
    "montecarlo.seed",
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def base():
    return {
        "schema": 1,
        "observable": "weights",
        "network": {"activation": "tanh(x)", "second_layer": "gaussian"},
        "data": {"target": "tanh(x)", "noise": 0.0},
        "sizes": {"width_ratio": 1, "sample_ratio": 1, "width": 60},
        "training": {"batches": "reused", "loss": "squared", "alpha": ["3/10", "3/10"], "scale": [2, 6]},
        "theory": {"order": "leading", "tolerance": 1e-6},
        "montecarlo": {"trials": 4, "seed": 1},
    }


# What is refused under another key: widths depend on ratios, the noise on the target, scales on the number of steps.
RELATED = {
    "sizes.width_ratio": "sizes.",
    "sizes.sample_ratio": "sizes.",
    "data.target": "data.",
    "training.alpha": "training.",
}


@settings(max_examples=300, deadline=None)
@given(key=st.sampled_from(LEAVES), value=anything)
def test_any_value_anywhere_is_used_or_refused_by_the_name_of_its_key(base, key, value):
    found = complaint(changed(copy.deepcopy(base), key, value))
    assert found is None or (f"key '{RELATED.get(key, key)}" in found and "\n" not in found)


@settings(max_examples=200, deadline=None)
@given(document=st.dictionaries(st.sampled_from([*REQUIRED, "sweep", "montecarlo", "x"]), anything, max_size=8))
def test_any_document_is_used_or_refused(document):
    found = complaint({"schema": 1, "observable": "weights"} | document)
    assert found is not None and "key '" in found


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_refused_with_the_name_of_the_file(tmp_path, content):
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")


class TestFiles:
    def refused(self, path: Path) -> str:
        with pytest.raises(BadInput) as caught:
            read(path)
        assert str(path) in str(caught.value)
        return str(caught.value)

    def test_missing(self, tmp_path):
        assert "cannot be read" in self.refused(tmp_path / "none.toml")

    def test_directory(self, tmp_path):
        assert "cannot be read" in self.refused(tmp_path)

    def test_not_utf8(self, tmp_path):
        path = tmp_path / "latin.toml"
        path.write_bytes('title = "é"'.encode("latin-1"))
        assert "UTF-8" in self.refused(path)

    @pytest.mark.parametrize("depth", [50, 300, 400, 450, 2000])
    def test_nested_too_deeply(self, tmp_path, depth):
        path = tmp_path / "deep.toml"
        path.write_text(TOML.replace('["3/10", 0.4]', "[" * depth + "]" * depth), encoding="utf-8")
        self.refused(path)

    def test_an_integer_of_thousands_of_digits(self, tmp_path):
        path = tmp_path / "long.toml"
        path.write_text(TOML.replace("scale = [2", "scale = [" + "9" * 5000), encoding="utf-8")
        self.refused(path)
