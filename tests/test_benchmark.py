"""What is measured of a model's speed, and that it is told; nothing of how fast this machine is."""

import json

from conftest import ROOT, dltasks

from dltasks import benchmark
from dltasks.bundle.load import load_bundle


def test_a_model_is_measured_with_each_number_of_threads():
    said = dltasks("benchmark", "cards", "--json")
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert [each["threads"] for each in found["runs"]] == benchmark.thread_counts()
    for each in found["runs"]:
        assert 0 < each["median"] <= each["percentile_95"] and each["throughput"] > 0
        assert 20 < each["memory"] < 1000 and each["bytes"] == len(load_bundle("cards").model_bytes())


def test_two_models_are_measured_in_turns(tmp_path):
    said = dltasks("benchmark", "cards", "--compare", "commands", "--png", tmp_path / "drawn.png")
    assert said.returncode == 0 and "of the time of commands" in said.stderr
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")


def test_inputs_are_golden_ones_or_real_ones():
    golden = benchmark.create_case("headlines").inputs
    assert "encode/in/source" in golden and "step/in/piece" in golden
    real = benchmark.create_case("objects", ROOT / "samples/image").inputs
    assert real["/in/pixels"].shape == (3, 80, 80, 3)


def test_what_is_no_model_is_named(tmp_path):
    (tmp_path / "no.tflite").write_text("hello")
    said = dltasks("benchmark", tmp_path / "no.tflite")
    assert said.returncode == 1 and "not a .tflite file" in said.stderr


def test_a_drawing_that_can_not_be_written_is_told_before_anything_is_measured():
    said = dltasks("benchmark", "objects", "--png", "/proc/none/x.png")
    assert said.returncode == 1 and not said.stdout
    assert said.stderr.startswith("dltasks: /proc/none/x.png: can't be written") and "--png" in said.stderr
