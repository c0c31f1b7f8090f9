"""What the task learns from its training data before the network does: vocabulary, lengths, and who judges whom."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dltasks.data.batch import Batch, Splits
from dltasks.errors import DataError
from dltasks.tasks.summary import documents, headlines, vocabulary
from dltasks.tasks.summary.data import Example
from dltasks.tasks.summary.task import MAX_SENTENCE_TOKENS, WINDOW

LOOKED_AT = 2000
"""Training texts that lengths are taken from."""

PIECED = 30_000
"""Training texts that the vocabulary is learned from."""


def learned(task, examples: Batch, config):
    """The task, knowing what it must. Raises DataError."""
    if task.vocabulary:
        return task
    good = [i for i, raw in enumerate(examples.inputs) if isinstance(_document(raw), documents.Document)]
    if not good:
        error = next(_document(raw) for raw in examples.inputs)
        raise DataError(f"none of the {len(examples)} examples can be used; the first: {error}")
    train = divided(examples.take(good), config).train
    if not len(train):
        raise DataError("no examples to train on; wanted some whose split is train, or no splits at all")
    train = [good[i] for i in train]
    texts = [_document(examples.inputs[i]).text for i in _some(train, PIECED)]
    summaries = [examples.labels[i].summaries[0] for i in train]
    model = vocabulary.learned([*texts, *summaries], config.vocabulary_size)
    task = replace(
        task,
        vocabulary=model,
        style=config.style,
        max_source_tokens=config.max_source_tokens,
        steps=config.max_headline_tokens,
    )
    return replace(
        task, **_lengths(task, [_document(examples.inputs[i]) for i in _some(train, LOOKED_AT)], summaries)
    )


def _document(raw):
    return raw.document if isinstance(raw, Example) else raw


def _some(positions: Sequence[int], count: int) -> list[int]:
    """At most so many of the positions, evenly."""
    step = max(1, -(-len(positions) // count))
    return list(positions[::step])


def _lengths(task, texts: list[documents.Document], summaries: list[str]) -> dict:
    some = summaries[:: max(1, len(summaries) // LOOKED_AT)]
    density = [
        len(each.text) / max(1, len(row))
        for each, row in zip(
            texts, vocabulary.encoded(task.vocabulary, [e.text[:5000] for e in texts], 10_000), strict=True
        )
        if len(each.text) <= 5000
    ]
    found = {"usual": round(float(np.median(density)), 3) if density else 0.0, "titled": _titled(some)}
    if task.style == "headline":
        return found
    counts = np.array([len(each) for each in texts])
    pieces = vocabulary.encoded(
        task.vocabulary, [s for each in texts for s in each.sentences], MAX_SENTENCE_TOKENS
    )
    told = [len([*documents.spans_of(each)]) for each in some]
    return found | {
        "window": int(np.clip(np.ceil(np.quantile(counts, 0.97)), 4, WINDOW)),
        "length": int(np.clip(np.quantile([len(each) for each in pieces], 0.95), 8, MAX_SENTENCE_TOKENS)),
        "sentences": max(1, round(float(np.median(told)))),
    }


def _titled(summaries: Sequence[str]) -> bool:
    """Whether most words that a title would begin with a capital do."""
    words = [each for summary in summaries for each in summary.split()[1:] if each[:1].isalpha()]
    words = [each for each in words if each.lower() not in headlines.SMALL]
    return bool(words) and sum(each[0].isupper() for each in words) > 0.6 * len(words)


def divided(examples: Batch, config) -> Splits:
    """By the splits that the data says; else each text by its own hash, so that equal texts stay together."""
    splits = examples.splits
    if splits is None or "train" not in splits:
        drawn = np.array([_drawn(_document(raw).text, config.seed) for raw in examples.inputs])
        test, val = (
            drawn < config.test_split,
            (drawn >= config.test_split) & (drawn < config.test_split + config.validation_split),
        )
        if splits is not None:  # a part is named, if not this one
            test, val = np.array([s == "test" for s in splits]), val & np.array([s is None for s in splits])
        return Splits(*(np.flatnonzero(each).tolist() for each in (~test & ~val, val, test)))
    train, val, test = (
        [i for i, each in enumerate(splits) if each == name] for name in ("train", "val", "test")
    )
    if not val:
        drawn = np.array([_drawn(_document(examples.inputs[i]).text, config.seed) for i in train])
        val = [i for i, share in zip(train, drawn, strict=True) if share < config.validation_split]
        train = [i for i, share in zip(train, drawn, strict=True) if share >= config.validation_split]
    return Splits(train, val, test)


def _drawn(text: str, seed: int) -> float:
    """A number from 0 to 1 that depends on the text and the seed alone."""
    seen = hashlib.sha256(f"{seed} {' '.join(text.split())}".encode()).digest()
    return int.from_bytes(seen[:8], "big") / 2**64
