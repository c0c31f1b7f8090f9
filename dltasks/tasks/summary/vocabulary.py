"""Subword vocabulary of the networks (sentencepiece; Kudo, 2018, Subword Regularization)."""

import io
import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from dltasks.errors import ModelError

PADDING, UNKNOWN, START, END = range(4)
"""Tokens for padding, for unknown characters, and for both ends of a summary."""

BYTE_TOKENS = range(4, 260)
"""Tokens for single bytes, which encode characters outside the vocabulary."""


def train_vocabulary(texts: Iterable[str], size: int) -> bytes:
    """A lower-case sentencepiece model of at most `size` tokens; the same for the same texts."""
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
        pad_id=PADDING,
        unk_id=UNKNOWN,
        bos_id=START,
        eos_id=END,
        num_threads=os.cpu_count() or 1,
        max_sentence_length=100_000,
        minloglevel=2,
    )
    return model.getvalue()


@lru_cache(maxsize=4)
def load_processor(model: bytes) -> Any:
    """The sentencepiece processor of a model. Raises ModelError if it is damaged."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(model)
        for token in range(processor.get_piece_size()):
            processor.id_to_piece(token)
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ModelError("the vocabulary of this model is damaged; copy or train the bundle again") from error
    return processor


def vocabulary_size(model: bytes) -> int:
    """Number of tokens. Raises ModelError."""
    return load_processor(model).get_piece_size()


def tokenize(model: bytes, texts: Sequence[str], limit: int | None = None) -> list[list[int]]:
    """The tokens of each text, at most the first `limit`."""
    return [tokens[:limit] for tokens in load_processor(model).encode(list(texts))]


def detokenize(model: bytes, tokens: Iterable[int]) -> str:
    """The text of tokens, without padding."""
    return load_processor(model).decode([int(token) for token in tokens if token])


def pad(rows: Sequence[Sequence[int]], length: int, count: int | None = None) -> np.ndarray:
    """The rows cut or padded to an int32 array (count, length). count: that of the rows by default."""
    padded = np.zeros((count or len(rows), length), np.int32)
    for i, row in enumerate(rows):
        padded[i, : min(len(row), length)] = row[:length]
    return padded


@lru_cache(maxsize=4)
def token_rarity(model: bytes) -> np.ndarray:
    """Negative log-probability of each token, float64 (tokens,)."""
    processor = load_processor(model)
    scores = np.array([processor.get_score(token) for token in range(processor.get_piece_size())])
    return np.maximum(-scores, 0.0)


@lru_cache(maxsize=4)
def _token_kinds(model: bytes) -> tuple[list[bool], list[bool]]:
    """For each token whether it begins a word, and whether it contains a letter or a digit."""
    processor = load_processor(model)
    texts = [processor.id_to_piece(token) for token in range(processor.get_piece_size())]
    alphanumeric = [
        token in BYTE_TOKENS or any(character.isalnum() for character in text)
        for token, text in enumerate(texts)
    ]
    return [text.startswith("▁") for text in texts], alphanumeric


def words_of_tokens(model: bytes, tokens: Sequence[int]) -> list[tuple[int, ...]]:
    """The word of each token, as the tokens that spell it; a punctuation mark is a word of its own."""
    is_start, is_alphanumeric = _token_kinds(model)
    words: list[tuple[int, ...]] = []
    word: list[int] = []
    for token in tokens:
        if word and (is_start[token] or not is_alphanumeric[token] or not is_alphanumeric[word[-1]]):
            words += [tuple(word)] * len(word)
            word = []
        word.append(token)
    return words + [tuple(word)] * len(word)
