"""Selection of the sentences of a summary: the best ones of a given length that don't repeat each other."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

REDUNDANCY_PENALTY = 0.75
"""Fraction of its score that a sentence loses when the summary already has all its words."""

MAX_CANDIDATES = 400
"""Number of candidates, the best by themselves; all sentences of a book would take too long to compare."""

MAX_COMPARED = 50
"""Number of selected sentences whose words the candidates are compared with."""


@dataclass(frozen=True)
class SummaryLength:
    """Length of a summary, by one of these measures.

    sentences: exact number of sentences. words: maximum number of words. ratio: fraction of the sentences.
    """

    sentences: int | None = None
    words: int | None = None
    ratio: float | None = None

    def max_sentences(self, count: int) -> int:
        """Maximum number of sentences of the summary of a text of `count` sentences."""
        if self.ratio is not None:
            return min(count, max(1, round(self.ratio * count)))
        return count if self.words is not None or self.sentences is None else min(count, self.sentences)


@dataclass(frozen=True)
class SentenceScores:
    """Scores of the sentences of a text.

    values: of each sentence alone, (sentences,). penalties: what a sentence loses when the summary already
    has all its words, (sentences,). word_weights: from the index of a sentence to the weight of each of its
    words.
    """

    values: np.ndarray
    penalties: np.ndarray
    word_weights: Callable[[int], Mapping[str, float]]


def sentence_scores(values: np.ndarray, sentences: Sequence[str]) -> SentenceScores:
    """Scores of sentences by the network, 0 to 1, with all words of equal weight."""

    def count_words(i: int) -> Counter[str]:
        return Counter(re.findall(r"\w+", sentences[i].lower()))

    return SentenceScores(values, REDUNDANCY_PENALTY * values, count_words)


def select_sentences(scores: SentenceScores, sentences: Sequence[str], length: SummaryLength) -> list[int]:
    """Indices of the sentences of the summary, in the order of the text.

    Empty where all sentences exceed the number of words. Sentences are selected by score, less a penalty for
    words that the selected ones already have (coverage: Lin and Bilmes, 2011, A Class of Submodular Functions
    for Document Summarization).
    """
    limit, words_left = length.max_sentences(len(sentences)), length.words
    if limit >= len(sentences) and words_left is None:
        return list(range(len(sentences)))
    order = np.argsort(-scores.values, kind="stable")
    candidates = order[: max(MAX_CANDIDATES, 2 * limit if words_left is None else words_left)]
    weights = {int(i): scores.word_weights(int(i)) for i in candidates}
    covered_words: set[str] = set()
    coverage = dict.fromkeys(weights, 0.0)
    selected: list[int] = []
    while coverage and len(selected) < limit:
        best = max(coverage, key=lambda i: (scores.values[i] - scores.penalties[i] * coverage[i], -i))
        coverage.pop(best)
        if words_left is not None:
            if (word_count := len(sentences[best].split())) > words_left:
                continue
            words_left -= word_count
        selected.append(best)
        covered_words.update(weights[best])
        for i in coverage if len(selected) < MAX_COMPARED else ():
            coverage[i] = _coverage(weights[i], covered_words)
    return sorted(selected)


def _coverage(weights: Mapping[str, float], covered_words: set[str]) -> float:
    """Fraction of the weight of a sentence's words that is covered."""
    covered = sum(weight for word, weight in weights.items() if word in covered_words)
    return covered / (sum(weights.values()) or 1.0)


def first_words(text: str, count: int) -> str:
    """The text up to the end of its first `count` words."""
    ends = [match.end() for match in re.finditer(r"\S+", text)]
    return text[: ends[count - 1]] if count < len(ends) else text
