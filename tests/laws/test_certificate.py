"""Law studies in digits, and their certificates: against closed forms, doubles and one another."""

import json
import sys

import mpmath
import pytest
from typer.testing import CliRunner

from rmtfl.cli import app
from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.laws.semicircle import Semicircle
from rmtfl.study import from_document
from rmtfl.workflow import predict_rows

LAW = {
    "family": "generalized-marchenko-pastur",
    "ratio": 0.1,
    "atoms": [1, 8],
    "weights": [0.5, 0.5],
    "x": [0.7, 3.0, 8.0],
    "spikes": [20, 8.5],
}


def study(law=LAW, **theory):
    return {"schema": 1, "title": "", "observable": "law", "law": law, "theory": theory}


def prediction(document, **options):
    (found,) = predict_rows(from_document(document), **options)
    return found


def test_digits_agree_with_doubles_and_with_more_digits():
    plain, few, many = prediction(study()), prediction(study(digits=30)), prediction(study(digits=45))
    numbers = [
        lambda found: found["edges"],
        lambda found: found["density"]["y"],
        lambda found: [found["outliers"][0][key] for key in ("location", "overlap")],
    ]
    for pick in numbers:
        for double, short, long in zip(pick(plain), pick(few), pick(many), strict=True):
            assert float(short) == pytest.approx(double, rel=1e-13)
            with mpmath.workdps(60):
                assert abs(mpmath.mpf(short) - mpmath.mpf(long)) <= mpmath.mpf(10) ** -29 * abs(mpmath.mpf(long))
                assert short != long or short == "0"
    assert few["outliers"][1]["location"] is None
    assert few["density"]["error"] == 1e-29 and few["edges_error"] < 2e-28


def test_digits_of_the_semicircle():
    law = {"family": "semicircle", "variance": 2.0, "centre": -1.0, "x": [0.0, 9.0], "spikes": [4.0, 1.0]}
    found = prediction(study(law, digits=40))
    with mpmath.workdps(50):
        exact = -1 + 2 * mpmath.sqrt(2), mpmath.sqrt(7) / (4 * mpmath.pi)
        for value, truth in zip((found["edges"][1], found["density"]["y"][0]), exact, strict=True):
            assert abs(mpmath.mpf(value) / truth - 1) < mpmath.mpf(10) ** -39
    assert found["density"]["y"][1] == "0"
    assert [float(found["outliers"][0][key]) for key in ("location", "overlap")] == [3.5, 0.875]
    assert found["outliers"][1]["location"] is None
    # Edges that nearly vanish: c - 2 sqrt(v) is what is left of two doubles.
    (low, _), _, _ = Semicircle(2.0, 2 * 2**0.5).with_digits(30)
    with mpmath.workdps(80):
        exact = mpmath.mpf(2 * 2**0.5) - 2 * mpmath.sqrt(2)
        assert abs(mpmath.mpf(low) / exact - 1) < mpmath.mpf(10) ** -29


def test_a_certificate_holds_what_is_predicted():
    found = prediction(study(digits=35), certify=True)
    certificate = found["certificate"]
    assert certificate["digits"] == 35 and certificate["statement"] == "proved to 35 digits"
    proved = [*certificate["edges"], *certificate["density"], certificate["outliers"][0]["overlap"]]
    shown = [*found["edges"], *found["density"]["y"], found["outliers"][0]["overlap"]]
    with mpmath.workdps(60):
        for enclosure, value in zip(proved, shown, strict=True):
            assert abs(mpmath.mpf(enclosure["value"]) - mpmath.mpf(value)) <= 1e-34 * abs(mpmath.mpf(value))
            assert enclosure["radius"] <= 1e-35 * abs(float(value))
    low, high = certificate["thresholds"][-2:]
    assert float(low["value"]) < 8.5 < float(high["value"]) < 20
    assert certificate["outliers"][1]["statement"] == "proved to have no outlier"


def test_certificates_on_the_command_line(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(
        'schema = 1\ntitle = "Two bulks"\nobservable = "law"\n[law]\nfamily = "marchenko-pastur"\n'
        "ratio = 0.25\nspikes = [3]\nx = [1.0]\n"
    )
    result = CliRunner().invoke(app, ["predict", str(file), "--certify"])
    assert result.exit_code == 0
    # (1 - 1/2)² and (1 + 1/2)²; the outlier 3 (1 + (1/4)/2) and its overlap.
    for text in (
        "edges, proved to 30 digits: 0.25",
        "2.25",
        "outlier 3.375",
        "overlap 0.83333333333333333333333333333",
    ):
        assert text in result.stdout
    result = CliRunner().invoke(app, ["predict", str(file), "--certify", "--json"])
    (row,) = json.loads(result.stdout)["rows"]
    assert row["prediction"]["certificate"]["density"][0]["x"] == 1.0


def test_what_cannot_be_certified_says_why(monkeypatch):
    with pytest.raises(BadInput, match="semicircle: there is no certificate"):
        prediction(study({"family": "semicircle"}), certify=True)
    with pytest.raises(ToleranceNotMet, match="could not be told from an edge"):
        prediction(study({"family": "marchenko-pastur", "ratio": 0.25, "x": [0.25]}), certify=True)
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(BadInput, match="python-flint: install rmtfl"):
        prediction(study(), certify=True)


def test_only_laws_have_certificates(study_document):
    with pytest.raises(BadInput, match="weights: there is no certificate for it; expected law"):
        predict_rows(from_document(study_document), certify=True)
