"""`rmtfl validate`, and what comes from its store: what is printed where, and with which exit status."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import time

import pytest

from rmtfl.errors import ToleranceNotMet
from tests.cli.command import Document, refused, run, simulated_prediction
from tests.documents import toml


class TestValidate:
    @pytest.fixture
    def validated(self, study, predicting):
        predicting(simulated_prediction())
        found = run("validate", study, "--workers", 1)
        assert found.exit_code == 0, found.output
        return found

    def test_agreement_exits_0(self, validated):
        assert "outlier 1" in validated.stdout and "all agree" in validated.stdout
        assert "disagree" not in validated.stdout
        assert "MiB of memory" in validated.stderr and validated.stderr.count("\n") == 1

    def test_disagreement_exits_1(self, study, predicting):
        predicting(simulated_prediction(shift=1.5))
        found = run("validate", study, "--workers", 1, "--json")
        assert found.exit_code == 1
        document = json.loads(found.stdout)
        assert document["agreement"] is False
        verdicts = {c["name"]: c["verdict"] for c in document["rows"][0]["comparisons"]}
        assert verdicts["outlier 1"] == "disagrees"
        assert verdicts["alignment 1"] == "agrees"
        assert verdicts["bulk edge"] == "not judged"

    def test_json_is_one_document(self, study, validated):
        document = json.loads(run("validate", study, "--json").stdout)
        assert (document["schema"], document["observable"], document["agreement"]) == (1, "weights", True)
        first = document["rows"][0]
        assert first["inputs"]["width"] == 40
        assert first["prediction"]["count"] == 1
        assert {"prediction", "error", "mean", "standard_error", "gap", "relative_gap", "z_score", "allowance"} <= set(
            first["comparisons"][0]
        )

    def test_a_store_is_resumed_and_not_drawn_again(self, study, validated):
        store = study.with_suffix(".sqlite")
        before = store.read_bytes()
        again = run("validate", study, "--workers", 1)
        assert again.stdout == validated.stdout
        assert again.stderr == "rmtfl: 6 of 6 trials were already there\n"
        assert len(store.read_bytes()) == len(before)

    def test_force_keeps_the_old_store(self, study, validated):
        found = run("validate", study, "--workers", 1, "--force")
        assert found.exit_code == 0
        assert found.stdout == validated.stdout
        assert "the old store is kept as" in found.stderr
        assert len(list(study.parent.glob("study.sqlite*"))) == 2

    @pytest.mark.parametrize("style", ["markdown", "latex", "csv"])
    def test_tables_come_from_the_store(self, study, validated, predicting, style):
        predicting(lambda setup: pytest.fail("a table predicts nothing"))
        first, second = (run("table", study, "--format", style) for _ in range(2))
        assert (first.exit_code, first.stderr) == (0, "")
        assert first.stdout == second.stdout
        assert "outlier 1" in first.stdout
        assert str(study.parent) not in first.stdout

    def test_csv_columns(self, study, validated):
        lines = list(csv.DictReader(io.StringIO(run("table", study, "--format", "csv").stdout)))
        assert {"width", "quantity", "predicted", "simulated", "simulated standard error", "verdict"} <= set(lines[0])

    @pytest.mark.parametrize("suffix", ["pdf", "png", "svg"])
    def test_figures_come_from_the_store(self, study, validated, suffix):
        output = study.parent / f"figure.{suffix}"
        found = run("figure", study, "-o", output)
        assert (found.exit_code, found.stdout) == (0, "")
        assert output.stat().st_size > 5000

    def test_a_figure_for_print_is_another(self, study, validated):
        sizes = []
        for style in ("screen", "print"):
            output = study.parent / f"{style}.svg"
            assert run("figure", study, "-o", output, "--style", style).exit_code == 0
            sizes.append(output.read_text(encoding="utf-8").partition('width="')[2].partition("pt")[0])
        assert [round(float(size)) for size in sizes] == [490, 245]  # points: 6.8 and 3.4 inches

    def test_a_report_comes_from_the_store(self, study, validated, predicting):
        predicting(lambda setup: pytest.fail("a report predicts nothing"))
        folder = study.parent / "report"
        found = run("report", study, "-o", folder)
        assert (found.exit_code, found.stdout) == (0, "")
        page = (folder / "index.html").read_text(encoding="utf-8")
        assert "outlier 1" in page and "data:image/svg" in page and str(study.parent) not in page

    def test_a_hundred_thousand_trials(self, study, validated):
        study.write_text(toml(trials=50000), encoding="utf-8")
        with sqlite3.connect(study.with_suffix(".sqlite")) as connection:
            # The trials there are, over and over.
            connection.execute("CREATE TEMP TABLE more (trial INTEGER)")
            connection.executemany("INSERT INTO more VALUES (?)", ((trial,) for trial in range(3, 50_000)))
            connection.execute("INSERT INTO trials SELECT settings.id, trial, 1.0 FROM settings, more")
            connection.execute(
                "INSERT INTO numbers SELECT setting, name, more.trial, shape, data FROM numbers, more "
                "WHERE numbers.trial = more.trial % 3 AND name != 'spectrum'"
            )
        start = time.process_time()
        found = run("table", study, "--format", "csv")
        run("figure", study, "-o", study.parent / "figure.pdf")
        assert time.process_time() - start < 5  # seconds
        assert (found.exit_code, found.stderr) == (0, "")
        assert run("table", study, "--diagnostics").stdout.count("50000 of 50000") == 2

    def test_what_is_shown_beside_the_comparisons(self, study, validated):
        assert "Shown, not judged" in validated.stdout and "observed × draws" in validated.stdout
        assert "observed × draws" in run("table", study, "--diagnostics").stdout

    def test_a_table_as_a_document(self, study, validated):
        found = run("table", study, "--format", "latex", "--standalone")
        assert found.stdout.startswith("\\documentclass") and found.stdout.endswith("\\end{document}\n")
        assert "expected --format latex" in refused("table", study, "--standalone")

    def test_a_figure_of_an_unknown_kind(self, study, validated):
        assert "'.xyz'" in refused("figure", study, "-o", study.parent / "figure.xyz")

    def test_no_store(self, study):
        for command in (["table", study], ["figure", study, "-o", "x.png"], ["report", study, "-o", "x"]):
            assert "there is no store" in refused(*command)
        assert not study.with_suffix(".sqlite").exists()

    def test_a_store_of_another_study(self, study, validated):
        study.write_text(toml(seed=6), encoding="utf-8")
        assert "another study" in refused("table", study)

    def test_a_store_that_is_none(self, study):
        other = study.parent / "other.sqlite"
        other.write_text("not a database", encoding="utf-8")
        assert "other.sqlite" in refused("table", study, "--store", other)
        assert other.read_text(encoding="utf-8") == "not a database"

    def test_the_limit_alone_cannot_be_simulated(self, study):
        study.write_text(toml(width='"limit"'), encoding="utf-8")
        assert "sizes.width" in refused("validate", study)

    def test_nothing_judged_is_said(self, study, predicting):
        bare = simulated_prediction()

        def predict(setup):
            return Document(bare(setup).document | {"count": 0, "outliers": []})

        predicting(predict)
        found = run("validate", study, "--workers", 1)
        assert found.exit_code == 0
        assert "nothing was judged" in found.stderr

    def test_a_tolerance_out_of_reach_exits_3_and_gives_no_number(self, study, predicting):
        def predict(setup):
            raise ToleranceNotMet("reached 1e-3, asked for 1e-6")

        predicting(predict)
        for command in ("predict", "validate"):
            found = run(command, study)
            assert (found.exit_code, found.stdout) == (3, "")
            assert "reached 1e-3" in found.stderr and "width = 40" in found.stderr
        assert not study.with_suffix(".sqlite").exists()


class TestOneStep:
    """From the study file to the verdict with nothing replaced."""

    @pytest.fixture
    def study(self, tmp_path):
        path = tmp_path / "study.toml"
        text = toml(width='[300, "limit"]', trials=6)
        text = text.replace('alpha = ["3/10", "3/10"]\nscale = [2, 6]', 'alpha = ["3/10"]\nscale = [2]')
        path.write_text(text, encoding="utf-8")
        return path

    def test_prediction_and_simulation_agree(self, study):
        found = run("validate", study, "--workers", 2, "--json")
        assert found.exit_code == 0, found.output
        finite, limit = json.loads(found.stdout)["rows"]
        verdicts = {c["name"]: c["verdict"] for c in finite["comparisons"]}
        assert verdicts["outlier 1"] == verdicts["alignment 1"] == "agrees"
        assert limit["verdict"] == "not judged"
        assert limit["comparisons"][0]["prediction"] == pytest.approx(limit["prediction"]["spikes"][0]["constant"])

    def test_the_document_of_a_prediction(self, study):
        finite, limit = (row["prediction"] for row in json.loads(run("predict", study, "--json").stdout)["rows"])
        assert (finite["threshold"], finite["critical"], finite["generic_count"], finite["count"]) == (0, False, 1, 1)
        assert finite["bulk"] == {"lower": 0.0, "upper": 2.0, "top": 2.0, "error": 0.0}
        strength, location = finite["spikes"][0]["strength"], finite["outliers"][0]["location"]
        assert location == pytest.approx((1 + strength**2) / strength)
        spike = limit["spikes"][0]
        assert (spike["k"], spike["exponent"], spike["left"], spike["vanishes"]) == (0, "3/10", 1, None)
        assert strength == pytest.approx(spike["constant"] * 300**0.3)

    def test_for_a_reader(self, study):
        text = run("predict", study).stdout
        assert "width = 300" in text and "width = limit" in text and "information exponent of the target: 1" in text

    @pytest.mark.parametrize(("key", "link"), [("activation", "exp(x**2)"), ("target", "exp(x**2)"), ("target", "1/x")])
    def test_links_without_moments_are_bad_input(self, study, key, link):
        old = "tanh(x + 7/10)" if key == "activation" else "tanh(x)"
        study.write_text(study.read_text(encoding="utf-8").replace(f'"{old}"', f'"{link}"'), encoding="utf-8")
        for command in ("predict", "validate"):
            message = refused(command, study)
            assert f".{key}'" in message and link in message and "study.toml" in message
