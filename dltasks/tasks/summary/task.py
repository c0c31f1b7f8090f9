"""SummaryTask: the most important sentences of a text, or a headline for it."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dltasks.config import TrainingConfig
from dltasks.data import labeled_files
from dltasks.data.batch import Batch, Splits
from dltasks.errors import DataError
from dltasks.fields import binary_asset, bounded
from dltasks.litert.runtime import Arrays, Run
from dltasks.progress import Progress
from dltasks.protocols import Signature, TrainingHooks, default_signature
from dltasks.task import Description, LoadPretrained, Task
from dltasks.tasks.summary import encoding, generation, vocabulary
from dltasks.tasks.summary.config import STYLES, SummaryConfig
from dltasks.tasks.summary.documents import TEXT_FILES, Document, load_document
from dltasks.tasks.summary.examples import Reference, document_of
from dltasks.tasks.summary.summarize import summarize

if TYPE_CHECKING:
    from dltasks.doctor.findings import Inspection
    from dltasks.evaluation.results import Evaluation

TENSORS = {
    "tokens": "tokens of each sentence of a text, 0 for padding",
    "token_counts": "how often the word of each token occurs in the whole text",
    "sentence_count": "number of sentences of the whole text",
    "scores": "expected ROUGE of each sentence alone, 0 to 1",
    "source": "tokens of a text, 0 for padding",
    "copy_keys": "keys of the tokens of the text for copying them",
    "padding_bias": "bias that hides the padding of the text",
    "token": "last token of each beam",
    "position": "number of tokens before it",
    "token_probabilities": "probability of each token of the vocabulary to be generated next",
    "copy_probabilities": "probability of each token of the text to be copied next",
    "generation_probability": "probability that the next token is generated, not copied",
}
"""Descriptions of the tensors by name."""

HEADLINE_PARITY_SAMPLE_SIZE = 60
"""Number of texts that a headline file is compared on; a headline takes a hundred runs of the network."""


@dataclass(frozen=True)
class SummaryTask(TrainingHooks, Task):
    """Summarization in one of two styles: sentences of the text, or a new headline.

    Attributes:
        vocabulary: a sentencepiece model.
        style: extract or headline.
        window_sentences: number of sentences of a training text that are scored together.
        max_sentence_tokens: maximum number of tokens of each, in training.
        max_source_tokens: maximum number of tokens of the text that a headline network reads.
        max_headline_tokens: maximum number of tokens of a headline.
        title_case: whether headlines are in title case.
        characters_per_token: the median of the training texts; 0 if unknown.
        sentences: number of sentences of a summary.
        words: maximum number of words of a summary, instead.
        ratio: fraction of the sentences of the text, instead.
        beams: number of beams of the search for a headline.
    """

    config: ClassVar[type[TrainingConfig]] = SummaryConfig
    batch_size: ClassVar[int] = 8

    vocabulary: bytes = binary_asset(default=b"")
    style: str = bounded("extract", choices=STYLES)
    window_sentences: int = bounded(16, minimum=1, maximum=1000)
    max_sentence_tokens: int = bounded(48, minimum=1, maximum=1000)
    max_source_tokens: int = bounded(192, minimum=1, maximum=2048)
    max_headline_tokens: int = bounded(24, minimum=1, maximum=256)
    title_case: bool = False
    characters_per_token: float = bounded(0.0, minimum=0)
    sentences: int = bounded(3, minimum=1)
    words: int | None = bounded(None, minimum=1)
    ratio: float | None = bounded(None, minimum=0, maximum=1)
    beams: int = bounded(4, minimum=1, maximum=64)

    # The metric depends on the style, which makes it a property here.
    @property
    def monitor(self) -> str:  # type: ignore[override]
        return "oracle_score" if self.style == "extract" else "log_likelihood"

    # Data

    def read_inputs(self, sources: Sequence[Any]) -> Iterator[Batch]:
        return labeled_files.iter_batches(sources, self.batch_size, TEXT_FILES)

    def load_examples(self, source: Any, config: Any = None) -> Batch:
        from dltasks.tasks.summary import data

        if config is None:
            return data.load_pairs(source, None, None)
        examples = data.load_pairs(source, config.text, config.summary)
        if config.style == "extract":
            return data.with_oracle_scores(examples)
        return data.with_headlines(examples)

    @classmethod
    def can_load(cls, source: Any) -> bool:
        from dltasks.data import tables
        from dltasks.tasks.summary.data import SUMMARY_COLUMNS, TEXT_COLUMNS

        columns = {column.lower() for column in tables.read_header(source)}
        return bool(columns & set(TEXT_COLUMNS) and columns & set(SUMMARY_COLUMNS))

    def inspect(self, source: Any, config: Any, progress: Progress) -> "Inspection":
        from dltasks.tasks.summary.inspection import inspect

        return inspect(source, config, progress)

    @staticmethod
    def drop_rows(path: Path, rows: Container[int]) -> bytes:
        from dltasks.data import tables

        return tables.drop_rows(path, rows)

    def check_config(self, config: Any) -> None:
        from dltasks.tasks.summary.rouge import require_rouge

        require_rouge()

    def adapt(self, examples: Batch, config: Any) -> "SummaryTask":
        from dltasks.tasks.summary.adapt import adapt

        return adapt(self, examples, config)

    def split(self, examples: Batch, encoded: Arrays, config: Any) -> Splits:
        from dltasks.tasks.summary.split import split_examples

        return split_examples(examples, config)

    def encode(self, inputs: Sequence[Any]) -> tuple[Arrays, dict[int, DataError]]:
        rows: list[Arrays] = []
        failures = {}
        for i, example in enumerate(inputs):
            try:
                rows.append(encoding.encode_example(self, example))
            except DataError as error:
                failures[i] = error
        if not rows:
            empty = encoding.encode_example(self, Document("a"))
            return {name: values[:0] for name, values in empty.items()}, failures
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}, failures

    def target(self, labels: Sequence[Reference]) -> Arrays:
        if self.style == "headline":
            rows = [encoding.encode_sequence(self, label.summaries[0])[0, 1:] for label in labels]
            return {"tokens": np.array(rows, np.int32)}
        scores = np.full((len(labels), self.window_sentences), -1.0, np.float32)
        for row, label in zip(scores, labels, strict=True):
            row[: len(label.oracle_scores)] = label.oracle_scores[: self.window_sentences]
        return {"oracle_scores": scores}

    # Network

    def network(self, config: Any, load_pretrained: LoadPretrained) -> Any:
        from dltasks.tasks.summary import network

        size = vocabulary.vocabulary_size(self.vocabulary)
        if self.style == "extract":
            return network.extract_network(size, config)
        return network.headline_network(size, self.max_source_tokens, self.max_headline_tokens, config)

    def training_model(self, network: Any, config: Any, targets: Arrays) -> Any:
        from dltasks.tasks.summary.network import training_model

        return training_model(network, config)

    def signatures(self, network: Any) -> dict[str, Signature]:
        if self.style == "extract":
            return default_signature(network)
        from dltasks.tasks.summary.network import headline_signatures

        return headline_signatures(network)

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        if self.style == "extract":
            return {
                "tokens": (None, None),
                "token_counts": (None, None),
                "sentence_count": (1,),
                "scores": (None,),
            }
        return {
            "source": (self.max_source_tokens,),
            "token_probabilities": (vocabulary.vocabulary_size(self.vocabulary),),
            "copy_probabilities": (self.max_source_tokens,),
        }

    def describe(self) -> Description:
        from dltasks.litert.metadata import TensorDescription

        tensors = {name: TensorDescription(description) for name, description in TENSORS.items()}
        if self.style == "extract":
            return Description(tensors)
        return Description(tensors, parity_sample_size=HEADLINE_PARITY_SAMPLE_SIZE)

    # Predictions

    def run_network(self, encoded: Arrays, run: Run) -> Arrays:
        return (
            run(encoded) if self.style == "extract" else generation.generate_all(self, encoded["source"], run)
        )

    def decode(self, outputs: Arrays) -> Sequence[Any]:
        """For each row the index of the best sentence, or the headline."""
        if self.style == "extract":
            return outputs["scores"].argmax(axis=1).tolist()
        return [vocabulary.detokenize(self.vocabulary, tokens) for tokens in outputs["tokens"]]

    def same_prediction(self, first: Any, second: Any) -> bool:
        return first == second

    def predict(self, inputs: Sequence[Any], run: Run) -> list[Any]:
        predictions: list[Any] = []
        for example in inputs:
            try:
                predictions.append(summarize(self, load_document(document_of(example)), run))
            except DataError as error:
                predictions.append(error)
        return predictions

    def evaluate(
        self, predictions: Sequence[Any], labels: Sequence[Any], tables: bool = True
    ) -> "Evaluation":
        from dltasks.evaluation.results import Evaluation
        from dltasks.tasks.summary import metrics

        if tables:
            return metrics.evaluate(self, predictions, labels)
        return Evaluation(len(labels), metrics.score(self, predictions, labels))
