"""What the tests share: the command as a process, and one bundle of each task, trained once."""

import importlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from dltasks import tasks

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent))
COMMAND = [sys.executable, "-m", "dltasks.cli.main"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


def dltasks(*arguments, input: bytes | None = None, cwd=ROOT, **options):
    """The finished process of `dltasks arguments`."""
    found = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=input,
        capture_output=True,
        cwd=cwd,
        env=ENVIRONMENT,
        **options,
    )
    found.stdout, found.stderr = found.stdout.decode(), found.stderr.decode()
    assert "Traceback" not in found.stderr, found.stderr
    return found


@dataclass(frozen=True)
class Trained:
    """A bundle that the command trained, its data, and what the process said."""

    task: str
    data: Path
    bundle: Path
    said: subprocess.CompletedProcess


@pytest.fixture(scope="session", params=tasks.names())
def trained(request, tmp_path_factory) -> Trained:
    """A bundle of each task, trained on a small data set of the test's own."""
    kind = importlib.import_module(f"data_{request.param}")
    place = tmp_path_factory.mktemp(request.param)
    data = kind.make(place / "data")
    settings = [f"--{name.replace('_', '-')}={value}" for name, value in kind.SETTINGS.items()]
    said = dltasks("train", request.param, data, "--out", place / "bundle", "--json", *settings)
    assert said.returncode == 0, said.stderr
    return Trained(request.param, data, place / "bundle", said)
