"""The command: help, names, completion, output in every form, errors in one line."""

import json
import re
import resource
import subprocess
from dataclasses import fields
from pathlib import Path

import data_summary
import drawings
import numpy as np
import pytest
from completion import Terminal, is_installed, write_command
from conftest import COMMAND, ENVIRONMENT, ROOT, dltasks
from PIL import Image

import dltasks as library
from dltasks import registry
from dltasks.cli.main import command_files, first_docstring_line

COFFEE = ROOT / "samples/image/coffee.jpg"


GROUPS = {
    "classify": ["Model", "Output", "Performance", "Third-party models"],
    "evaluate": ["Input", "Output", "Performance", "Third-party models"],
    "export": ["Input", "Output", "Checks"],
    "train image": ["Run", "Data", "Schedule", "Output"],
}


@pytest.mark.parametrize("command", [*command_files(), *(f"train {task}" for task in registry.task_names())])
def test_every_command_has_a_help_with_groups_and_two_examples(command):
    result = dltasks(*command.split(), "--help")
    assert result.returncode == 0 and result.stdout.startswith(f"Usage: dltasks {command}")
    options, _, examples = result.stdout.partition("\nOptions:\n")[2].partition("\nExamples:\n")
    names = re.findall(r"^  (-\S+)", options, re.MULTILINE)
    assert names == ["-h,"], "options without a group"
    examples = examples.splitlines()
    assert len(examples) >= 2
    assert all(re.search(rf"dltasks {command.split()[0]}\b", example) for example in examples)
    assert dltasks(*command.split(), "-h").stdout == result.stdout


@pytest.mark.parametrize("command", GROUPS)
def test_options_are_listed_in_groups(command):
    headings = re.findall(r"^([A-Z][A-Za-z -]+):$", dltasks(*command.split(), "--help").stdout, re.MULTILINE)
    assert [heading for heading in headings if heading in GROUPS[command]] == GROUPS[command]
    assert headings[-2:] == ["Options", "Examples"]


def test_every_setting_of_a_task_is_in_its_help():
    for task in registry.task_names():
        stdout = dltasks("train", task, "--help").stdout
        for setting in fields(registry.find_task(task).config):
            assert f"--{setting.name.replace('_', '-')} " in stdout


def test_help_lists_every_command_with_the_first_line_of_its_file():
    stdout = " ".join(dltasks("--help").stdout.split())
    for name, path in command_files().items():
        assert f" {name} {first_docstring_line(path)}" in stdout


def write_below(folder: Path, arguments: list) -> list:
    """The arguments of a command, its --out in a folder of the test."""
    return [folder / "o" if argument == "o" else argument for argument in arguments]


def test_version():
    assert dltasks("--version").stdout == f"dltasks, version {library.__version__}\n"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["clasify", "photo.jpg"], "did you mean classify?"),
        (["train", "imgae", "data", "--out", "o"], "did you mean image?"),
        (["train", "samples", "--out", "o"], "name the task first: dltasks train fraud samples --out ..."),
        (["doctor", "samples/image", "--task", "imgae"], "did you mean image?"),
        (["doctor", "samples/image", "--fixx"], "--fix"),
        (["doctor", "samples/image", "--validation-splt", "0.2"], "--validation-split"),
        (["train", "image", "data", "--ephocs", "3"], "--epochs"),
        (["train", "image", "samples/image", "--out", "o", "--backbone", "objcts"], "did you mean objects?"),
        (["train", "--config-from", "objects", "data", "--ephocs", "3"], "--epochs"),
    ],
)
def test_a_mistyped_name_is_wrong_usage_and_names_the_nearest(arguments, message, tmp_path):
    result = dltasks(*write_below(tmp_path, arguments))
    assert result.returncode == 2 and message in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", command_files())
