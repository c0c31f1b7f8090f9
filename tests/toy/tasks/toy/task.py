"""A fifth task, for the tests of what all tasks share: four numbers in a text file to a label."""

from dataclasses import dataclass, replace

import numpy as np

from dltasks import errors, fields, files, registry, task
from dltasks.data import batch, labeled_files
from dltasks.evaluation.results import evaluate_classification
from dltasks.litert.metadata import TensorDescription

KIND = labeled_files.FileKind("list", "lists", lambda path: path.suffix == ".txt", str, ".txt", "numbers")


@dataclass(frozen=True)
class ToyPrediction:
    label: str
    probabilities: np.ndarray
    csv_columns = staticmethod(lambda: ("label",))
    note = staticmethod(str)

    def to_json(self):
        return {"label": self.label, "probability": round(float(self.probabilities.max()), 4)}

    def display_rows(self):
        return [(self.label, f"{self.probabilities.max():.1%}")]

    def csv_rows(self):
        return [(self.label,)]


@dataclass(frozen=True)
class ToyTask(task.Task):
    labels: tuple[str, ...] = fields.text_asset(default=())

    def read_inputs(self, sources):
        return labeled_files.iter_batches(sources, self.batch_size, KIND)

    def load_examples(self, source, config=None):
        return labeled_files.find_labeled_files(source, KIND).batch()

    def adapt(self, examples, config):
        return replace(self, labels=tuple(sorted(set(examples.labels))))

    def split(self, examples, encoded, config):
        return batch.Splits(*np.split(np.random.default_rng(0).permutation(len(examples)), [-80, -40]))

    def encode(self, inputs):
        rows, failures = [], {}
        for index, path in enumerate(inputs):
            try:
                rows.append(np.array(files.read_file(path).split(), np.float32).reshape(4))
            except (errors.DataError, ValueError, TypeError) as error:
                failures[index] = errors.DataError(f"{path}: {error}")
        return {"numbers": np.array(rows, np.float32).reshape(-1, 4)}, failures

    def target(self, labels):
        return {"probabilities": (np.array(labels)[:, None] == self.labels).astype(np.float32)}

    def network(self, config, load_pretrained):
        return registry.import_network("toy").build(len(self.labels))

    def training_model(self, network, config, targets):
        network.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
        return network

    def decode(self, outputs):
        return [ToyPrediction(self.labels[row.argmax()], row) for row in outputs["probabilities"]]

    def evaluate(self, predictions, labels, tables=True):
        return evaluate_classification(self.labels, np.stack([p.probabilities for p in predictions]), labels)

    def same_prediction(self, first, second):
        return first.label == second.label

    def describe(self):
        return task.Description({"numbers": TensorDescription("four numbers")})
