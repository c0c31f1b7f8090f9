"""The command: every verb's help, what the README shows, and how it says that something is wrong."""

import json
import os
import re
import resource
import shutil
import subprocess

import data_summary
import drawings
import numpy as np
import pytest
import soundfile
import sounds
from conftest import COMMAND, ENVIRONMENT, NETWORK, ROOT, dltasks
from PIL import Image

import dltasks as library
from dltasks.cli.main import verbs

README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
COFFEE = ROOT / "samples/image/coffee.jpg"


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_has_a_help_with_an_example_and_stands_in_the_readme(verb):
    said = dltasks(verb, "--help")
    assert said.returncode == 0 and said.stdout.startswith(f"Usage: dltasks {verb}")
    assert f"dltasks {verb}" in said.stdout.partition("\n")[2]
    assert f"dltasks {verb}" in README


def test_help_lists_every_verb():
    said = dltasks("--help")
    for verb in verbs():
        assert re.search(rf"^  {verb} ", said.stdout, re.MULTILINE)


def test_version():
    assert dltasks("--version").stdout == f"dltasks, version {library.__version__}\n"


def test_ci_runs_exactly_the_second_command_of_the_readme():
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == SHELL[1]


def test_the_first_command_classifies_a_sample_rightly():
    said = dltasks(*SHELL[0].rpartition("&& dltasks ")[2].split())
    assert said.returncode == 0
    assert re.fullmatch(
        r"samples/image/coffee.jpg: espresso \d+\.\d%(, [a-z' -]+ \d+\.\d%){4}.*\n", said.stdout
    )


def readme_data(place) -> None:
    """The files that the README's examples name."""
    drawings.folder(place / "flowers", 12)
    shutil.copy(place / "flowers/disc/000.jpg", place / "flowers/disc/copy.jpg")
    drawings.folder(place / "more-flowers", 4, first=100)
    drawings.folder(place / "holiday", 2)
    drawings.draw("disc", 7).save(place / "photo.jpg")
    (place / "list.txt").write_text("photo.jpg\nholiday/disc/000.jpg\n")
    sounds.folder(place / "words", 24)
    sounds.folder(place / "more-words", 4, first=100)
    long = np.concatenate([sounds.whistle("rise", seed, seconds=2.0) for seed in range(5)])
    soundfile.write(place / "long.wav", long, sounds.RATE)
    for name, count in (("pairs", 60), ("more-pairs", 20)):
        data_summary.make(place / name, count).rename(place / f"{name}.jsonl")
    shutil.copy(ROOT / "samples/summary/lighthouse.md", place / "article.md")
    (place / "samples").symlink_to(ROOT / "samples")


OF_A_TASK = {
    "speech": re.compile(r"dltasks (train speech|recognize|listen)|words"),
    "fraud": re.compile("fraud"),
    "summary": re.compile("summar|pairs"),
}


@pytest.mark.parametrize("task", ["speech", "fraud", "summary", None])
def test_every_command_of_the_readme_runs_without_a_network(tmp_path, task):
    readme_data(tmp_path)
    NETWORK.unlink(missing_ok=True)
    kinds = {
        line: next((name for name, words in OF_A_TASK.items() if words.search(line)), None) for line in SHELL
    }
    commands = [line for line in SHELL if line.startswith("dltasks ") and kinds[line] == task]
    assert len(commands) >= 4
    (tmp_path / "dltasks").write_text('#!/bin/sh\nexec "' + COMMAND[0] + '" -m dltasks.cli.main "$@"\n')
    (tmp_path / "dltasks").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    for line in commands:
        # As it stands, but for the time: what is trained here need not be good.
        trains = line.startswith("dltasks train") and "--help" not in line
        short = f"{line} --epochs {3 if task is None else 12}" if trains else line
        ran = subprocess.run(
            short, shell=True, cwd=tmp_path, env=ENVIRONMENT | {"PATH": path}, capture_output=True, text=True
        )
        assert ran.returncode == 0, f"{line}: {ran.stderr}"
        assert ran.stdout or line.startswith("dltasks train"), line
        assert not NETWORK.exists(), f"{line}: {NETWORK.read_text()}"


def test_every_verb_is_among_the_commands_of_the_readme():
    assert {line.split()[1] for line in SHELL if line.startswith("dltasks ")} == set(verbs())


