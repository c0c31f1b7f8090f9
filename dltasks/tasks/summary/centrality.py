"""What each sentence is worth in its text, by its words alone: for texts whose words the network does not know."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from dltasks.tasks.summary.selection import Worth

STEM = 6
"""Letters that two words must share at their beginning to count as the same."""

AGAIN = 1.5
"""A word that stands in n sentences counts for n to this power."""

LENGTH = 0.3
"""A sentence's words count for their sum, divided by their number to this power."""

OPENING, NUMBER, SPOKEN = 0.4, 0.2, -0.3
"""What a place at the opening of the text, a number, and words that lean on another sentence or on a speaker count for, where
what a sentence's words count for varies by 1. All these were chosen on texts of other domains (benchmarks/texts, those with
even numbers); the network's own score counts for nothing in them."""

SPEAKERS = frozenset(["i", "me", "my", "we", "us", "you"])

REFERRING = SPEAKERS | frozenset(
    ["he", "she", "it", "they", "this", "that", "these", "those", "such", "here", "there"]
    + ["his", "her", "him", "its", "their", "them", "your", "our"]
)
"""Words that a sentence which leans on another begins with, in English."""


def worth(sentences: Sequence[str]) -> Worth:
    """What sentences are worth: how often what they say comes again in the text (Luhn, 1958; Nenkova and Vanderwende, 2005,
    SumBasic), that they stand at its opening, have a number, and stand by themselves.

    Summed by word instead of by pair of sentences, as graph methods do, so that it takes time in step with the text.
    """
    words = [re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", each) for each in sentences]
    plain = _function_words()
    kinds = [sorted({w.lower()[:STEM] for w in each if w.lower() not in plain}) for each in words]
    often = Counter(word for each in kinds for word in each)
    counts = {word: n**AGAIN for word, n in often.items()}
    lengths = np.array([max(2, len(each)) for each in words])
    said = np.array([sum(counts[word] for word in each) for each in kinds]) / lengths**LENGTH
    said = said / (said.std() or 1.0)
    opening = 1 / (1 + np.arange(len(sentences)))
    values = said + OPENING * (opening - opening.mean()) / (opening.std() or 1.0)
    values += NUMBER * np.array([any(w[0].isdigit() for w in each) for each in words])
    values += SPOKEN * np.array([_spoken(*each) for each in zip(sentences, words, strict=True)])
    return Worth(values, said, lambda i: {word: counts[word] for word in kinds[i]})


def _spoken(sentence: str, words: Sequence[str]) -> bool:
    """Whether a sentence quotes, asks, says I, or begins with a word that refers to another sentence."""
    low = [each.lower() for each in words]
    marked = bool(re.search('["“”«»„]', sentence)) or sentence.rstrip().endswith("?")
    return marked or low[:1] and low[0] in REFERRING or not SPEAKERS.isdisjoint(low)


@lru_cache(maxsize=1)
def _function_words() -> frozenset[str]:
    """Words that say nothing of what a text is about, of all languages that there are lists of."""
    from stop_words import AVAILABLE_LANGUAGES, get_stop_words

    return frozenset(word for each in AVAILABLE_LANGUAGES for word in get_stop_words(each))


def shown(values: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Values (sentences,) as scores from 0 to 1, with the mean and spread that the network's `scores` have."""
    logits = np.log(np.clip(scores, 1e-6, 1 - 1e-6) / (1 - np.clip(scores, 1e-6, 1 - 1e-6)))
    standard = (values - values.mean()) / (values.std() + 1e-9)
    return 1 / (1 + np.exp(-(logits.mean() + logits.std() * standard)))
