"""Texts as arrays of tokens, for both networks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from dltasks.litert.runtime import Arrays
from dltasks.tasks.summary import headlines, vocabulary
from dltasks.tasks.summary.documents import Document, load_document
from dltasks.tasks.summary.examples import HeadlineExample, document_of

WINDOW_SENTENCES = 64
"""Number of sentences that are scored together; a longer text is cut into windows."""

MAX_SENTENCE_TOKENS = 40
"""Maximum number of tokens of a sentence that are read."""


def encode_example(task: Any, example: Any) -> Arrays:
    """The inputs of the network, each (1, ...), for one training example. Raises DataError."""
    document = load_document(document_of(example))
    if task.style == "extract":
        sentences = tokenize_sentences(task, document)
        windows = encode_windows(
            task, sentences, task.window_sentences, task.max_sentence_tokens, fixed_size=True
        )
        return next(windows)
    headline = example.headline if isinstance(example, HeadlineExample) else None
    return {"source": encode_source(task, document), "sequence": encode_sequence(task, headline)}


def tokenize_sentences(task: Any, document: Document) -> list[list[int]]:
    """The tokens of each sentence."""
    return vocabulary.tokenize(task.vocabulary, document.sentences)


def encode_windows(
    task: Any,
    sentences: Sequence[Sequence[int]],
    window_sentences: int,
    max_tokens: int,
    fixed_size: bool = False,
) -> Iterator[Arrays]:
    """The inputs of the extractive network, each (1, sentences, ...), for consecutive windows of a text.

    sentences: the tokens of each. max_tokens: limit of tokens of a sentence. fixed_size: pad all windows to
    equal shapes.
    """
    words = [vocabulary.words_of_tokens(task.vocabulary, tokens[:max_tokens]) for tokens in sentences]
    # A word of several tokens counts once.
    frequencies = Counter(word for row in words for word, _ in groupby(row))
    for start in range(0, len(sentences), window_sentences):
        tokens = sentences[start : start + window_sentences]
        counts = [[frequencies[word] for word in row] for row in words[start : start + window_sentences]]
        # Multiples of 8 limit the number of different shapes.
        longest = -(-max(map(len, tokens)) // 8) * 8
        width = max_tokens if fixed_size else min(max_tokens, longest)
        height = window_sentences if fixed_size else len(tokens)
        yield {
            "tokens": vocabulary.pad(tokens, width, height)[None],
            "token_counts": vocabulary.pad(counts, width, height)[None],
            "sentence_count": np.full((1, 1), len(sentences), np.float32),
        }


def encode_source(task: Any, document: Document) -> np.ndarray:
    """int32 (1, max_source_tokens): the tokens of the text, or of the key sentences of a long one."""
    limit = task.max_source_tokens
    text = document.text if document.regions is None else " ".join(document.sentences)
    tokens = vocabulary.tokenize(task.vocabulary, [text[: 40 * limit]], 10 * limit)[0]
    if len(tokens) > 2 * limit:
        sentences = tokenize_sentences(task, document)
        tokens = headlines.select_source(sentences, limit, vocabulary.token_rarity(task.vocabulary))
    return vocabulary.pad([tokens], limit)


def encode_sequence(task: Any, headline: str | None) -> np.ndarray:
    """int32 (1, max_headline_tokens + 1): START, and the tokens of the headline and END if there is one."""
    tokens = [vocabulary.START]
    if headline:
        tokens += vocabulary.tokenize(task.vocabulary, [headline], task.max_headline_tokens)[0]
        tokens.append(vocabulary.END)
    return vocabulary.pad([tokens], task.max_headline_tokens + 1)


def familiarity(task: Any, document: Document, sentences: Sequence[Sequence[int]]) -> float:
    """Characters per token, relative to the median training text: low where the vocabulary lacks the words.

    sentences: the tokens of each.
    """
    characters = sum(end - start for start, end in document.spans)
    return characters / max(1, sum(map(len, sentences))) / (task.characters_per_token or 1.0)
