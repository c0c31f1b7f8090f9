"""Training runs whose disk is full, or whose data is lost or damaged."""

import json
import shutil
import subprocess

import data_image
import drawings
import pytest
from conftest import COMMAND, ENVIRONMENT, train_once

from dltasks.config import with_overrides
from dltasks.errors import TrainingError
from dltasks.progress import Progress
from dltasks.tasks.image import TASK
from dltasks.tasks.image.config import ImageConfig
from dltasks.tasks.image.data import load_examples
from dltasks.training import checkpoints, dataset


class Log(Progress):
    """Collects the lines."""

    def __init__(self):
        self.lines = []

    def log(self, text):
        self.lines.append(text)


def prepare(examples, folder, progress):
    config = with_overrides(ImageConfig(), data_image.SETTINGS)
    return dataset.prepare_dataset(TASK(), examples, config, folder, progress)


def test_a_file_that_is_lost_after_it_was_listed_is_named(tmp_path):
    data = drawings.folder(tmp_path / "data", 8)
    examples, progress = load_examples(data), Log()
    (data / "disc/003.jpg").unlink()
    (tmp_path / "work").mkdir()
    prepare(examples, tmp_path / "work", progress)
    assert f"skipped: {data}/disc/003.jpg: no such file" in progress.lines


def test_a_run_does_not_resume_with_other_data(tmp_path):
    data = drawings.folder(tmp_path / "data", 8)
    (tmp_path / "work").mkdir()
    prepare(load_examples(data), tmp_path / "work", Progress())
    (tmp_path / "work/run.json").write_text(json.dumps({"state": {"epoch": 1}}))
    (data / "disc/003.jpg").unlink()
    with pytest.raises(TrainingError, match="the data has changed since this run started; restore it"):
        prepare(load_examples(data), tmp_path / "work", Progress())


def test_a_damaged_record_is_reported(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(TrainingError, match="run.json: damaged; remove its folder and start training again"):
        checkpoints.start_or_resume(tmp_path, "image", ImageConfig(), {}, True, "")


MOUNT = ["unshare", "--map-root-user", "--mount"]
CAN_MOUNT = (
    shutil.which("unshare")
    and not subprocess.run([*MOUNT, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode
)


@pytest.mark.slow
@pytest.mark.skipif(not CAN_MOUNT, reason="no small disk can be made here")
def test_a_run_on_a_full_disk_resumes_when_there_is_room(tmp_path, tmp_path_factory):
    unbroken = train_once("image", "image", tmp_path_factory)
    settings = [f"--{name.replace('_', '-')}={value}" for name, value in data_image.SETTINGS.items()]
    train = [*COMMAND, "train", "image", str(unbroken.data), "--out", "disk/out", *settings]
    (tmp_path / "disk").mkdir()
    # The weights of two epochs fit, not those of a third.
    script = """
mount -t tmpfs -o size=60m none disk
"$@"
echo "exit code $?" >&2
mount -o remount,size=300m disk
"$@" --resume >&2 && sha256sum disk/out/model.tflite
"""
    process = subprocess.run(
        [*MOUNT, "sh", "-c", script, "sh", *train],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    lines = process.stderr.splitlines()
    assert "Traceback" not in process.stderr
    assert lines[lines.index("exit code 1") - 1] == "dltasks: disk/out.partial: No space left on device"
    assert "resuming after epoch 1" in lines
    manifest = json.loads((unbroken.bundle / "bundle.json").read_text())
    assert process.stdout.split()[0] == manifest["files"]["model.tflite"]
