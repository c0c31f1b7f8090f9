"""The folder of a training run: what a run that was cut off goes on from, and who may work there."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from dltasks.config import TrainingConfig, with_overrides
from dltasks.errors import TrainingError
from dltasks.files import atomic_write, os_errors_as, write_json

RUN_FILE, INPUTS_FILE = "run.json", "inputs.json"
"""What is recorded of a run, and of the inputs it has encoded; of a folder without them nothing is used."""


@dataclass
class TrainingState:
    """How far a run has come."""

    epoch: int = 0
    done: float = 0.0
    best: dict[str, float] | None = None
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False


def partial_folder(out: Path) -> Path:
    """Where a run that is to write `out` keeps what it needs to go on."""
    return out.with_name(out.name + ".partial")


@dataclass
class RunDirectory:
    """The folder of a run. kept: whether it stays when the run ends, to go on from."""

    folder: Path
    keep: bool


@contextmanager
def locked(folder: Path) -> Iterator[RunDirectory]:
    """The folder of a run that no other run works in meanwhile. Raises PlanError."""
    from filelock import FileLock, Timeout

    work = RunDirectory(folder, folder.is_dir())
    lock = FileLock(folder / "lock")
    with os_errors_as(TrainingError, folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise TrainingError(
                f"{folder}: another run works there; wait for its end, or choose another --out"
            ) from error
    try:
        yield work
    finally:
        if not work.keep:
            _remove(folder)
        lock.release()
        if not work.keep:
            with suppress(OSError):  # Windows keeps a lock that is held
                folder.rmdir()


def _remove(folder: Path) -> None:
    """The records first: if this is cut off, nothing is made of what is left."""
    for name in (RUN_FILE, INPUTS_FILE):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def start_or_resume(
    work: Path, task: str, config: TrainingConfig, settings: dict, resume: bool, data_description: str
):
    """The state to start from, the plan and the card's text: new, or those of the interrupted run.

    Of a run that goes on only what is `late` can be set anew.
    """
    if resume:
        run = read_run(work)
        if not run:
            raise TrainingError(f"{work}: no interrupted run here to go on with; leave out --resume")
        if run["task"] != task:
            raise TrainingError(f"{work}: an interrupted run of {run['task']}, not of {task}")
        its = type(config)(**run["config"])
        late = [each.name for each in fields(config) if each.metadata.get("changeable_on_resume")]
        fixed = [k for k, v in settings.items() if k not in late and v != getattr(its, k, None)]
        if fixed:
            raise TrainingError(
                f"--resume goes on with the run's own settings, {fixed[0]} {getattr(its, fixed[0], None)} "
                f"among them; only {', '.join(late)} can be changed"
            )
        return (
            TrainingState(**run["state"]),
            with_overrides(its, settings),
            data_description or run["data_description"],
        )
    if last_epoch(work):
        raise TrainingError(f"{work}: an interrupted run; go on with --resume, or remove that folder")
    return TrainingState(), config, data_description


def read_run(work: Path) -> dict:
    """What is recorded of the run in this folder; nothing where there is none."""
    if not (work / RUN_FILE).is_file():
        return {}
    try:
        return json.loads((work / RUN_FILE).read_text())
    except ValueError as error:
        raise TrainingError(f"{work / RUN_FILE}: damaged; remove its folder and train anew") from error


def last_epoch(work: Path) -> int:
    """The last epoch that the run in this folder has kept."""
    return read_run(work).get("state", {}).get("epoch", 0)


def save_run(
    work: Path, task: str, config: TrainingConfig, state: TrainingState, data_description: str
) -> None:
    write_json(
        work / RUN_FILE,
        {
            "task": task,
            "config": asdict(config),
            "state": asdict(state),
            "data_description": data_description,
        },
    )


def weights_path(work: Path, epoch: int) -> Path:
    return work / f"epoch-{epoch}.npz"


def prune_checkpoints(work: Path, state: TrainingState) -> None:
    """Remove the weights of epochs that are neither the last nor the best."""
    wanted = [weights_path(work, epoch) for epoch in (state.epoch, state.best_epoch)]
    for path in work.glob("epoch-*.npz"):
        if path not in wanted:
            path.unlink()


def save_checkpoint(training_model, path: Path) -> None:
    """Weights and the optimizer's state, written whole or not at all."""
    arrays = {f"w{i}": np.asarray(v) for i, v in enumerate(_variables(training_model))}
    arrays |= {f"o{i}": np.asarray(v) for i, v in enumerate(training_model.optimizer.variables)}
    with atomic_write(path) as file:
        np.savez(file, **arrays)


def load_checkpoint(training_model, path: Path, weights_only: bool = False) -> None:
    """Raises PlanError where these weights are not there, or not whole."""
    variables = {f"w{i}": each for i, each in enumerate(_variables(training_model))}
    if not weights_only:
        variables |= {f"o{i}": each for i, each in enumerate(training_model.optimizer.variables)}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name, variable in variables.items():
                variable.assign(arrays[name])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path}: missing or damaged; remove its folder and train anew") from error


def _variables(training_model) -> list:
    """Weights, and the states of random layers."""
    return training_model.trainable_variables + training_model.non_trainable_variables
