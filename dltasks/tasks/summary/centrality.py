"""How central each sentence is in its text, by its words alone: for texts whose words the network does not know."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

STEM = 6
"""Letters that two words must share at their beginning to count as the same."""

OPENING = 0.2
"""What a place at the opening of the text counts for, where centrality counts for 1. Chosen, as that the network's own score
counts for nothing here, on texts of other domains (benchmarks/texts, those with even numbers)."""


def degrees(sentences: Sequence[str]) -> np.ndarray:
    """Degree centrality, (sentences,): words shared with each of the others, rare ones in this text counting more, over the
    logarithm of the length (Erkan and Radev, 2004, LexRank; Mihalcea and Tarau, 2004, TextRank).

    Summed by word instead of by pair of sentences, so that it takes time in step with the text.
    """
    words = [[each[:STEM] for each in re.findall(r"\w+", sentence.lower())] for sentence in sentences]
    kinds = [set(each) for each in words]
    spread = Counter(word for each in kinds for word in each)
    weight = {word: (n - 1) * np.log(len(words) / n) for word, n in spread.items()}
    lengths = np.log(np.array([max(len(each), 2) for each in words]) + 1)
    # Summed in an order that does not depend on the process.
    return np.array([sum(weight[word] for word in sorted(each)) for each in kinds]) / lengths


def ordered(scores: np.ndarray, sentences: Sequence[str]) -> np.ndarray:
    """Scores (sentences,) in the order of the centrality, with the mean and spread that the network's have."""
    logits = np.log(np.clip(scores, 1e-6, 1 - 1e-6) / (1 - np.clip(scores, 1e-6, 1 - 1e-6)))
    opening = 1 / (1 + np.arange(len(scores)))
    central = _standard(degrees(sentences)) + OPENING * _standard(opening)
    return 1 / (1 + np.exp(-(logits.mean() + logits.std() * _standard(central))))


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / (values.std() + 1e-9)
