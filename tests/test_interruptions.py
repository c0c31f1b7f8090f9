"""Training runs that are killed or interrupted, or lose their disk or data; on the toy task."""

import json
import random
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import data_toy
import pytest
from conftest import (
    ENVIRONMENT,
    TOY_COMMAND,
    dltasks,
    run_process,
    start_process,
    to_options,
    train_once,
    wait_for,
)

import dltasks as library
from dltasks.errors import DataError
from dltasks.progress import Progress

pytestmark = pytest.mark.usefixtures("toy")


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory):
    """A bundle of the toy task, trained without a break."""
    return train_once("toy", "toy", tmp_path_factory)


def train_arguments(trained, out: Path, **settings) -> list[str]:
    return ["train", "toy", str(trained.data), "--out", str(out), *to_options(data_toy.SETTINGS | settings)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def kill(process: subprocess.Popen, seconds: float) -> None:
    """Send SIGKILL after so many seconds."""
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    "seed", [0, 1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_a_run_killed_at_any_moment_resumes_to_the_same_result(trained, tmp_path, seed):
    moment = random.Random(seed)
    out = tmp_path / "killed"
    arguments = train_arguments(trained, out)
    process = start_process(*arguments, command=TOY_COMMAND)
    if moment.random() < 0.7:
        wait_for(process, moment.choice(trained.result.stderr.partition("epoch 1/")[0].splitlines()))
    kill(process, moment.uniform(0, 0.3))
    saved = (tmp_path / "killed.partial/run.json").is_file()
    process = start_process(*arguments, *["--resume"] * saved, command=TOY_COMMAND)
    wait_for(process, "epoch 1/")
    process.send_signal(signal.SIGSTOP)
    second = dltasks(*arguments, "--resume")
    assert second.returncode == 1 and "another run" in second.stderr
    process.send_signal(signal.SIGCONT)
    if later := moment.choice(["", "epoch 2/", "epoch 3/", "writing the bundle"]):
        wait_for(process, later)
    process.kill()
    process.wait()
    again = dltasks(*arguments)
    assert again.returncode == 1 and "--resume" in again.stderr
    other = dltasks(*arguments, "--resume", "--seed", 5)
    assert other.returncode == 1 and "own settings, seed 0" in other.stderr
    resumed = dltasks(*arguments, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert " after epoch " in resumed.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["killed"]
    manifest = json.loads((out / "bundle.json").read_text())
    assert manifest["config"] == trained.manifest["config"]
    assert manifest["files"]["model.tflite"] == trained.manifest["files"]["model.tflite"]


def test_an_interrupted_run_keeps_the_best_and_says_how_to_resume(trained, tmp_path):
    out = tmp_path / "cut"
    process = start_process(
        *train_arguments(trained, out, epochs=5000, patience=5000),
        command=TOY_COMMAND,
        # A shell starts background jobs with SIGINT ignored, and their children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for(process, "epoch 1/")
    process.send_signal(signal.SIGINT)
    stderr = process.stderr.read().decode()
    assert process.wait() == 130, stderr
    assert "Traceback" not in stderr and "--resume" in stderr.splitlines()[-1]
    assert library.load(out).manifest["training"]["interrupted"] is True


class DataLoss(Progress):
    """Removes a data set after the first epoch, and stops the run."""

    def __init__(self, data: Path):
        self.data, self.lines = data, []

    def log(self, text):
        self.lines.append(text)
        if text.startswith("epoch 1/"):
            shutil.rmtree(self.data)
            raise KeyboardInterrupt


def test_data_lost_during_a_run_is_named_and_costs_nothing_else(trained, tmp_path):
    data, out = Path(shutil.copytree(trained.data, tmp_path / "data")), tmp_path / "out"
    progress = DataLoss(data)
    library.train("toy", data, out, progress=progress, **data_toy.SETTINGS)
    skipped = [line for line in progress.lines if line.startswith("skipped: ")]
    assert skipped
    assert all(line.startswith(f"skipped: {data}") and "no such file" in line for line in skipped)
    checkpoints = contents(tmp_path / "out.partial")
    with pytest.raises(DataError, match="no such file or folder"):
        library.train("toy", data, out, resume=True)
    assert contents(tmp_path / "out.partial") == checkpoints
    assert library.load(out).manifest["training"]["interrupted"] is True


def test_config_from_trains_with_the_config_of_a_bundle(trained, tmp_path):
    out = tmp_path / "again"
    result = dltasks("train", "--config-from", trained.bundle, trained.data, "--out", out, "--epochs", 1)
    assert result.returncode == 0, result.stderr
    config = json.loads((out / "bundle.json").read_text())["config"]
    assert config == trained.manifest["config"] | {"epochs": 1}


def test_a_full_disk_leaves_the_old_bundle_intact(trained, tmp_path):
    old = Path(shutil.copytree(trained.bundle, tmp_path / "old"))
    before = contents(old)
    result = run_process(
        *train_arguments(trained, old),
        command=TOY_COMMAND,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, 4_000)),
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("dltasks: ")
    assert contents(old) == before


MOUNT = ["unshare", "--map-root-user", "--mount"]
CAN_MOUNT = (
    shutil.which("unshare")
    and not subprocess.run([*MOUNT, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode
)

FILL_DISK = """
mount -t tmpfs -o size=8m none disk
{ "$@"; echo "exit code $?"; } 2>&1 | while read -r line; do
    echo "$line"
    case $line in "epoch 1/"*) head -c 20m /dev/zero > disk/filler 2> /dev/null;; esac
done
rm disk/filler
"$@" --resume 2>&1 && sha256sum disk/out/model.tflite
"""
"""Train on a small disk that fills up after the first epoch, then resume with room."""


@pytest.mark.skipif(not CAN_MOUNT, reason="no small disk can be made here")
def test_a_run_on_a_full_disk_resumes_when_there_is_room(trained, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "script").write_text(FILL_DISK)
    train = train_arguments(trained, Path("disk/out"), epochs=40)
    done = subprocess.run(
        [*MOUNT, "sh", tmp_path / "script", *TOY_COMMAND, *train],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert "Traceback" not in done.stdout + done.stderr
    failure = lines[lines.index("exit code 1") - 1]
    assert failure.startswith("dltasks: disk/out") and failure.endswith("No space left on device")
    assert any(" after epoch " in line for line in lines)
    unbroken = tmp_path / "unbroken"
    assert dltasks(*train_arguments(trained, unbroken, epochs=40)).returncode == 0
    files = json.loads((unbroken / "bundle.json").read_text())["files"]
    assert lines[-1].split()[0] == files["model.tflite"]
