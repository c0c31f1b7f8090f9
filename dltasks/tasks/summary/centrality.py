"""Scores of sentences by their words alone, for texts whose words the network does not know."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from dltasks.tasks.summary.selection import SentenceScores

# All constants were chosen on texts of other domains (benchmarks/texts, those with even numbers). The score
# of the network did not help there.

STEM_LETTERS = 6
"""Number of initial letters that two words share to count as the same."""

FREQUENCY_EXPONENT = 1.5
"""Exponent of the number of sentences with a word, in the weight of that word."""

LENGTH_EXPONENT = 0.3
"""Exponent of the number of words of a sentence, which the sum of their weights is divided by."""

OPENING_WEIGHT = 0.4
"""Weight of an early position, in standard deviations of the word score."""

NUMBER_WEIGHT = 0.2
"""Bonus of a sentence with a number."""

DEPENDENCE_WEIGHT = -0.3
"""Penalty of a sentence that depends on a speaker or on another sentence."""

SPEAKERS = frozenset(["i", "me", "my", "we", "us", "you"])

REFERRING_WORDS = SPEAKERS | frozenset(
    ["he", "she", "it", "they", "this", "that", "these", "those", "such", "here", "there"]
    + ["his", "her", "him", "its", "their", "them", "your", "our"]
)
"""English words at the beginning of a sentence that refer to another sentence."""

Words = list[str]


def score_sentences(sentences: Sequence[str]) -> SentenceScores:
    """Scores of sentences by the recurrence of their words, their position, numbers and independence.

    Luhn, 1958, The Automatic Creation of Literature Abstracts; Nenkova and Vanderwende, 2005, The Impact of
    Frequency on Summarization. Summed by word instead of by pair of sentences, as graph methods do, so that
    the time grows linearly with the text.
    """
    words = [re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", sentence) for sentence in sentences]
    stems = [_content_stems(sentence) for sentence in words]
    counts = Counter(stem for sentence in stems for stem in sentence)
    weights = {stem: count**FREQUENCY_EXPONENT for stem, count in counts.items()}
    recurrence = _recurrence(words, stems, weights)
    opening = 1 / (1 + np.arange(len(sentences)))
    values = recurrence + OPENING_WEIGHT * (opening - opening.mean()) / (opening.std() or 1.0)
    values += NUMBER_WEIGHT * np.array([any(word[0].isdigit() for word in sentence) for sentence in words])
    dependent = [is_dependent(*pair) for pair in zip(sentences, words, strict=True)]
    values += DEPENDENCE_WEIGHT * np.array(dependent)
    return SentenceScores(values, recurrence, lambda i: {stem: weights[stem] for stem in stems[i]})


def _content_stems(words: Words) -> list[str]:
    function_words = _function_words()
    return sorted({word.lower()[:STEM_LETTERS] for word in words if word.lower() not in function_words})


def _recurrence(words: list[Words], stems: list[list[str]], weights: dict[str, float]) -> np.ndarray:
    """Sum of the word weights of each sentence, less for long ones, with a standard deviation of 1."""
    lengths = np.array([max(2, len(sentence)) for sentence in words])
    sums = np.array([sum(weights[stem] for stem in sentence) for sentence in stems])
    recurrence = sums / lengths**LENGTH_EXPONENT
    return recurrence / (recurrence.std() or 1.0)


def is_dependent(sentence: str, words: Words) -> bool:
    """Whether a sentence quotes, asks, has a speaker, or begins by referring to another sentence."""
    lower = [word.lower() for word in words]
    if re.search('["“”«»„]', sentence) or sentence.rstrip().endswith("?"):
        return True
    return lower[:1] != [] and lower[0] in REFERRING_WORDS or not SPEAKERS.isdisjoint(lower)


@lru_cache(maxsize=1)
def _function_words() -> frozenset[str]:
    """The stop words of all languages that stop-words has."""
    from stop_words import AVAILABLE_LANGUAGES, get_stop_words

    return frozenset(word for language in AVAILABLE_LANGUAGES for word in get_stop_words(language))


def rescale(values: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Values (sentences,) as scores, 0 to 1, with the mean and spread of the network's `scores` as logits."""
    logits = np.log(np.clip(scores, 1e-6, 1 - 1e-6) / (1 - np.clip(scores, 1e-6, 1 - 1e-6)))
    standardized = (values - values.mean()) / (values.std() + 1e-9)
    return 1 / (1 + np.exp(-(logits.mean() + logits.std() * standardized)))
