"""Model: a trained network that predicts, evaluates and exports; what `dltasks.load` gives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.bundle.load import Bundle, load_bundle
from dltasks.data.batch import Batch
from dltasks.data.columns import concat, failed_indices, take
from dltasks.errors import DataError, DltasksError, ModelError
from dltasks.evaluation.results import Evaluation
from dltasks.litert.runtime import Arrays
from dltasks.parallel import parallel_map
from dltasks.progress import Progress
from dltasks.protocols import known_examples


@dataclass(frozen=True)
class Model(Bundle):
    """A trained network, ready to answer."""

    def predict(self, *sources, threads: int | None = None) -> list[Any]:
        """An answer for each input; folders are walked. Raises the first DataError met."""
        answers = []
        for _, answer in self.iter_predictions(sources, threads):
            if isinstance(answer, DltasksError):
                raise answer
            answers.append(answer)
        return answers

    def iter_predictions(
        self, sources: Sequence[Any], threads: int | None = None
    ) -> Iterator[tuple[str, Any]]:
        """Where each input came from and its answer, or its DataError, in the order of the inputs.

        Works on all cores if `threads` is None; memory does not grow with the number of inputs.
        """
        for batch, answers in self.predict_batches(sources, threads):
            yield from zip(batch.source_names, answers, strict=True)

    def predict_batches(
        self, sources: Sequence[Any], threads: int | None = None
    ) -> Iterator[tuple[Batch, Sequence[Any]]]:
        """As predict_each, batch by batch."""
        self._require_whole()
        batches = self.task.read_inputs(sources)
        yield from parallel_map(lambda b: (b, self.task.predict(b.inputs, self.run)), batches, threads)

    def run(self, inputs: Arrays, signature: str | None = None) -> Arrays:
        """What its network gives for encoded inputs. Raises ModelError if that is not what the network's file said it gives."""
        outputs = self.runtime.run(inputs, signature)
        rows = None if signature else len(next(iter(inputs.values())))
        for name, shape in self.task.tensor_shapes().items():
            if name in outputs and not _has_shape(outputs[name].shape, (rows, *shape)):
                raise ModelError(
                    f"{self.path}: gives {name} {outputs[name].shape}, where {(rows, *shape)} is wanted"
                )
        return outputs

    def evaluate(
        self,
        data,
        split: str | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Evaluation:
        """Scores of the .tflite on labelled data.

        part: train, val, test or all; by default the test part where the data has one. report: hears how far
        it is. Raises DataError.
        """
        self._require_whole()
        progress = progress or Progress()
        examples, notes = self._labelled(data, split)
        answers, truths, failures, done = [], [], [], 0
        batches = examples.chunks(self.task.batch_size)
        for batch, given in parallel_map(
            lambda b: (b, self.task.predict(b.inputs, self.run)), batches, threads
        ):
            failed = failed_indices(given)
            failures += [f"skipped: {given[i]}" for i in failed]
            good = np.setdiff1d(np.arange(len(batch)), failed)
            answers.append(take(given, good))
            truths.append(take(batch.labels, good))
            done += len(batch)
            progress.update("answering", done, len(examples))
        if len(failures) == len(examples):
            raise DataError(f"{data}: none of the {len(examples)} examples could be read")
        return self.task.evaluate(concat(answers), concat(truths)).with_notes((*notes, *failures))

    def _require_whole(self) -> None:
        if self.is_streaming:
            raise ModelError(
                f"{self.path}: takes a step of a stream at a time; it can listen (dltasks listen), and answers nothing else"
            )

    def _labelled(self, data, split: str | None):
        whole = examples = self.task.load_examples(data)
        notes = list(examples.notes)
        splits = examples.splits
        if split is None and splits is not None and "test" in splits:
            split = "test"
            notes.append("scored on the test part of the data; --split all takes everything")
        if split not in (None, "all"):
            positions = [i for i, name in enumerate(() if splits is None else splits) if name == split]
            if not positions:
                raise DataError(f"{data}: has no {split} part")
            examples = examples.take(positions)
        if split != "test" and self.manifest.get("data") == whole.fingerprint():
            notes.append(
                "the model was trained on this very data, so these scores flatter it; dltasks show has those of "
                "the part kept apart"
            )
        known, more = known_examples(self.task, examples)
        if not len(known):
            raise DataError(f"{data}: {'; '.join(more) or 'nothing that the model knows'}")
        return known, [*notes, *more]

    def export(
        self,
        out,
        format: str = "litert",
        quantize: str = "float16",
        data=None,
        min_agreement: float = 0.98,
        max_loss: float = 0.01,
        prefer: str = "speed",
    ):
        """Write the network to `out` as a .tflite (to="litert"; "streaming" for one step of a stream) or as a
        SavedModel folder ("saved-model"); gives its `parity` with the network, and the `levels` of "auto".

        quantize: none, float16, weight-int8, dynamic, int8, or "auto": the fastest of them that holds the floors (prefer="size":
        the smallest). data: labelled or plain inputs to calibrate and compare on; what was held out of the data it was
        trained on by default. Nothing is written if fewer than `min_agreement` of the first answers agree, or if the
        first score is lower than the network's by more than `max_loss`. Raises ExportError.
        """
        from dltasks.frameworks import require_extra

        require_extra()
        from dltasks.export.export import ExportOptions, export

        wanted = ExportOptions(format, quantize, data, min_agreement, max_loss, prefer)
        return export(self, Path(out), wanted)


def _has_shape(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(b in (None, a) for a, b in zip(shape, wanted, strict=True))


def load(
    name,
    labels: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Model:
    """A bundled model by name, a bundle folder, or a .tflite file: see load_bundle. Raises ModelError."""
    return Model(**vars(load_bundle(name, labels, mean, std)))
