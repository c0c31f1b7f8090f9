"""Inputs for int8 calibration, and the held-out examples that an exported file is compared on."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from dltasks.bundle.load import Bundle
from dltasks.data.batch import Batch
from dltasks.data.columns import concat, failed_indices, take
from dltasks.errors import DataError, ExportError
from dltasks.export.convert import CALIBRATION_SIZE
from dltasks.export.parity import HeldOut
from dltasks.litert.runtime import Arrays
from dltasks.protocols import known_examples
from dltasks.task import Task

UNLABELED_NOTE = "the data has no labels, so that only answers are compared, and no scores"
SEEN_NOTE = "compared on examples that the model may have been trained on: --data names others"


def calibration_data(bundle: Bundle, data) -> tuple[Arrays, HeldOut, tuple[str, ...]]:
    """Inputs to take ranges from, and held-out examples to compare on; and what should be known of these."""
    recorded = bundle.manifest.get("source", "")
    beside = bundle.path / recorded
    source = data or (beside if beside.exists() else recorded)
    try:
        examples, held_out, notes = _load_examples(bundle, source, given=bool(data))
    except DataError as error:
        if data:
            raise ExportError(str(error)) from error
        raise ExportError(
            f"the data that {bundle.name} was trained on is not here ({recorded}); name real inputs to compare on "
            "with --data"
        ) from error
    random = np.random.default_rng(0)
    others = np.setdiff1d(np.arange(len(examples)), held_out)
    ranged = random.permutation(others if len(others) >= CALIBRATION_SIZE else len(examples))[
        :CALIBRATION_SIZE
    ]
    calibration, _ = bundle.task.encode(take(examples.inputs, ranged))
    chosen = np.sort(random.permutation(held_out)[: bundle.task.describe().parity_sample_size])
    held = _encode_held_out(bundle.task, examples.take(chosen), source)
    return calibration, held, notes


def _encode_held_out(task: Task, examples, source) -> HeldOut:
    inputs, failures = task.encode(examples.inputs)
    good = np.setdiff1d(np.arange(len(examples)), list(failures))
    if not len(good):
        raise ExportError(f"{source}: nothing in it could be read")
    return HeldOut(inputs, examples.take(good))


def _load_examples(bundle: Bundle, source, given: bool):
    """Examples, the positions of those to compare on, and notes. Raises DataError."""
    try:
        examples = bundle.task.load_examples(source)
    except DataError:
        batches = list(bundle.task.read_inputs([source]))
        raws = concat(batch.inputs for batch in batches)
        if not Path(source).exists() or len(failed_indices(raws)) == len(raws):
            raise
        origins = concat(batch.source_names for batch in batches)
        return Batch(raws, origins), np.arange(len(raws)), (UNLABELED_NOTE,)
    known, notes = known_examples(bundle.task, examples)
    if not len(known):
        return replace(examples, labels=None), np.arange(len(examples)), tuple(notes)
    examples = known
    if examples.splits is not None and "test" in examples.splits:
        return examples, np.flatnonzero([each == "test" for each in examples.splits]), ()
    recorded = bundle.manifest.get("held_out")
    if recorded and bundle.manifest.get("data") == examples.fingerprint():
        return examples, np.asarray(recorded), ()
    return examples, np.arange(len(examples)), () if given else (SEEN_NOTE,)
