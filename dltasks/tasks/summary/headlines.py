"""Headlines: beam search over the steps of the network, and what is written made fit to be read."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dltasks.tasks.summary.vocabulary import END, NONE, START, UNKNOWN

SMALL = frozenset(
    [
        "a",
        "an",
        "and",
        "as",
        "at",
        "but",
        "by",
        "for",
        "from",
        "if",
        "in",
        "into",
        "nor",
        "of",
        "off",
        "on",
        "onto",
        "or",
        "over",
        "per",
        "so",
        "than",
        "that",
        "the",
        "to",
        "up",
        "via",
        "vs",
        "with",
        "yet",
    ]
)
"""Words that stay small in a title."""


@dataclass(frozen=True)
class Search:
    """How the best headline is looked for.

    beams: kept at once. fewest, most: pieces. length: exponent of the length that log-probabilities are divided by (Wu et al.,
    2016).
    """

    beams: int = 4
    fewest: int = 4
    most: int = 24
    length: float = 1.0


@dataclass
class _Beam:
    pieces: list[int]
    score: float
    triples: set[tuple[int, ...]] = field(default_factory=set)


Advance = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""The last piece of each beam (beams,), which of the last beams it goes on with (beams,), and the step's number to the
probabilities of the next piece (beams, pieces)."""


def found(advance: Advance, search: Search) -> list[tuple[list[int], float]]:
    """Sequences of pieces and their scores, the best first; none of them holds the same three pieces twice."""
    beams, ended = [_Beam([], 0.0)], []
    last, parents = np.full(1, START, np.int32), np.zeros(1, int)
    for step in range(search.most):
        logs = np.log(advance(last, parents, step) + 1e-12)
        logs[:, [NONE, UNKNOWN, START]] = -np.inf
        if step < search.fewest:
            logs[:, END] = -np.inf
        for row, beam in zip(logs, beams, strict=True):
            # The end is always left, so that something ends.
            row[[t[2] for t in beam.triples if list(t[:2]) == beam.pieces[-2:]]] = -np.inf
        if step == search.most - 1:
            logs[:, np.arange(logs.shape[1]) != END] = -np.inf
        beams, parents, over = _grown(beams, logs, search)
        ended += over
        if not beams or len(ended) >= search.beams and _beaten(beams, ended, search):
            break
        last = np.array([each.pieces[-1] for each in beams], np.int32)
    ended.sort(key=lambda each: -each[1])
    return ended


def _grown(beams: list[_Beam], logs: np.ndarray, search: Search):
    """The best continuations: those that go on, where each comes from, and those that ended."""
    totals = logs + np.array([each.score for each in beams])[:, None]
    count = min(4 * search.beams, totals.size)
    places = np.argpartition(-totals, count - 1, axis=None)[:count]
    places = places[np.argsort(-totals.flat[places], kind="stable")]
    going, parents, over = [], [], []
    for place in places:
        parent, piece = np.unravel_index(place, totals.shape)
        score, before = float(totals.flat[place]), beams[parent]
        if not np.isfinite(score):
            break
        if piece == END:
            over.append((before.pieces, score / (len(before.pieces) + 1) ** search.length))
        else:
            triple = (*before.pieces[-2:], int(piece))
            triples = before.triples | {triple} if len(triple) == 3 else before.triples
            going.append(_Beam([*before.pieces, int(piece)], score, triples))
            parents.append(parent)
        if len(going) == search.beams:
            break
    return going, np.array(parents, int), over


def _beaten(beams: list[_Beam], ended: list[tuple[list[int], float]], search: Search) -> bool:
    """Whether no beam can end better than the best that ended."""
    best = max(each[1] for each in ended)
    return all(each.score / search.most**search.length < best for each in beams)


def mixed(outputs: dict[str, np.ndarray], source: np.ndarray) -> np.ndarray:
    """Probabilities of the next piece (beams, pieces): of the vocabulary, and of each piece of source (length,) copied."""
    written = outputs["written"]
    probabilities = written * outputs["vocabulary"]
    for row, copied in zip(probabilities, (1 - written) * outputs["copy"], strict=True):
        row += np.bincount(source, weights=copied, minlength=len(row)).astype(row.dtype)
    return probabilities


def unsupported(headline: str, text: str) -> list[str]:
    """Words of the headline that have a number and do not stand in the text."""
    known = set(_numbers(text))
    return [each for each in _numbers(headline) if each not in known]


def _numbers(text: str) -> list[str]:
    """Words with a number as they are compared: 3,000 is 3000, 2.0 stays 2.0, and 3D is not 3."""
    # Looked for from the beginnings of words only: a long word without a number would else be gone through from each letter.
    words = re.findall(r"(?<![^\W_])[^\W\d_]*\d[^\W_]*(?:[.,]\d+[^\W_]*)*", text.lower())
    return [each.replace(",", "") for each in words]


def without_unsupported(headline: str, text: str) -> str:
    """The headline without the words that hold numbers which the text does not have."""
    wrong = set(unsupported(headline, text))
    return " ".join(each for each in headline.split() if not wrong & set(_numbers(each)))


def novel(headline: str, text: str) -> float:
    """Share of the words of the headline that the text does not have."""
    words = re.findall(r"\w+", headline.lower())
    known = set(re.findall(r"\w+", text.lower()))
    return sum(each not in known for each in words) / len(words) if words else 0.0


WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def cased(headline: str, text: str, titled: bool) -> str:
    """The headline, which came in small letters, with the capitals of the text; `titled` as titles have them, too."""
    forms = _forms(text)

    def fitting(match: re.Match) -> str:
        word, before = match.group(), headline[: match.start()].rstrip()
        first = not WORD.search(before) or before.endswith((":", "?", "!"))
        small = word in SMALL or word not in forms
        best = word if small else forms[word].most_common(1)[0][0]
        capital = first or (titled and word not in SMALL)
        return best[:1].upper() + best[1:] if capital else best

    return WORD.sub(fitting, headline)


def _forms(text: str) -> dict[str, Counter]:
    """How often each word of a text is written how, by its small letters. A capital that opens a sentence says little."""
    found: dict[str, Counter] = {}
    for match in WORD.finditer(text):
        before = text[max(0, match.start() - 8) : match.start()].rstrip(" \n\t\"'(“")
        inner = before and not before.endswith((".", "!", "?", ":"))
        found.setdefault(match.group().lower(), Counter())[match.group()] += 2 if inner else 1
    return found


def salient(pieces: Sequence[Sequence[int]], most: int, rarity: np.ndarray) -> list[int]:
    """Pieces of the sentences of a long text that the network is to read, at most `most`, in order: those at the start to
    half the room, then those whose rare pieces come again most often. rarity: of each piece of the vocabulary."""
    counts = Counter(piece for each in pieces for piece in each)
    kept, room = set(), most
    for i, each in enumerate(pieces):
        if len(each) > room - most // 2 and kept:
            break
        kept.add(i)
        room -= len(each)

    def weight(each: Sequence[int]) -> float:
        return sum(rarity[p] * np.log(counts[p]) for p in set(each)) / (len(each) + 5)

    for i in sorted(set(range(len(pieces))) - kept, key=lambda i: -weight(pieces[i])):
        if len(pieces[i]) <= room:
            kept.add(i)
            room -= len(pieces[i])
    return [piece for i in sorted(kept) for piece in pieces[i]][:most]
