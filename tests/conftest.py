"""Shared by the tests: the command, in this process or one of its own, and bundles trained once."""

import contextlib
import fcntl
import importlib
import io
import json
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parent.parent
TOY = ROOT / "tests/toy"
NETWORK = Path(tempfile.gettempdir()) / f"dltasks-tests-network-{os.getpid()}"
"""File that records each request for the network."""

ENVIRONMENT = {
    **os.environ,
    # offline/sitecustomize.py cuts every process off the network.
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests/offline")]),
    "DLTASKS_TESTS_NETWORK": str(NETWORK),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # As the command sets it, so that numbers here equal those of its own process.
    "OPENBLAS_NUM_THREADS": "1",
    "XDG_CACHE_HOME": str(Path(tempfile.gettempdir()) / "dltasks-tests"),
}
os.environ.update(ENVIRONMENT)
sys.path.insert(0, str(Path(__file__).parent))
importlib.import_module("offline.sitecustomize")

from dltasks import registry, tasks  # noqa: E402 - imports numpy, whose threads the environment sets

COMMAND = [sys.executable, "-m", "dltasks.cli.main"]
TOY_COMMAND = [sys.executable, str(ROOT / "tests/with_toy.py")]
TASKS = [*registry.task_names(), "toy"]
GROUPED_FILES = {f"test_{task}": f"test_{task}" for task in TASKS} | {
    "test_interruptions": "toy",
    "test_metadata": "test_metadata",
}
"""Files whose tests share a training or an export, and their groups."""

REPEATED_FILES = ("test_command", "test_contract")
"""Files whose tests are repeated for the training of each task."""


@dataclass(frozen=True)
class Result:
    """A finished command: its exit code and its output."""

    returncode: int
    stdout: str
    stderr: str


def dltasks(*arguments, input: bytes = b"", network: bool = False) -> Result:
    """Run `dltasks arguments` in this process, from the repository's root.

    network: whether the command may ask for the network, which it does not get.
    """
    from dltasks.cli.main import main

    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()
    NETWORK.unlink(missing_ok=True)
    stdin, stdout, stderr = (io.TextIOWrapper(io.BytesIO(content), "utf-8") for content in (input, b"", b""))
    with (
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        mock.patch.multiple(sys, argv=["dltasks", *map(str, arguments)], stdin=stdin),
        mock.patch.dict(os.environ, ENVIRONMENT),
        warnings.catch_warnings(),
        pytest.raises(SystemExit) as left,
    ):
        main()
    assert network or not NETWORK.exists(), NETWORK.read_text()
    return Result(left.value.code, *(_text(stream) for stream in (stdout, stderr)))


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode()


def run_process(*arguments, command: list[str] = COMMAND, cwd: Path = ROOT, **options) -> Result:
    """Run `dltasks arguments` as a process of its own. options: those of subprocess.run."""
    NETWORK.unlink(missing_ok=True)
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, cwd=cwd, env=ENVIRONMENT, **options
    )
    stdout, stderr = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in stderr, stderr
    assert not NETWORK.exists(), NETWORK.read_text()
    return Result(done.returncode, stdout, stderr)


def start_process(*arguments, command: list[str] = COMMAND, **options) -> subprocess.Popen:
    """Start `dltasks arguments` as a process of its own, its standard error in a pipe."""
    return subprocess.Popen(
        [*command, *map(str, arguments)], cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, **options
    )


def wait_for(process: subprocess.Popen, start: str) -> None:
    """Read the process's standard error up to a line that starts so."""
    next(line for line in process.stderr if line.startswith(start.encode()))


def to_options(settings: dict[str, object]) -> list[str]:
    """Training settings as options of the command."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]


@dataclass(frozen=True)
class Trained:
    """A bundle trained by the command, its data, and the command's result."""

    task: str
    data: Path
    bundle: Path
    result: Result

    @property
    def manifest(self) -> dict:
        """What bundle.json holds."""
        return json.loads((self.bundle / "bundle.json").read_text())


def train_once(task: str, name: str, factory: pytest.TempPathFactory, **settings) -> Trained:
    """A bundle of this name, trained on the task's small data set by the first process that asks for it."""
    folder = factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / name
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "trained").exists():
            return pickle.loads((folder / "trained").read_bytes())
        module = importlib.import_module(f"data_{task}")
        data, bundle = module.make(folder / "data"), folder / "bundle"
        options = to_options(module.SETTINGS | settings)
        result = dltasks("train", task, data, "--out", bundle, "--json", *options)
        assert result.returncode == 0, result.stderr
        trained = Trained(task, data, bundle, result)
        (folder / "trained").write_bytes(pickle.dumps(trained))
        return trained


@pytest.fixture(scope="session", params=registry.task_names())
def trained(request, tmp_path_factory) -> Trained:
    """A bundle of each task, trained on a small data set."""
    return train_once(request.param, request.param, tmp_path_factory)


@pytest.fixture(scope="module")
def toy():
    """The toy task among the tasks of this process."""
    tasks.__path__.append(str(TOY / "tasks"))
    yield
    tasks.__path__.remove(str(TOY / "tasks"))


class TaskScheduling(LoadScopeScheduling):
    """Runs tests that share a training in one process, so that none waits for another's."""

    def _split_scope(self, nodeid: str) -> str:
        path, _, test = nodeid.partition("::")
        file = Path(path).stem
        if file in REPEATED_FILES:
            parameters = test.partition("[")[2].removesuffix("]").split("-")
            return next((task for task in TASKS if task in parameters), nodeid)
        return GROUPED_FILES.get(file, nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log) -> TaskScheduling:
    """Called by pytest-xdist, whose own --dist=loadgroup groups nothing under pytest 9.2."""
    return TaskScheduling(config, log)
