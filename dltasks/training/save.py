"""Write the bundle of a trained network: its files, manifest and card."""

import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dltasks import registry
from dltasks._version import __version__
from dltasks.bundle import card
from dltasks.bundle.manifest import FORMAT_VERSION
from dltasks.bundle.storage import CARD_FILE, MANIFEST_FILE, MODEL_FILE, STREAM_FILE
from dltasks.data.columns import concat, failed_indices, take
from dltasks.errors import TrainingError
from dltasks.evaluation.results import Evaluation
from dltasks.export.calibration_data import CalibrationData, calibration_of_training
from dltasks.export.convert import to_tflite
from dltasks.export.held_out import run_and_score
from dltasks.export.networks import NETWORK_FILE, save_network
from dltasks.export.parity import PARITY_FILE, Parity, check_parity, measure_parity
from dltasks.export.runners import keras_runner
from dltasks.export.streaming import to_streaming_tflite
from dltasks.fields import asset_names, save_assets
from dltasks.files import atomic_folder_in, hash_bytes, os_errors_as, write_json
from dltasks.litert import golden
from dltasks.litert.runtime import Runtime
from dltasks.parallel import parallel_map
from dltasks.progress import Progress
from dltasks.protocols import Streams, hooks_of, signatures_of
from dltasks.task import Task
from dltasks.training.dataset import Dataset

MAX_HELD_OUT = 10_000
"""Maximum number of test examples whose indices are recorded, to compare exported files on."""

PROTOCOL = "the test split, never used for training or validation, scored with model.tflite"
"""How the scores of a bundle are measured."""


@dataclass(frozen=True)
class TrainingSummary:
    """The record of a training run.

    Attributes:
        source: the data, relative to the bundle.
        data_description: what its owner says of it.
        config: the training config.
        epochs: number of completed epochs.
        best_epoch: number of the epoch whose weights are used.
        seconds: duration of the run.
        interrupted: whether the user stopped the run.
        history: metrics of each epoch.
        validation: validation metrics of the best epoch.
        counts: number of examples in each split.
        fingerprint: of the data.
        origins: "origin" or "start" of the manifest: where weights come from that others made.
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
    fingerprint: dict[str, int | str]
    origins: dict[str, dict[str, str]] = field(default_factory=dict)


def save_bundle(
    task: Task,
    network: Any,
    dataset: Dataset,
    training: TrainingSummary,
    work: Path,
    out: Path,
    progress: Progress,
) -> None:
    """Convert the network, score the .tflite on the test split, and write the bundle to `out`.

    work: folder on the same disk, in which the bundle is prepared. An existing bundle stays
    intact until the new one is complete. Raises ExportError, TrainingError.
    """
    with os_errors_as(TrainingError, out), atomic_folder_in(work, out) as folder:
        save_network(network, folder / NETWORK_FILE, training.config.weight_dtype)
        calibration = calibration_of_training(task, dataset.inputs, dataset.examples, dataset.splits)
        quantize = training.config.quantize
        runtime, parity = _save_model(task, network, quantize, calibration, folder)
        stream_parity = _save_stream(task, network, quantize, calibration, folder)
        progress.log(f"scoring the {len(dataset.splits.test)} test examples with the .tflite")
        evaluation = _evaluate(task, runtime, dataset, progress)
        _save_assets(task, folder)
        manifest = _manifest(task, network, training, parity, evaluation)
        test_indices = sorted(dataset.splits.test)
        manifest["held_out"] = [int(dataset.source_indices[i]) for i in test_indices][:MAX_HELD_OUT]
        if stream_parity:
            manifest["stream_parity"] = stream_parity.summary()
        manifest["files"] = _hashes(folder)
        (folder / CARD_FILE).write_text(card.render_card(out.name, manifest), encoding="utf-8")
        write_json(folder / MANIFEST_FILE, manifest)


def _save_model(
    task: Task, network: Any, quantize: str, calibration: CalibrationData, folder: Path
) -> tuple[Runtime, Parity]:
    """Write model.tflite, its golden vectors and its parity. Raises ExportError."""
    held_out = calibration.held_out
    model = to_tflite(signatures_of(task, network), quantize, calibration.inputs, task.quantized_ops)
    expected = run_and_score(task, keras_runner(task, network), held_out)
    parity = measure_parity(task, expected, model, held_out, quantize)
    check_parity(parity)
    write_json(folder / PARITY_FILE, parity.to_json())
    (folder / MODEL_FILE).write_bytes(model)
    (folder / golden.GOLDEN_FILE).write_bytes(golden.create_golden(Runtime(model), calibration.inputs))
    return Runtime(model), parity


def _save_stream(
    task: Task, network: Any, quantize: str, calibration: CalibrationData, folder: Path
) -> Parity | None:
    """Write stream.tflite and its golden vectors, of a task that streams. Raises ExportError."""
    if not isinstance(task, Streams):
        return None
    model, parity = to_streaming_tflite(
        task,
        network,
        quantize,
        calibration.inputs,
        calibration.held_out,
        task.stream_chunk_size,
    )
    check_parity(parity)
    (folder / STREAM_FILE).write_bytes(model)
    vectors = golden.create_golden(Runtime(model), calibration.inputs)
    (folder / golden.STREAM_GOLDEN_FILE).write_bytes(vectors)
    return parity


def _evaluate(task: Task, runtime: Runtime, dataset: Dataset, progress: Progress) -> Evaluation | None:
    """Scores on the test split, beside those of the baselines; None without readable test examples.

    Files that were lost since they were encoded are reported and left out.
    """
    if not len(dataset.splits.test):
        return None
    examples = dataset.examples.take(dataset.splits.test)
    batches = examples.chunks(task.batch_size)
    predictions = concat(parallel_map(lambda batch: task.predict(batch.inputs, runtime.run), batches))
    failed = failed_indices(predictions)
    notes = tuple(f"skipped: {predictions[i]}" for i in failed)
    for note in notes:
        progress.log(note)
    scored = np.setdiff1d(np.arange(len(examples)), failed)
    if not len(scored):
        return None
    evaluation = task.evaluate(take(predictions, scored), take(examples.labels, scored)).with_notes(notes)
    return evaluation.with_tables(hooks_of(task).baselines(dataset.inputs, dataset.examples, dataset.splits))


def _save_assets(task: Task, folder: Path) -> None:
    """Write the task's vocabularies and extra files."""
    for name, content in save_assets(task).items():
        (folder / name).write_bytes(content)
    for name, render in task.describe().extra_files.items():
        (folder / name).write_bytes(render())


def _hashes(folder: Path) -> dict[str, str]:
    """The sha256 of each file."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: hash_bytes(path.read_bytes()) for path in paths}


def _manifest(
    task: Any, network: Any, training: TrainingSummary, parity: Parity, evaluation: Evaluation | None
) -> dict[str, Any]:
    assets = asset_names(task)
    return {
        "format": FORMAT_VERSION,
        "task": registry.task_name(task),
        "fields": {name: value for name, value in asdict(task).items() if name not in assets},
        "config": asdict(training.config),
        "source": training.source,
        "data_description": training.data_description,
        "limitations": task.describe().limitations,
        "parameters": int(network.count_params()),
        "evaluation": evaluation.to_json() if evaluation else None,
        "protocol": PROTOCOL,
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
        **training.origins,
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