def test_a_mistyped_option_names_the_nearest(command):
    arguments = [command, "image", "--halp"] if command == "train" else [command, "--halp"]
    result = dltasks(*arguments, "samples/image")
    assert result.returncode == 2 and "--help" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "objcts"],
        ["verify", "objcts"],
        ["export", "objcts"],
        ["benchmark", "objcts"],
        ["benchmark", "objects", "--compare", "objcts"],
        ["evaluate", "objcts", "samples/image"],
        ["predict", "objcts", COFFEE],
        ["classify", "--model", "objcts", COFFEE],
        ["recognize", "-m", "objcts", COFFEE],
        ["listen", "-m", "objcts", COFFEE],
        ["summarize", "-m", "objcts", COFFEE],
        ["detect-fraud", "-m", "objcts", "samples/fraud/tomorrow.csv"],
        ["train", "--config-from", "objcts", "samples/image", "--out", "o"],
        ["train", "image", "samples/image", "--out", "o", "--config-from", "objcts"],
    ],
)
def test_a_mistyped_model_names_the_nearest(arguments, tmp_path):
    result = dltasks(*write_below(tmp_path, arguments))
    assert result.returncode == 1 and "did you mean objects?" in result.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_an_unknown_name_lists_the_known_ones():
    assert "commands: benchmark, classify" in dltasks("qqq").stderr
    assert "tasks: fraud, image" in dltasks("train", "qqq", "data").stderr
    assert "tasks: fraud, image" in dltasks("doctor", "samples/image", "--task", "qqq").stderr
    assert "cards, commands" in dltasks("show", "qqq").stderr
    assert "cards, commands" in dltasks("verify", "qqq").stderr


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_shell_completes_commands_options_tasks_models_and_files(shell, tmp_path):
    if not is_installed(shell):
        pytest.skip(f"{shell} is not installed")
    write_command(tmp_path / "bin", COMMAND)
    environment = ENVIRONMENT | {
        "HOME": str(tmp_path),
        "ZDOTDIR": str(tmp_path),
        "PATH": f"{tmp_path / 'bin'}:{ENVIRONMENT['PATH']}",
        "TERM": "dumb",
    }
    page = (ROOT / "docs/command-line.md").read_text()
    installation = re.findall(rf"```{shell}\n(.*?)```", page, re.DOTALL)[0]
    subprocess.run([shell, "-c", installation], env=environment, check=True)
    (tmp_path / "holiday-photos").mkdir()
    startup = ["--rcfile", str(tmp_path / ".bashrc")] if shell == "bash" else []
    with Terminal([shell, *startup, "-i"], tmp_path, environment) as terminal:
        for line, completed in (
            ("dltasks cla", "dltasks classify "),
            ("dltasks classify --thr", "dltasks classify --threads "),
            ("dltasks train im", "dltasks train image "),
            ("dltasks train image --ep", "dltasks train image --epochs "),
            ("dltasks show obj", "dltasks show objects "),
            ("dltasks classify --model comm", "dltasks classify --model commands "),
            ("dltasks doctor --task spe", "dltasks doctor --task speech "),
            ("dltasks classify holi", "dltasks classify holiday-photos/"),
        ):
            assert terminal.complete(line, completed), completed


@pytest.mark.parametrize(
    "words, completions",
    [
        (["train", ""], {"plain,fraud", "plain,image", "plain,speech", "plain,summary"}),
        (["show", "head"], {"file,head", "plain,headlines"}),
        (["train", "image", "--config-from", "comm"], {"file,comm", "plain,commands"}),
        (["train", "--config-from", "commands", "data", "--equal"], {"plain,--equalizer-db"}),
        (["train", "--config-from", "nothing", "data", "--ep"], set()),
        (["clasify", "--to"], set()),
        (["doctor", "--task", "im"], {"plain,image"}),
    ],
)
def test_completion_offers_the_names_that_fit(words, completions, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "_DLTASKS_COMPLETE", "bash_complete")
    monkeypatch.setitem(ENVIRONMENT, "COMP_WORDS", " ".join(["dltasks", *words]))
    monkeypatch.setitem(ENVIRONMENT, "COMP_CWORD", str(len(words)))
    result = dltasks()
    assert result.returncode == 0 and not result.stderr
    assert set(result.stdout.split()) == completions


def test_json_lines_hold_labels_and_probabilities():
    result = dltasks("classify", COFFEE, "--json", "--top-k", 3)
    content = json.loads(result.stdout)
    assert content["input"] == str(COFFEE) and content["model"] == "objects"
    assert [sorted(label) for label in content["labels"]] == [["label", "probability"]] * 3
    assert content["labels"][0]["label"] == "espresso"


def test_a_failed_input_is_an_object_with_its_error():
    result = dltasks("classify", "nowhere.jpg", COFFEE, "--json")
    assert result.returncode == 1
    first, second = map(json.loads, result.stdout.splitlines())
    assert first == {"input": "nowhere.jpg", "error": "nowhere.jpg: no such file"}
    assert second["input"] == str(COFFEE)


def test_csv_has_a_row_for_each_label():
    result = dltasks("classify", COFFEE, "--csv", "--top-k", 2)
    lines = result.stdout.splitlines()
    assert lines[0] == "input,rank,label,probability,uncertain,group,group_probability" and len(lines) == 3
    assert lines[1].startswith(f"{COFFEE},1,espresso,0.")


def test_standard_input_lists_and_folders_are_taken(tmp_path):
    (tmp_path / "list.txt").write_text(f"{COFFEE}\n\n{ROOT / 'samples/image/cat.jpg'}\n")
    result = dltasks(
        "classify", "-", f"@{tmp_path / 'list.txt'}", ROOT / "samples/image", input=COFFEE.read_bytes()
    )
    inputs = [line.partition(": ")[0] for line in result.stdout.splitlines()]
    folder = [str(ROOT / "samples/image" / name) for name in ("cat.jpg", "coffee.jpg", "rocket.jpg")]
    assert inputs == ["-", str(COFFEE), str(ROOT / "samples/image/cat.jpg"), *folder]


