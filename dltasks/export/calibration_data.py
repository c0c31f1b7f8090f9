"""Sources of int8 calibration inputs and held-out examples, for an export and for a training run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.bundle.load import Bundle
from dltasks.data.batch import Batch, Splits
from dltasks.data.columns import concat, failed_indices, take
from dltasks.errors import DataError, ExportError
from dltasks.export.held_out import HeldOut
from dltasks.litert.runtime import Arrays
from dltasks.protocols import known_examples
from dltasks.task import Task

CALIBRATION_SIZE = 200
"""Maximum number of examples that int8 takes the ranges of activations from."""

UNLABELED_NOTE = "the data has no labels, so only predictions are compared, not scores"
SEEN_NOTE = "compared on examples that the model may have been trained on; name others with --data"


@dataclass(frozen=True)
class CalibrationData:
    """Data that a conversion needs.

    Attributes:
        inputs: encoded inputs (count, ...) to calibrate int8 on, at most CALIBRATION_SIZE.
        held_out: examples to compare the file with its network on.
        notes: what the user should know about these examples.
    """

    inputs: Arrays
    held_out: HeldOut
    notes: tuple[str, ...] = ()


def calibration_of_training(task: Task, inputs: Arrays, examples: Batch, splits: Splits) -> CalibrationData:
    """The data for the bundle of a training run.

    Calibration inputs are drawn from the validation split and the first training examples, held-out
    examples from the test split, or from the validation split where there is no test split. `inputs` holds
    the encoded examples.
    """
    size = task.describe().parity_sample_size
    calibrated = _draw([*splits.val, *splits.train[:size]], CALIBRATION_SIZE, np.random.default_rng(0))
    compared = _draw(splits.test if len(splits.test) else splits.val, size, np.random.default_rng(0))
    held_out = HeldOut(_take_rows(inputs, compared), examples.take(compared))
    return CalibrationData(_take_rows(inputs, calibrated), held_out)


def calibration_of_bundle(bundle: Bundle, data: Any) -> CalibrationData:
    """The data to export a bundle with, from `data`, or from the bundle's training data if `data` is None.

    Held-out examples are drawn from the test split, or from all examples where there is none. Calibration
    inputs are drawn from the other examples, or from all where too few others are left. Raises ExportError.
    """
    source, examples, candidates, notes = _load_source(bundle, data)
    random = np.random.default_rng(0)
    others = np.setdiff1d(np.arange(len(examples)), candidates)
    pool = others if len(others) >= CALIBRATION_SIZE else np.arange(len(examples))
    calibrated = random.permutation(pool)[:CALIBRATION_SIZE]
    inputs, _ = bundle.task.encode(take(examples.inputs, calibrated))
    compared = _draw(candidates, bundle.task.describe().parity_sample_size, random)
    return CalibrationData(inputs, _encode_held_out(bundle.task, examples.take(compared), source), notes)


def _draw(indices: Sequence[int] | np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """At most `count` of these indices at random, sorted."""
    return np.sort(random.permutation(np.asarray(indices))[:count])


def _take_rows(inputs: Arrays, indices: np.ndarray) -> Arrays:
    return {name: np.asarray(values[indices]) for name, values in inputs.items()}


def _encode_held_out(task: Task, examples: Batch, source: Any) -> HeldOut:
    inputs, failures = task.encode(examples.inputs)
    readable = np.setdiff1d(np.arange(len(examples)), list(failures))
    if not len(readable):
        raise ExportError(f"{source}: none of the examples to compare on can be read")
    return HeldOut(inputs, examples.take(readable))


def _load_source(bundle: Bundle, data: Any) -> tuple[Any, Batch, np.ndarray, tuple[str, ...]]:
    """The source, its examples, the indices of those to compare on, and notes. Raises ExportError."""
    recorded = bundle.manifest.get("source", "")
    relative = bundle.path / recorded
    source = data or (relative if relative.exists() else recorded)
    try:
        return source, *_load_examples(bundle, source, seen=not data)
    except DataError as error:
        if data:
            raise ExportError(str(error)) from error
        raise ExportError(
            f"the data that {bundle.name} was trained on is not here ({recorded}); name data to compare on "
            "with --data"
        ) from error


def _load_examples(bundle: Bundle, source: Any, seen: bool) -> tuple[Batch, np.ndarray, tuple[str, ...]]:
    """Examples, the indices of those to compare on, and notes. Raises DataError.

    seen: whether the model may have been trained on them.
    """
    try:
        loaded = bundle.task.load_examples(source)
    except DataError:
        if not Path(source).exists() or (unlabeled := _read_unlabeled(bundle.task, source)) is None:
            raise
        return unlabeled, np.arange(len(unlabeled)), (UNLABELED_NOTE,)
    examples, notes = known_examples(bundle.task, loaded)
    if not len(examples):
        return replace(loaded, labels=None), np.arange(len(loaded)), tuple(notes)
    if examples.splits is not None and "test" in examples.splits:
        return examples, np.flatnonzero([split == "test" for split in examples.splits]), ()
    recorded = bundle.manifest.get("held_out")
    if recorded and bundle.manifest.get("data") == examples.fingerprint():
        return examples, np.asarray(recorded), ()
    return examples, np.arange(len(examples)), (SEEN_NOTE,) if seen else ()


def _read_unlabeled(task: Task, source: Any) -> Batch | None:
    """The inputs in a source without labels; None where none of them can be read."""
    batches = list(task.read_inputs([source]))
    inputs = concat(batch.inputs for batch in batches)
    if len(failed_indices(inputs)) == len(inputs):
        return None
    return Batch(inputs, concat(batch.source_names for batch in batches))
