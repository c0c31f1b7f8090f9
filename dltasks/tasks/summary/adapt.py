"""What the task takes from its training examples: the vocabulary, and typical lengths."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dltasks.data.batch import Batch
from dltasks.errors import DataError
from dltasks.tasks.summary import headlines, vocabulary
from dltasks.tasks.summary.config import SummaryConfig
from dltasks.tasks.summary.documents import Document
from dltasks.tasks.summary.encoding import MAX_SENTENCE_TOKENS, WINDOW_SENTENCES
from dltasks.tasks.summary.examples import document_of
from dltasks.tasks.summary.sentences import find_sentences
from dltasks.tasks.summary.split import split_examples

MAX_MEASURED_TEXTS = 2000
"""Maximum number of training texts whose lengths are measured."""

MAX_MEASURED_CHARACTERS = 5000
"""Maximum length of a text whose characters per token are measured."""

MAX_VOCABULARY_TEXTS = 30_000
"""Maximum number of training texts that the vocabulary is trained on."""


def adapt(task: Any, examples: Batch, config: SummaryConfig) -> Any:
    """The task with a vocabulary and lengths of the training examples. Raises DataError if there are none."""
    if task.vocabulary:
        return task
    train = examples.take(_training_indices(examples, config))
    documents = [document_of(example) for example in train.inputs]
    texts = [document.text for document in _sample(documents, MAX_VOCABULARY_TEXTS)]
    summaries = [reference.summaries[0] for reference in train.labels]
    task = replace(
        task,
        vocabulary=vocabulary.train_vocabulary([*texts, *summaries], config.vocabulary_size),
        style=config.style,
        max_source_tokens=config.max_source_tokens,
        max_headline_tokens=config.max_headline_tokens,
    )
    return replace(task, **_measure_lengths(task, _sample(documents, MAX_MEASURED_TEXTS), summaries))


def _training_indices(examples: Batch, config: SummaryConfig) -> list[int]:
    documents = [document_of(example) for example in examples.inputs]
    usable = [i for i, document in enumerate(documents) if isinstance(document, Document)]
    if not usable:
        raise DataError(f"none of the {len(examples)} examples can be used; the first: {documents[0]}")
    train = split_examples(examples.take(usable), config).train
    if not len(train):
        raise DataError("no examples to train on; expected some in the split train, or no splits at all")
    return [usable[i] for i in train]


def _sample(items: Sequence[Any], limit: int) -> Sequence[Any]:
    """At most `limit` of the items, evenly spaced."""
    return items[:: max(1, -(-len(items) // limit))]


def _measure_lengths(task: Any, documents: Sequence[Document], summaries: Sequence[str]) -> dict[str, Any]:
    """Values of the task's fields that depend on the lengths and the case of the training examples."""
    some_summaries = summaries[:: max(1, len(summaries) // MAX_MEASURED_TEXTS)]
    fields = {
        "characters_per_token": _characters_per_token(task, documents),
        "title_case": headlines.is_title_case(some_summaries),
    }
    if task.style == "headline":
        return fields
    sentence_counts = np.array([len(document) for document in documents])
    sentences = [sentence for document in documents for sentence in document.sentences]
    tokens = vocabulary.tokenize(task.vocabulary, sentences, MAX_SENTENCE_TOKENS)
    token_counts = [len(sentence) for sentence in tokens]
    summary_lengths = [len(list(find_sentences(summary))) for summary in some_summaries]
    return fields | {
        "window_sentences": int(np.clip(np.ceil(np.quantile(sentence_counts, 0.97)), 4, WINDOW_SENTENCES)),
        "max_sentence_tokens": int(np.clip(np.quantile(token_counts, 0.95), 8, MAX_SENTENCE_TOKENS)),
        "sentences": max(1, round(float(np.median(summary_lengths)))),
    }


def _characters_per_token(task: Any, documents: Sequence[Document]) -> float:
    """The median over the texts that are not too long; 0 if all are."""
    texts = [document.text for document in documents if len(document.text) <= MAX_MEASURED_CHARACTERS]
    if not texts:
        return 0.0
    tokens = vocabulary.tokenize(task.vocabulary, texts, 10_000)
    ratios = [len(text) / max(1, len(row)) for text, row in zip(texts, tokens, strict=True)]
    return round(float(np.median(ratios)), 3)
