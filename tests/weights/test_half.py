"""Steps of order one at every width, α = 1/2: legal with a deformed bulk, refused by name where nothing is derived."""

from __future__ import annotations

from fractions import Fraction

import pytest

from rmtfl.errors import BadInput
from rmtfl.study import from_document
from rmtfl.weights import predict, summary, threshold
from tests.weights.deformed_networks import few_nodes


def document(observable="weights", **changes):
    tables = {
        "network": {"activation": "tanh(x+7/10)"},
        "data": {"target": "tanh(x)"},
        "sizes": {"width_ratio": 1, "sample_ratio": 1, "width": 200},
        "training": {"batches": "reused", "alpha": ["1/2"], "scale": [1]},
        "theory": {"bulk": "deformed"},
    }
    return {"schema": 1, "observable": observable, **{k: v | changes.pop(k, {}) for k, v in tables.items()}, **changes}


def test_is_the_same_step_as_by_another_exponent():
    one = from_document(document()).rows[0].setup
    other = from_document(document(training={"alpha": ["1/4"], "scale": [200**0.25]})).rows[0].setup
    found, known = predict(one), predict(other)
    assert found.outliers[0].location == pytest.approx(known.outliers[0].location)
    assert found.bulk.top == pytest.approx(known.bulk.top)
    assert found.step_sizes == (1.0,)


@pytest.mark.parametrize("batches", ["reused", "independent"])
def test_of_two_steps(batches, monkeypatch):
    few_nodes(monkeypatch)
    training = {"batches": batches, "alpha": ["1/2", "1/2"], "scale": [1, 1]}
    # Two values of ā: two terms of every function of it, and so a smaller pencil.
    tables = document(training=training, network={"second_layer": "rademacher"}, sizes={"width": 100})
    case = from_document(tables).rows[0].setup
    found = predict(case)
    assert (found.threshold, found.critical, found.generic_count, found.leading) == (None, False, None, ())
    assert found.count >= 1
    note = summary.summary(case, found.as_json()).notes[0]
    assert note.startswith("no threshold at a step exponent of 1/2; count")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"theory": {"bulk": "rigid"}}, r"'training\.alpha\.0': value 1/2: expected .*\[0, 1/2\).*bulk = 'deformed'"),
        ({"sizes": {"width": "limit"}}, r"'sizes\.width': value limit: expected a number"),
        ({"training": {"alpha": ["51/100"]}}, r"'training\.alpha\.0'.*expected a number in \[0, 1/2\]"),
        ({"observable": "features"}, r"'training\.alpha\.0': value 1/2: expected a number in \[0, 1/2\)$"),
        ({"observable": "feature-regression"}, r"'training\.alpha\.0': value 1/2: expected a number in \[0, 1/2\)$"),
    ],
)
def test_is_refused_where_it_has_no_meaning(changes, message):
    with pytest.raises(BadInput, match=message):
        from_document(document(**changes) if "observable" not in changes else plain(document(**changes)))


def plain(found):
    del found["theory"]
    return found


def test_the_count_of_spikes_has_none():
    with pytest.raises(BadInput, match=r"\[0, 1/2\) \(1/2 has a prediction at a width alone"):
        threshold(Fraction(1, 4), Fraction(1, 2))
