"""Split of the examples into training, validation and test."""

import hashlib
from collections.abc import Sequence

import numpy as np

from dltasks.data.batch import Batch, Splits
from dltasks.tasks.summary.config import SummaryConfig
from dltasks.tasks.summary.examples import document_of


def split_examples(examples: Batch, config: SummaryConfig) -> Splits:
    """The splits of the data, or splits by a hash of each text, which keep equal texts together."""
    splits = examples.splits
    if splits is None or "train" not in splits:
        return _split_by_hash(examples, config)
    train, val, test = (_indices_of(splits, name) for name in ("train", "val", "test"))
    if not val:
        numbers = hash_texts(examples.take(train), config.seed)
        val = [i for i, number in zip(train, numbers, strict=True) if number < config.validation_split]
        train = [i for i, number in zip(train, numbers, strict=True) if number >= config.validation_split]
    return Splits(train, val, test)


def _split_by_hash(examples: Batch, config: SummaryConfig) -> Splits:
    numbers = hash_texts(examples, config.seed)
    test = numbers < config.test_split
    val = ~test & (numbers < config.test_split + config.validation_split)
    if examples.splits is not None:  # it names a split, but not the training split
        test = np.array([split == "test" for split in examples.splits])
        val &= np.array([split is None for split in examples.splits])
    train = ~test & ~val
    return Splits(*(np.flatnonzero(mask).tolist() for mask in (train, val, test)))


def _indices_of(splits: Sequence[str | None], name: str) -> list[int]:
    return [i for i, split in enumerate(splits) if split == name]


def hash_texts(examples: Batch, seed: int) -> np.ndarray:
    """A number for each text, 0 to 1, that depends on nothing but the text and the seed."""
    return np.array([_hash_text(document_of(example).text, seed) for example in examples.inputs])


def _hash_text(text: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed} {' '.join(text.split())}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