def test_all_python_of_the_readme_runs(tmp_path):
    readme_data(tmp_path)
    assert len(PYTHON) == 2
    for block in PYTHON:
        ran = subprocess.run(
            [COMMAND[0], "-c", block], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
        )
        assert ran.returncode == 0 and "Error" not in ran.stderr, ran.stderr


def test_json_lines_have_a_label_and_a_probability_each():
    said = dltasks("classify", COFFEE, "--json", "--top-k", 3)
    found = json.loads(said.stdout)
    assert found["input"] == str(COFFEE) and found["model"] == "objects"
    assert [sorted(each) for each in found["labels"]] == [["label", "probability"]] * 3
    assert found["labels"][0]["label"] == "espresso"


def test_a_failed_input_is_an_object_with_its_error():
    said = dltasks("classify", "nowhere.jpg", COFFEE, "--json")
    assert said.returncode == 1
    first, second = map(json.loads, said.stdout.splitlines())
    assert first == {"input": "nowhere.jpg", "error": "nowhere.jpg: no such file"}
    assert second["input"] == str(COFFEE)


def test_csv_has_a_row_for_each_label():
    said = dltasks("classify", COFFEE, "--csv", "--top-k", 2)
    lines = said.stdout.splitlines()
    assert lines[0] == "input,rank,label,probability,unsure" and len(lines) == 3
    assert lines[1].startswith(f"{COFFEE},1,espresso,0.")


def test_standard_input_lists_and_folders_are_taken(tmp_path):
    (tmp_path / "list.txt").write_text(f"{COFFEE}\n\n{ROOT / 'samples/image/cat.jpg'}\n")
    said = dltasks(
        "classify", "-", f"@{tmp_path / 'list.txt'}", ROOT / "samples/image", input=COFFEE.read_bytes()
    )
    inputs = [line.partition(": ")[0] for line in said.stdout.splitlines()]
    folder = [str(ROOT / "samples/image" / name) for name in ("cat.jpg", "coffee.jpg", "rocket.jpg")]
    assert inputs == ["-", str(COFFEE), str(ROOT / "samples/image/cat.jpg"), *folder]


def test_an_answer_below_the_threshold_is_unsure():
    said = dltasks("classify", ROOT / "samples/image/cat.jpg", COFFEE, "--json")
    assert [json.loads(line)["uncertain"] for line in said.stdout.splitlines()] == [True, False]


def test_an_unknown_model_names_the_nearest():
    said = dltasks("predict", "object", COFFEE)
    assert said.returncode == 1 and "did you mean objects?" in said.stderr
    assert said.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["clasify", "x"],
        ["classify"],
        ["train"],
        ["export"],
        ["evaluate", "objects"],
        ["models", "x"],
        ["show"],
        ["predict", "objects"],
        ["classify", "x", "--json", "--csv"],
        ["export", "objects", "--format", "saved-model", "--quantize", "int8"],
        ["train", "samples", "--out", "o"],
        ["train", "image", "samples", "--out", "o", "--size", "0"],
        ["train", "image", "samples", "--out", "o", "--time-limit", "0"],
        ["train", "image", "samples", "--out", "o", "--min-crop-area", "3"],
        ["train", "image", "samples", "--out", "o", "--validation-split", "0.8", "--test-split", "0.8"],
    ],
)
def test_wrong_usage_leaves_with_2(arguments):
    said = dltasks(*arguments)
    assert said.returncode == 2
    assert not (ROOT / "o").exists() and not (ROOT / "o.partial").exists()


@pytest.mark.parametrize(
    "settings, wanted",
    [
        ({"epochs": "three"}, "epochs is 'three'; it must be a whole number"),
        ({"epochs": 2.5}, "epochs is 2.5; it must be a whole number"),
        ({"epochs": True}, "epochs is True; it must be a whole number"),
        ({"balance": "yes"}, "balance is 'yes'; it must be true or false"),
        ({"time_limit": "5"}, "time_limit is '5'; it must be a number"),
        ({"sise": 64}, "no setting 'sise'"),
    ],
)
def test_a_plan_of_the_wrong_kind_is_refused(tmp_path, settings, wanted):
    (tmp_path / "plan.json").write_text(json.dumps(settings))
    said = dltasks("train", "image", "samples", "--out", tmp_path / "o", "--config", tmp_path / "plan.json")
    assert said.returncode == 2 and said.stderr.startswith(f"dltasks: {wanted}")


