"""Write the bundle of a trained network: its files, manifest and card."""

import hashlib
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dltasks import registry
from dltasks._version import __version__
from dltasks.bundle import card
from dltasks.bundle.manifest import FORMAT_VERSION
from dltasks.bundle.storage import CARD_FILE, MANIFEST_FILE, STREAM_FILE
from dltasks.data.columns import concat, failed_indices, take
from dltasks.errors import TrainingError
from dltasks.evaluation.results import Evaluation
from dltasks.export import convert
from dltasks.export.convert import CALIBRATION_SIZE
from dltasks.export.networks import save_network
from dltasks.export.parity import PARITY_FILE as PARITY
from dltasks.export.parity import (
    HeldOut,
    Parity,
    check_parity,
    measure_parity,
    run_and_score,
)
from dltasks.export.streaming import to_streaming_tflite
from dltasks.fields import asset_names, save_assets
from dltasks.files import (
    atomic_folder_in,
    os_errors_as,
    write_json,
)
from dltasks.litert import golden
from dltasks.litert.runtime import Runtime
from dltasks.parallel import parallel_map
from dltasks.protocols import Streams, hooks_of, signatures_of
from dltasks.task import Task

MAX_HELD_OUT = 10_000
"""Examples of a test part whose places are recorded, to compare exported files on."""


@dataclass(frozen=True)
class TrainingSummary:
    """How a network came to be.

    counts: examples of each part. fingerprint: of the data. validation: scores by which the epoch was chosen.
    """

    source: str
    data_description: str
    config: Any
    epochs: int
    best_epoch: int
    seconds: float
    interrupted: bool
    history: list[dict[str, float]]
    validation: dict[str, float]
    counts: dict[str, int]
    fingerprint: dict[str, object]


def save_bundle(
    task: Task, network, data, training: TrainingSummary, work: Path, out: Path, progress
) -> None:
    """Export the network, judge the exported file on the test part, and write the bundle to `work`, and then to `out`.

    A bundle that stood there stays whole until the new one is. Raises ExportError, PlanError.
    """
    with os_errors_as(TrainingError, out), atomic_folder_in(work, out) as folder:
        save_network(network, folder / "model.keras", training.config.weight_dtype)
        chosen = [*data.splits.val, *data.splits.train[: task.describe().parity_sample_size]]
        inputs = convert.sample_rows(data.inputs, chosen, CALIBRATION_SIZE)
        level = training.config.quantize
        model = convert.to_tflite(
            signatures_of(task, network), level, convert.first_rows(inputs), task.quantized_ops
        )
        held = _held_out(task, data)
        network_says = run_and_score(task, convert.keras_runner(task, network), held)
        parity = measure_parity(task, network_says, model, held, level)
        check_parity(parity)
        write_json(folder / PARITY, parity.to_json())
        (folder / "model.tflite").write_bytes(model)
        (folder / golden.GOLDEN_FILE).write_bytes(golden.create_golden(Runtime(model), inputs))
        stream_parity = (
            _save_stream(task, network, level, inputs, held, folder) if isinstance(task, Streams) else None
        )
        progress.log(f"scoring the {len(data.splits.test)} examples to judge by with the .tflite")
        evaluation = _evaluate(task, Runtime(model), data, progress)
        if evaluation:
            evaluation = evaluation.with_tables(
                hooks_of(task).baselines(data.inputs, data.examples, data.splits)
            )
        for name, content in save_assets(task).items():
            (folder / name).write_bytes(content)
        for name, make in task.describe().extra_files.items():
            (folder / name).write_bytes(make())
        record = _manifest(task, network, training, parity, evaluation)
        record["held_out"] = [int(data.source_indices[i]) for i in sorted(data.splits.test)][:MAX_HELD_OUT]
        if stream_parity:
            record["stream_parity"] = stream_parity.summary()
        hashed = sorted(each for each in folder.iterdir() if each.is_file())
        record["files"] = {e.name: hashlib.sha256(e.read_bytes()).hexdigest() for e in hashed}
        (folder / CARD_FILE).write_text(card.render_card(out.name, record), encoding="utf-8")
        write_json(folder / MANIFEST_FILE, record)


def _held_out(task: Task, data) -> HeldOut:
    """Examples of the test part, or of the validation part where there is none."""
    positions = np.asarray(data.splits.test if len(data.splits.test) else data.splits.val)
    chosen = np.sort(np.random.default_rng(0).permutation(positions)[: task.describe().parity_sample_size])
    return HeldOut(data.take(chosen), data.examples.take(chosen))


def _save_stream(task: Task, network, level: str, inputs, held: HeldOut, folder: Path) -> Parity:
    model, parity = to_streaming_tflite(task, network, level, inputs, held, task.stream_chunk_size)
    check_parity(parity)
    (folder / STREAM_FILE).write_bytes(model)
    (folder / golden.STREAM_GOLDEN_FILE).write_bytes(golden.create_golden(Runtime(model), inputs))
    return parity


def _evaluate(task: Task, runtime: Runtime, data, progress) -> Evaluation | None:
    """Scores of the test part; of what was lost since it was encoded the run only tells."""
    if not len(data.splits.test):
        return None
    examples = data.examples.take(data.splits.test)
    answered = parallel_map(lambda b: task.predict(b.inputs, runtime.run), examples.chunks(task.batch_size))
    answers = concat(answered)
    lost = failed_indices(answers)
    notes = tuple(f"skipped: {answers[i]}" for i in lost)
    for each in notes:
        progress.log(each)
    good = np.setdiff1d(np.arange(len(examples)), lost)
    if not len(good):
        return None
    return task.evaluate(take(answers, good), take(examples.labels, good)).with_notes(notes)


def _manifest(task: Task, network, training: TrainingSummary, parity, evaluation) -> dict[str, Any]:
    elsewhere = asset_names(task)
    return {
        "format": FORMAT_VERSION,
        "task": registry.task_name(task),
        "fields": {k: v for k, v in asdict(task).items() if k not in elsewhere},
        "config": asdict(training.config),
        "source": training.source,
        "data_description": training.data_description,
        "limitations": task.describe().limitations,
        "parameters": int(network.count_params()),
        "evaluation": evaluation.to_json() if evaluation else None,
        "protocol": "the test part, never trained on nor chosen by, through model.tflite",
        "parity": parity.summary(),
        "training": {
            "examples": training.counts,
            "epochs": training.epochs,
            "best_epoch": training.best_epoch,
            "seconds": training.seconds,
            "interrupted": training.interrupted,
            "validation": training.validation,
            "history": training.history,
        },
        "data": training.fingerprint,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    import keras
    import tensorflow

    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "tensorflow": tensorflow.__version__,
        "dltasks": __version__,
    }
