"""What the tests share: the command as a process, and one bundle of each task, trained once."""

import fcntl
import importlib
import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from dltasks import registry

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent))
COMMAND = [sys.executable, "-m", "dltasks.cli.main"]
NETWORK = Path(tempfile.gettempdir()) / f"dltasks-tests-network-{os.getpid()}"
"""Where a process of the tests that asks for the network is written down."""

ENVIRONMENT = {
    **os.environ,
    # offline/sitecustomize.py cuts every process off the network.
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests/offline")]),
    "DLTASKS_TESTS_NETWORK": str(NETWORK),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # What is kept between runs stays among the tests' own files.
    "XDG_CACHE_HOME": str(Path(tempfile.gettempdir()) / "dltasks-tests"),
}


def dltasks(*arguments, input: bytes | None = None, cwd=ROOT, network: bool = False, **options):
    """The finished process of `dltasks arguments`. network: whether it may ask for the network, which it does not get."""
    NETWORK.unlink(missing_ok=True)
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
    assert network or not NETWORK.exists(), NETWORK.read_text()
    return found


@dataclass(frozen=True)
class Trained:
    """A bundle that the command trained, its data, and what the process said."""

    task: str
    data: Path
    bundle: Path
    said: subprocess.CompletedProcess


def train_once(task: str, name: str, factory, **settings) -> Trained:
    """A bundle of this name, trained on the task's small data set by the first process of the tests that asks."""
    place = factory.getbasetemp()
    place = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / name
    place.mkdir(exist_ok=True)
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (place / "said").exists():
            return pickle.loads((place / "said").read_bytes())
        kind = importlib.import_module(f"data_{task}")
        options = [f"--{key.replace('_', '-')}={value}" for key, value in (kind.SETTINGS | settings).items()]
        data = kind.make(place / "data")
        said = dltasks("train", task, data, "--out", place / "bundle", "--json", *options)
        assert said.returncode == 0, said.stderr
        found = Trained(task, data, place / "bundle", said)
        (place / "said").write_bytes(pickle.dumps(found))
        return found


@pytest.fixture(scope="session", params=registry.task_names())
def trained(request, tmp_path_factory) -> Trained:
    """A bundle of each task, trained on a small data set of the test's own."""
    return train_once(request.param, request.param, tmp_path_factory)