def test_a_prediction_below_the_threshold_is_uncertain(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    result = dltasks("classify", tmp_path / "noise.png", COFFEE, "--json")
    assert [json.loads(line)["uncertain"] for line in result.stdout.splitlines()] == [True, False]


def test_an_unknown_model_names_the_nearest():
    result = dltasks("predict", "object", COFFEE)
    assert result.returncode == 1 and "did you mean objects?" in result.stderr
    assert result.stderr.count("\n") == 1


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
def test_wrong_usage_leaves_with_2(arguments, tmp_path):
    result = dltasks(*write_below(tmp_path, arguments))
    assert result.returncode == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"epochs": "three"}, "epochs is 'three'; expected a whole number"),
        ({"epochs": 2.5}, "epochs is 2.5; expected a whole number"),
        ({"epochs": True}, "epochs is True; expected a whole number"),
        ({"balance": "yes"}, "balance is 'yes'; expected true or false"),
        ({"time_limit": "5"}, "time_limit is '5'; expected a number"),
        ({"sise": 64}, "no setting 'sise'"),
    ],
)
def test_settings_of_a_wrong_type_are_refused(tmp_path, settings, message):
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    result = dltasks(
        "train", "image", "samples", "--out", tmp_path / "o", "--config", tmp_path / "settings.json"
    )
    assert result.returncode == 2 and result.stderr.startswith(f"dltasks: {message}")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["evaluate", "objects", "nowhere"], "nowhere: no such file or folder"),
        (["show", "nothing"], "no model 'nothing'"),
        (["export", "nothing"], "no model 'nothing'"),
        (["train", "image", "nowhere", "--out", "o"], "nowhere: no such file or folder"),
        (["train", "image", "samples", "--out", "tests"], "tests: already exists and is not a bundle"),
        (
            ["train", "--config-from", "nothing", "samples", "--out", "o"],
            "neither a bundled model nor a bundle",
        ),
    ],
)
def test_an_error_of_a_command_is_one_line(arguments, message, tmp_path):
    result = dltasks(*write_below(tmp_path, arguments))
    assert result.returncode == 1
    assert (
        result.stderr.splitlines()[-1].startswith("dltasks: ") and message in result.stderr.splitlines()[-1]
    )
    assert not list(tmp_path.iterdir())


def test_a_third_party_file_loads_with_labels(tmp_path):
    model = (ROOT / "models/objects/model.tflite").read_bytes()
    (tmp_path / "third-party.tflite").write_bytes(model)
    bare = dltasks("classify", "--model", tmp_path / "third-party.tflite", COFFEE)
    assert bare.returncode == 1 and "--labels" in bare.stderr
    labels = ROOT / "models/objects/labels.txt"
    result = dltasks("classify", "--model", tmp_path / "third-party.tflite", "--labels", labels, COFFEE)
    assert result.returncode == 0 and "espresso" in result.stdout


def test_a_quantization_mode_below_the_minimum_agreement_is_refused_and_the_next_named(tmp_path):
    out, data = tmp_path / "x.tflite", drawings.folder(tmp_path / "drawn", 16)
    result = dltasks(
        "export", "objects", "--quantize", "int8", "--data", data, "--min-agreement", 1, "--out", out
    )
    assert result.returncode == 1 and not out.exists()
    assert re.search(r"agrees with the network on \d+\.\d% of 48 examples", result.stderr)
    assert "nothing was written; try --quantize dynamic" in result.stderr


def test_many_photos_come_back_in_order(tmp_path):
    image = Image.open(COFFEE).resize((64, 64))
    for number in range(200):
        image.save(tmp_path / f"{number:04}.jpg")
    result = dltasks("classify", tmp_path, "--json", "--top-k", 1)
    assert [json.loads(line)["input"][-8:] for line in result.stdout.splitlines()] == [
        f"{number:04}.jpg" for number in range(200)
    ]


@pytest.mark.parametrize("command", [("classify", COFFEE), ("listen", ROOT / "samples/speech/yes.flac")])
def test_a_full_standard_output_is_one_line(tmp_path, command):
    with open(tmp_path / "predictions.txt", "w") as file:
        process = subprocess.run(
            [*COMMAND, *map(str, command)],
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        )
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == "dltasks: standard output: File too large"
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("command", [("train", "image", ROOT / "samples/image"), ("export", "objects")])
def test_an_out_that_can_not_be_written_is_reported_before_any_work(command, tmp_path):
    (tmp_path / "file").write_text("")
    result = dltasks(*command, "--out", tmp_path / "file" / "out")
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert f"{tmp_path}/file/out: can't be written" in result.stderr and "another --out" in result.stderr


def test_evaluation_needs_no_writable_folder(tmp_path, monkeypatch):
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setitem(ENVIRONMENT, name, "/proc/none")
    texts = data_summary.make(tmp_path / "data", 4)
    result = dltasks("evaluate", "sentences", texts, "--json")
    assert result.returncode == 0 and json.loads(result.stdout)["count"] == 4
