"""Which sentences make the summary: the best, of exactly the length asked, that do not say the same."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REPEATED = 0.75
"""How much of a sentence's score is lost when it says the same as one that was chosen."""

CANDIDATES = 400
"""Sentences, the best by their scores, that are compared with those chosen; all of a book would take too long."""


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


def words_of(text: str) -> list[str]:
    """What stands between white space."""
    return text.split()


def chosen(scores: np.ndarray, sentences: Sequence[str], length: Length) -> list[int]:
    """Positions of the sentences of the summary, in the order of the text.

    The best first; each that comes loses by what it shares with those before it (maximal marginal relevance; Carbonell
    and Goldstein, 1998). Empty where no sentence is as short as the words allow.
    """
    wanted, room = length.of(len(sentences)), length.words
    order = np.argsort(-scores, kind="stable")
    if wanted >= len(sentences) and room is None:
        return list(range(len(sentences)))
    candidates = order[: max(CANDIDATES, 2 * wanted)] if room is None else order[: max(CANDIDATES, room)]
    bags = {int(i): Counter(re.findall(r"\w+", sentences[i].lower())) for i in candidates}
    repeated = dict.fromkeys(bags, 0.0)
    taken: list[int] = []
    while repeated and len(taken) < wanted:
        best = max(repeated, key=lambda i: (scores[i] * (1 - REPEATED * repeated[i]), -i))
        repeated.pop(best)
        if room is not None:
            if (needed := len(words_of(sentences[best]))) > room:
                continue
            room -= needed
        taken.append(best)
        for i in repeated if len(taken) < 50 else ():
            repeated[i] = max(repeated[i], _shared(bags[i], bags[best]))
    return sorted(taken)


def _shared(one: Counter, other: Counter) -> float:
    """Share of the words of the shorter of two sentences that the other has too."""
    shorter = min(one.total(), other.total())
    return (one & other).total() / shorter if shorter else 0.0


def first_words(text: str, count: int) -> str:
    """The text up to the end of so many words."""
    ends = [each.end() for each in re.finditer(r"\S+", text)]
    return text[: ends[count - 1]] if count < len(ends) else text
