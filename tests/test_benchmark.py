"""The benchmark measures and reports; nothing here depends on how fast this machine is."""

import json

from conftest import ROOT, dltasks

from dltasks import benchmark
from dltasks.bundle.load import load_bundle


def test_a_model_is_measured_with_each_number_of_threads():
    result = dltasks("benchmark", "cards", "--json")
    assert result.returncode == 0, result.stderr
    runs = json.loads(result.stdout)["runs"]
    assert [run["threads"] for run in runs] == benchmark.thread_counts()
    for run in runs:
        assert 0 < run["median"] <= run["percentile_95"] and run["throughput"] > 0
        assert 20 < run["memory"] < 1000 and run["bytes"] == len(load_bundle("cards").model_bytes())


def test_two_models_are_measured_in_turn(tmp_path):
    result = dltasks("benchmark", "cards", "--compare", "commands", "--png", tmp_path / "plot.png")
    assert result.returncode == 0 and "times as long as commands" in result.stderr
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_inputs_are_golden_vectors_or_real_data():
    golden = benchmark.create_case("headlines").inputs
    assert "encode/in/source" in golden and "predict_token/in/token" in golden
    real = benchmark.create_case("objects", ROOT / "samples/image").inputs
    assert real["/in/pixels"].shape == (3, 224, 224, 3)


def test_a_file_that_is_not_a_model_is_named(tmp_path):
    (tmp_path / "no.tflite").write_text("hello")
    result = dltasks("benchmark", tmp_path / "no.tflite")
    assert result.returncode == 1 and "not a .tflite file" in result.stderr


def test_a_plot_that_can_not_be_written_is_reported_before_anything_is_measured():
    result = dltasks("benchmark", "objects", "--png", "/proc/none/x.png")
    assert result.returncode == 1 and not result.stdout
    assert result.stderr.startswith("dltasks: /proc/none/x.png: can't be written")
    assert "--png" in result.stderr
