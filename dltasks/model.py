"""Model: a trained network that predicts, evaluates and exports; `dltasks.load` returns one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dltasks.bundle.load import Bundle, load_bundle
from dltasks.data.batch import Batch
from dltasks.data.columns import concat, failed_indices, take
from dltasks.errors import DataError, DltasksError, ModelError
from dltasks.litert.runtime import Arrays, matches_shape
from dltasks.parallel import parallel_map
from dltasks.progress import Progress
from dltasks.protocols import known_examples

if TYPE_CHECKING:
    from dltasks.evaluation.results import Evaluation
    from dltasks.export.export import ExportResult


@dataclass(frozen=True)
class Model(Bundle):
    """A trained network, ready to predict.

    Attributes:
        name: Name of the bundle or the .tflite file.
        path: The bundle folder or .tflite file it was loaded from.
        task: The task, with everything that prediction needs besides the network.
        manifest: Content of bundle.json.
        runtime: Runs the .tflite file.
    """

    def predict(self, *sources: Any, threads: int | None = None) -> list[Any]:
        """Predict all inputs.

        Args:
            *sources: Inputs as the task reads them: paths of files or folders, which are searched for inputs,
                or data in memory.
            threads: Number of threads; all cores if None.

        Returns:
            One prediction per input, in order.

        Raises:
            DataError: An input can't be read; the first such error.
            ModelError: The model can't be run, or takes only streams.
        """
        predictions = []
        for _, prediction in self.iter_predictions(sources, threads):
            if isinstance(prediction, DltasksError):
                raise prediction
            predictions.append(prediction)
        return predictions

    def iter_predictions(
        self, sources: Sequence[Any], threads: int | None = None
    ) -> Iterator[tuple[str, Any]]:
        """Predict one input after the other; memory does not grow with their number.

        Args:
            sources: Inputs, as for `predict`.
            threads: Number of threads; all cores if None.

        Yields:
            The name of each input and its prediction, or the DataError in its place, in order.

        Raises:
            ModelError: The model can't be run, or takes only streams.
        """
        for batch, predictions in self.predict_batches(sources, threads):
            yield from zip(batch.source_names, predictions, strict=True)

    def predict_batches(
        self, sources: Sequence[Any], threads: int | None = None
    ) -> Iterator[tuple[Batch, Sequence[Any]]]:
        """Predict batch by batch.

        Args:
            sources: Inputs, as for `predict`.
            threads: Number of threads; all cores if None.

        Yields:
            Each batch and its predictions, or the DataError in a prediction's place, in order.

        Raises:
            ModelError: The model can't be run, or takes only streams.
        """
        self._check_takes_whole_inputs()
        yield from self._predict_all(self.task.read_inputs(sources), threads)

    def _predict_all(
        self, batches: Iterator[Batch], threads: int | None
    ) -> Iterator[tuple[Batch, Sequence[Any]]]:
        return parallel_map(
            lambda batch: (batch, self.task.predict(batch.inputs, self.run)), batches, threads
        )

    def run(self, inputs: Arrays, signature: str | None = None) -> Arrays:
        """Run the network on encoded inputs.

        Args:
            inputs: Arrays with a batch axis, by name.
            signature: Name of the signature, for a file with several.

        Returns:
            The outputs by name, with a batch axis.

        Raises:
            ModelError: LiteRT can't run the file on these inputs, or an output has an unexpected shape.
        """
        outputs = self.runtime.run(inputs, signature)
        rows = None if signature else len(next(iter(inputs.values())))
        for name, shape in self.task.tensor_shapes().items():
            expected = (rows, *shape)
            if name in outputs and not matches_shape(outputs[name].shape, expected):
                raise ModelError(
                    f"{self.path}: its output {name} is {outputs[name].shape}; expected {expected}"
                )
        return outputs

    def evaluate(
        self,
        data: Any,
        split: str | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> "Evaluation":
        """Score the .tflite file on labeled data.

        Args:
            data: The labeled data, as for `dltasks.train`.
            split: "train", "val", "test" or "all"; by default the test split if the data has one, else all.
            threads: Number of threads; all cores if None.
            progress: Receives progress.

        Returns:
            Scores with 95 % intervals; examples that can't be read are listed in its notes.

        Raises:
            DataError: No example can be read, or the split is empty.
            ModelError: The model can't be run, or takes only streams.
        """
        self._check_takes_whole_inputs()
        progress = progress or Progress()
        examples, notes = self._load_labeled(data, split)
        predictions, labels, done = [], [], 0
        failures: list[str] = []
        for batch, results in self._predict_all(examples.chunks(self.task.batch_size), threads):
            failed = failed_indices(results)
            failures += [f"skipped: {results[i]}" for i in failed]
            succeeded = np.setdiff1d(np.arange(len(batch)), failed)
            predictions.append(take(results, succeeded))
            labels.append(take(batch.labels, succeeded))
            done += len(batch)
            progress.update("predicting", done, len(examples))
        if len(failures) == len(examples):
            raise DataError(f"{data}: none of the {len(examples)} examples could be read")
        evaluation = self.task.evaluate(concat(predictions), concat(labels))
        return evaluation.with_notes((*notes, *failures))

    def _check_takes_whole_inputs(self) -> None:
        if self.is_streaming:
            raise ModelError(
                f"{self.path}: takes a stream in chunks, not whole inputs; use it with dltasks listen"
            )

    def _load_labeled(self, data: Any, split: str | None) -> tuple[Batch, list[str]]:
        """The labeled examples of a split whose labels the model knows, and notes. Raises DataError."""
        everything = examples = self.task.load_examples(data)
        notes, splits = list(examples.notes), examples.splits
        if split is None and splits is not None and "test" in splits:
            split = "test"
            notes.append("scored on the test split of the data; --split all takes everything")
        if split not in (None, "all"):
            indices = [i for i, name in enumerate(() if splits is None else splits) if name == split]
            if not indices:
                raise DataError(f"{data}: has no {split} split")
            examples = examples.take(indices)
        if split != "test" and self.manifest.get("data") == everything.fingerprint():
            notes.append(
                "the model was trained on this data, so these scores are inflated; dltasks show has those of "
                "the test split"
            )
        known, known_notes = known_examples(self.task, examples)
        if not len(known):
            reason = "; ".join(known_notes) or "no example has a label that the model knows"
            raise DataError(f"{data}: {reason}")
        return known, [*notes, *known_notes]

    def export(
        self,
        out: Any,
        format: str = "litert",
        quantize: str = "float16",
        data: Any = None,
        min_agreement: float = 0.98,
        max_score_drop: float = 0.01,
        prefer: str = "speed",
    ) -> "ExportResult":
        """Export the network, and compare the file's predictions and scores with the Keras model's.

        Args:
            out: Path of the file or folder to write.
            format: "litert" for a .tflite file, "streaming" for one that takes a stream in chunks, or
                "saved-model" for a TensorFlow SavedModel folder.
            quantize: Quantization mode: "none", "float16", "mixed", "weight-int8", "dynamic", "int8", or
                "auto" for the best of them that stays within the thresholds.
            data: Inputs, labeled or not, for calibration and comparison; by default examples that were held
                out of the training data.
            min_agreement: Minimum proportion of equal top-1 predictions, 0 to 1.
            max_score_drop: Maximum decrease of the first score, where the data is labeled.
            prefer: What "auto" prefers among the modes within the thresholds: "speed" or "size".

        Returns:
            The file's parity with the network, that of each mode tried by "auto", and notes.

        Raises:
            ExportError: The options are invalid, the network can't be converted, or the file misses a
                threshold; nothing is written then.
            DataError: The data can't be read.
            ModelError: The model has no Keras network to export.
            MissingExtraError: Keras or TensorFlow is not installed.
        """
        from dltasks.frameworks import require_extra

        require_extra()
        from dltasks.export.export import ExportOptions, export

        options = ExportOptions(format, quantize, data, min_agreement, max_score_drop, prefer)
        return export(self, Path(out), options)


def load(
    name: Any,
    labels: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Model:
    """A bundled model by name, a bundle folder, or a .tflite file: see dltasks.load. Raises ModelError."""
    return Model(**vars(load_bundle(name, labels, mean, std)))
