"""Every command once as a process of its own: its exit code, and no output of native libraries."""

import re

import data_toy
import pytest
from conftest import ROOT, TOY_COMMAND, run_process, to_options, train_once

from dltasks.cli.main import command_files

SAMPLES = ROOT / "samples"
PREDICTIONS = {
    "benchmark": ["cards", "--json"],
    "classify": [SAMPLES / "image/coffee.jpg"],
    "detect-fraud": [SAMPLES / "fraud/tomorrow.csv"],
    "evaluate": ["cards", SAMPLES / "fraud/transactions.csv"],
    "listen": [SAMPLES / "speech/go-happy-right-no.flac"],
    "models": [],
    "predict": ["objects", SAMPLES / "image/coffee.jpg"],
    "recognize": [SAMPLES / "speech/yes.flac"],
    "show": ["objects"],
    "summarize": [SAMPLES / "summary/abstract.txt"],
    "verify": ["cards"],
}
"""Arguments of the commands that need no data of the user's own."""

NATIVE = re.compile(
    r"^(INFO|WARNING|ERROR)\b|^[IWEF]\d{4} |^\d{4}-\d\d-\d\d |XNNPACK|TensorFlow|cuda", re.MULTILINE
)
"""Lines that native libraries print."""


@pytest.mark.parametrize("command", PREDICTIONS)
def test_a_command_of_the_base_install_runs_as_a_process(command):
    result = run_process(command, *PREDICTIONS[command])
    assert result.returncode == 0 and result.stdout, result.stderr
    assert not NATIVE.search(result.stderr), result.stderr


def test_training_and_exporting_run_as_processes(tmp_path, toy, tmp_path_factory):
    trained, out = train_once("toy", "toy", tmp_path_factory), tmp_path / "out"
    options = to_options(data_toy.SETTINGS | {"epochs": 1})
    result = run_process("train", "toy", trained.data, "--out", out, *options, command=TOY_COMMAND)
    assert result.returncode == 0, result.stderr
    assert not result.stdout and result.stderr.splitlines()[-1].startswith(f"{out}: ")
    assert not NATIVE.search(result.stderr), result.stderr
    result = run_process("export", out, "--out", tmp_path / "toy.tflite", command=TOY_COMMAND)
    assert result.returncode == 0 and result.stdout, result.stderr
    assert result.stderr == f"written: {tmp_path / 'toy.tflite'}\n"


def test_the_doctor_runs_as_a_process():
    result = run_process("doctor", SAMPLES / "fraud/transactions.csv")
    assert result.returncode == 0 and "0 errors" in result.stdout + result.stderr


def test_every_command_is_run_here():
    assert {*PREDICTIONS, "train", "export", "doctor"} == set(command_files())


@pytest.mark.parametrize(
    "arguments, code",
    [(["--version"], 0), (["classify", "missing.jpg"], 1), (["classify"], 2), (["train", "image"], 2)],
)
def test_exit_codes_are_those_of_the_process(arguments, code):
    assert run_process(*arguments).returncode == code