@pytest.mark.parametrize(
    "arguments, wanted",
    [
        (["evaluate", "objects", "nowhere"], "nowhere: no such file or folder"),
        (["show", "nothing"], "no model 'nothing'"),
        (["export", "nothing"], "no model 'nothing'"),
        (["train", "image", "nowhere", "--out", "o"], "nowhere: no such file or folder"),
        (["train", "image", "samples", "--out", "tests"], "tests: there already, and not a bundle"),
        (
            ["train", "--config-from", "nothing", "samples", "--out", "o"],
            "neither a bundled model nor a bundle",
        ),
    ],
)
def test_a_bad_run_of_a_verb_is_one_line(arguments, wanted):
    said = dltasks(*arguments)
    assert said.returncode == 1
    assert said.stderr.splitlines()[-1].startswith("dltasks: ") and wanted in said.stderr.splitlines()[-1]
    assert not (ROOT / "o").exists() and not (ROOT / "o.partial").exists()


def test_a_file_made_elsewhere_loads_with_its_labels(tmp_path):
    model = (ROOT / "models/objects/model.tflite").read_bytes()
    (tmp_path / "theirs.tflite").write_bytes(model)
    bare = dltasks("classify", "--model", tmp_path / "theirs.tflite", COFFEE)
    assert bare.returncode == 1 and "--labels" in bare.stderr
    labels = ROOT / "models/objects/labels.txt"
    said = dltasks("classify", "--model", tmp_path / "theirs.tflite", "--labels", labels, COFFEE)
    assert said.returncode == 0 and "espresso" in said.stdout


def test_a_level_that_disagrees_is_refused_and_names_the_next(tmp_path):
    out, data = tmp_path / "x.tflite", drawings.folder(tmp_path / "drawn", 16)
    said = dltasks(
        "export", "objects", "--quantize", "int8", "--data", data, "--min-agreement", 1, "--out", out
    )
    assert said.returncode == 1 and not out.exists()
    assert re.search(r"agrees with the network on \d+\.\d% of 48 examples", said.stderr)
    assert "nothing was written; try --quantize dynamic" in said.stderr


@pytest.mark.parametrize("level", ["none", "weight-int8", "dynamic", "int8"])
def test_every_level_is_written_and_smaller_than_the_last(tmp_path, trained, level):
    out = tmp_path / "x.tflite"
    said = dltasks(
        "export", trained.bundle, "--quantize", level, "--min-agreement", 0.5, "--out", out, "--json"
    )
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found["quantize"] == level and found["agreement"] > 0.5
    whole = 4 * library.load(trained.bundle).manifest["parameters"]
    # Weights alone are made small in products, not in the tables of vectors that a text's pieces are looked up in.
    share = 1.1 if level == "none" else 0.6 if (trained.task, level) == ("summary", "weight-int8") else 0.3
    # A small network has its tables and operations beside its weights.
    assert found["bytes"] < share * whole + 50_000


def test_many_photos_come_back_in_order(tmp_path):
    image = Image.open(COFFEE).resize((64, 64))
    for number in range(200):
        image.save(tmp_path / f"{number:04}.jpg")
    said = dltasks("classify", tmp_path, "--json", "--top-k", 1)
    assert [json.loads(line)["input"][-8:] for line in said.stdout.splitlines()] == [
        f"{number:04}.jpg" for number in range(200)
    ]


@pytest.mark.parametrize("verb", [("classify", COFFEE), ("listen", ROOT / "samples/speech/yes.flac")])
def test_an_output_that_takes_no_more_is_one_line(tmp_path, verb):
    with open(tmp_path / "answers.txt", "w") as file:
        ran = subprocess.run(
            [*COMMAND, *map(str, verb)],
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        )
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == "dltasks: standard output: File too large"
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("verb", [("train", "image", ROOT / "samples/image"), ("export", "objects")])
def test_an_out_that_can_not_be_written_is_told_before_any_work(verb, tmp_path):
    (tmp_path / "file").write_text("")
    said = dltasks(*verb, "--out", tmp_path / "file" / "out")
    assert said.returncode == 1 and said.stderr.count("\n") == 1
    assert f"{tmp_path}/file/out: can't be written" in said.stderr and "another --out" in said.stderr


def test_scores_need_no_place_to_write_to(tmp_path, monkeypatch):
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setitem(ENVIRONMENT, name, "/proc/none")
    texts = data_summary.make(tmp_path / "data", 4)
    said = dltasks("evaluate", "sentences", texts, "--json")
    assert said.returncode == 0 and json.loads(said.stdout)["count"] == 4
