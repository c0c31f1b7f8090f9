"""Word pieces: what the networks read instead of words (sentencepiece; Kudo, 2018, Subword Regularization)."""

import io
import os
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from dltasks.errors import ModelError

NONE, UNKNOWN, START, END = range(4)
"""Pieces that stand for none, for what can't be written in pieces, and for both ends of a summary."""

BYTES = range(4, 260)
"""Pieces that stand for a byte each: what a letter that was never seen is written in."""


def learned(texts: Iterable[str], size: int) -> bytes:
    """A sentencepiece model of at most `size` pieces, lower case; the same for the same texts."""
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        vocab_size=size,
        hard_vocab_limit=False,
        model_type="unigram",
        normalization_rule_name="nmt_nfkc_cf",
        byte_fallback=True,
        pad_id=NONE,
        unk_id=UNKNOWN,
        bos_id=START,
        eos_id=END,
        num_threads=os.cpu_count() or 1,
        max_sentence_length=100_000,
        minloglevel=2,
    )
    return model.getvalue()


@lru_cache(maxsize=4)
def pieces(model: bytes):
    """The sentencepiece processor of a model. Raises ModelError if it is damaged."""
    from sentencepiece import SentencePieceProcessor

    found = SentencePieceProcessor()
    try:
        found.LoadFromSerializedProto(model)
        for i in range(found.get_piece_size()):
            found.id_to_piece(i)
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ModelError("the vocabulary of this model is damaged; copy or train the bundle again") from error
    return found


def encoded(model: bytes, texts: Sequence[str], most: int | None = None) -> list[list[int]]:
    """The pieces of each text, the first `most` where that is said."""
    return [each[:most] for each in pieces(model).encode(list(texts))]


def filled(rows: Sequence[Sequence[int]], length: int, count: int | None = None) -> np.ndarray:
    """int32 (count, length): the rows, cut at the length; NONE where there are none."""
    found = np.zeros((count or len(rows), length), np.int32)
    for i, row in enumerate(rows):
        found[i, : min(len(row), length)] = row[:length]
    return found


@lru_cache(maxsize=4)
def rarity(model: bytes) -> np.ndarray:
    """How rare each piece is: its negative log-probability, (pieces,)."""
    found = pieces(model)
    scores = np.array([found.get_score(i) for i in range(found.get_piece_size())])
    return np.maximum(-scores, 0.0)


@lru_cache(maxsize=4)
def _kinds(model: bytes) -> tuple[list[bool], list[bool]]:
    """Of each piece whether it begins a word, and whether it holds a letter or a digit."""
    found = pieces(model)
    texts = [found.id_to_piece(i) for i in range(found.get_piece_size())]
    wordly = [i in BYTES or any(c.isalnum() for c in each) for i, each in enumerate(texts)]
    return [each.startswith("▁") for each in texts], wordly


def words(model: bytes, row: Sequence[int]) -> list[tuple[int, ...]]:
    """The word of each piece of a row, as the pieces that it is made of; a sign is a word of its own."""
    starts, wordly = _kinds(model)
    found: list[tuple[int, ...]] = []
    word: list[int] = []
    for piece in row:
        if word and (starts[piece] or not wordly[piece] or not wordly[word[-1]]):
            found += [tuple(word)] * len(word)
            word = []
        word.append(piece)
    return found + [tuple(word)] * len(word)
