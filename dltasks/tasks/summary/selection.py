"""Which sentences make the summary: the best, of exactly the length asked, that do not say the same."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

REPEATED = 0.75
"""How much of a sentence's score is lost when all its words have been said."""

CANDIDATES = 400
"""Sentences, the best by themselves, that are compared with those chosen; all of a book would take too long."""

COMPARED = 50
"""Chosen sentences that others are compared with."""


@dataclass(frozen=True)
class Length:
    """How long a summary is to be; one of these. sentences: exactly. words: at most. ratio: of the sentences."""

    sentences: int | None = None
    words: int | None = None
    ratio: float | None = None

    def of(self, count: int) -> int:
        """Sentences of a text of `count`; all where words are the limit."""
        if self.ratio is not None:
            return min(count, max(1, round(self.ratio * count)))
        return count if self.words is not None else min(count, self.sentences)


@dataclass(frozen=True)
class Worth:
    """What sentences are worth for a summary.

    values: (sentences,), of each alone. lost: (sentences,), what of it is lost when all its words have been said.
    words: from a sentence's position to what each of its words counts for.
    """

    values: np.ndarray
    lost: np.ndarray
    words: Callable[[int], Mapping[str, float]]


def by_scores(scores: np.ndarray, sentences: Sequence[str]) -> Worth:
    """The worth of sentences with these scores, from 0 to 1."""
    return Worth(scores, REPEATED * scores, lambda i: Counter(re.findall(r"\w+", sentences[i].lower())))


def words_of(text: str) -> list[str]:
    """What stands between white space."""
    return text.split()


def chosen(worth: Worth, sentences: Sequence[str], length: Length) -> list[int]:
    """Positions of the sentences of the summary, in the order of the text.

    The best first; each that comes loses by what those before it have said (coverage: Lin and Bilmes, 2011, A Class of
    Submodular Functions for Document Summarization). Empty where no sentence is as short as the words allow.
    """
    wanted, room = length.of(len(sentences)), length.words
    order = np.argsort(-worth.values, kind="stable")
    if wanted >= len(sentences) and room is None:
        return list(range(len(sentences)))
    candidates = order[: max(CANDIDATES, 2 * wanted)] if room is None else order[: max(CANDIDATES, room)]
    bags = {int(i): worth.words(int(i)) for i in candidates}
    said: set[str] = set()
    share = dict.fromkeys(bags, 0.0)
    taken: list[int] = []
    while share and len(taken) < wanted:
        best = max(share, key=lambda i: (worth.values[i] - worth.lost[i] * share[i], -i))
        share.pop(best)
        if room is not None:
            if (needed := len(words_of(sentences[best]))) > room:
                continue
            room -= needed
        taken.append(best)
        said.update(bags[best])
        for i in share if len(taken) < COMPARED else ():
            share[i] = _said(bags[i], said)
    return sorted(taken)


def _said(words: Mapping[str, float], said: set[str]) -> float:
    """The share of what a sentence's words count for that has been said."""
    return sum(n for word, n in words.items() if word in said) / (sum(words.values()) or 1.0)


def first_words(text: str, count: int) -> str:
    """The text up to the end of so many words."""
    ends = [each.end() for each in re.finditer(r"\S+", text)]
    return text[: ends[count - 1]] if count < len(ends) else text
