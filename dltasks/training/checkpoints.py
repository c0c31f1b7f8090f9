"""The folder of a training run: its state and weights after each epoch, and its lock."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.config import TrainingConfig, with_overrides
from dltasks.errors import TrainingError
from dltasks.files import atomic_write, os_errors_as, write_json

RUN_FILE, INPUTS_FILE = "run.json", "inputs.json"
"""Records of a run and of its encoded inputs; a folder without them is not used."""


@dataclass
class TrainingState:
    """Progress of a run.

    Attributes:
        epoch: number of completed epochs.
        completed: fraction of the run, 0 to 1, that the schedules follow.
        best_metrics: validation metrics of the best epoch.
        best_epoch: number of the best epoch; 0 is the network before training.
        history: metrics of each epoch.
        seconds: seconds that the run has taken.
        interrupted: whether the user stopped the run.
    """

    epoch: int = 0
    completed: float = 0.0
    best_metrics: dict[str, float] | None = None
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False


def partial_folder(out: Path) -> Path:
    """The folder of the run that writes `out`."""
    return out.with_name(out.name + ".partial")


@dataclass
class RunDirectory:
    """The folder of a run; `keep` says whether it stays when the run ends, to be resumed."""

    folder: Path
    keep: bool


@contextmanager
def locked(folder: Path) -> Iterator[RunDirectory]:
    """The folder of a run, locked against other runs. Raises TrainingError."""
    from filelock import FileLock, Timeout

    run_directory = RunDirectory(folder, folder.is_dir())
    lock = FileLock(folder / "lock")
    with os_errors_as(TrainingError, folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise TrainingError(
                f"{folder}: another run works there; wait for it to finish, or choose another --out"
            ) from error
    try:
        yield run_directory
    finally:
        if not run_directory.keep:
            _remove(folder)
        lock.release()
        if not run_directory.keep:
            with suppress(OSError):  # Windows keeps the file of a lock in use
                folder.rmdir()


def _remove(folder: Path) -> None:
    """Remove a run, its records first: what is left of an interrupted removal is not used."""
    for name in (RUN_FILE, INPUTS_FILE):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def start_or_resume(
    folder: Path,
    task: str,
    config: TrainingConfig,
    settings: dict[str, Any],
    resume: bool,
    data_description: str,
) -> tuple[TrainingState, TrainingConfig, str]:
    """The state, config and data description to start from: new ones, or those of the interrupted run.

    settings: the fields of the config that the user set; a resumed run takes only changeable ones. Raises
    TrainingError.
    """
    if resume:
        return _resume(folder, task, settings, data_description, type(config))
    if last_epoch(folder):
        raise TrainingError(
            f"{folder}: holds an interrupted run; continue it with --resume, or remove the folder"
        )
    return TrainingState(), config, data_description


def _resume(
    folder: Path,
    task: str,
    settings: dict[str, Any],
    data_description: str,
    config_class: type[TrainingConfig],
) -> tuple[TrainingState, TrainingConfig, str]:
    run = read_run(folder)
    if not run:
        raise TrainingError(f"{folder}: no interrupted run to resume; leave out --resume")
    if run["task"] != task:
        raise TrainingError(f"{folder}: holds an interrupted run of {run['task']}, not of {task}")
    config = config_class(**run["config"])
    changeable = [setting.name for setting in fields(config) if setting.metadata.get("changeable_on_resume")]
    for name, value in settings.items():
        recorded = getattr(config, name, None)
        if name not in changeable and value != recorded:
            raise TrainingError(
                f"--resume uses the run's own settings, {name} {recorded} among them; only "
                f"{', '.join(changeable)} can be changed"
            )
    state = TrainingState(**run["state"])
    return state, with_overrides(config, settings), data_description or run["data_description"]


def read_run(folder: Path) -> dict[str, Any]:
    """The record of the run in this folder; empty if there is none. Raises TrainingError."""
    if not (folder / RUN_FILE).is_file():
        return {}
    try:
        return json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainingError(
            f"{folder / RUN_FILE}: damaged; remove its folder and start training again"
        ) from error


def last_epoch(folder: Path) -> int:
    """Number of the last epoch that is stored in this folder; 0 if there is none."""
    return read_run(folder).get("state", {}).get("epoch", 0)


def save_run(
    folder: Path, task: str, config: TrainingConfig, state: TrainingState, data_description: str
) -> None:
    """Write the record of a new run."""
    record = {
        "task": task,
        "config": asdict(config),
        "state": asdict(state),
        "data_description": data_description,
    }
    write_json(folder / RUN_FILE, record)


def save_state(folder: Path, state: TrainingState) -> None:
    """Update the state in the record of a run."""
    write_json(folder / RUN_FILE, read_run(folder) | {"state": asdict(state)})


def weights_path(folder: Path, epoch: int) -> Path:
    """The checkpoint of an epoch."""
    return folder / f"epoch-{epoch}.npz"


def prune_checkpoints(folder: Path, state: TrainingState) -> None:
    """Remove the checkpoints of all epochs but the last and the best."""
    needed = [weights_path(folder, epoch) for epoch in (state.epoch, state.best_epoch)]
    for path in folder.glob("epoch-*.npz"):
        if path not in needed:
            path.unlink()


def save_checkpoint(training_model: Any, path: Path) -> None:
    """Write the weights and the state of the optimizer, atomically."""
    arrays: dict[str, Any] = {
        name: np.asarray(variable) for name, variable in _named_variables(training_model).items()
    }
    with atomic_write(path) as file:
        np.savez(file, **arrays)


def load_checkpoint(training_model: Any, path: Path, weights_only: bool = False) -> None:
    """Restore the weights, and the state of the optimizer unless `weights_only`.

    Raises TrainingError if the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name, variable in _named_variables(training_model, weights_only).items():
                variable.assign(arrays[name])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise TrainingError(
            f"{path}: missing or damaged; remove its folder and start training again"
        ) from error


def _named_variables(training_model: Any, weights_only: bool = False) -> dict[str, Any]:
    """Weights and states of random layers as w0, w1, ...; variables of the optimizer as o0, o1, ..."""
    weights = training_model.trainable_variables + training_model.non_trainable_variables
    variables = {f"w{i}": variable for i, variable in enumerate(weights)}
    if weights_only:
        return variables
    return variables | {f"o{i}": variable for i, variable in enumerate(training_model.optimizer.variables)}
