"""Beam search for the most probable sequence of tokens."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from dltasks.tasks.summary.vocabulary import END, PADDING, START, UNKNOWN

CANDIDATES_PER_BEAM = 4
"""Number of continuations that are considered for each beam."""

Advance = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""From the last token of each beam (beams,), the index of its parent among the previous beams (beams,), and
the number of the step to the probabilities of the next token (beams, vocabulary_size)."""

Sequence = tuple[list[int], float]
"""Tokens of a sequence, without START and END, and its score."""


@dataclass(frozen=True)
class BeamSearch:
    """Settings of the search.

    Attributes:
        beams: number of sequences that are continued in each step.
        min_tokens: minimum number of tokens of a sequence.
        max_tokens: maximum number of tokens, including END.
        length_exponent: exponent of the length that divides log-probabilities; Wu et al., 2016, Google's
            Neural Machine Translation System.
    """

    beams: int = 4
    min_tokens: int = 4
    max_tokens: int = 24
    length_exponent: float = 1.0

    def run(self, advance: Advance) -> list[Sequence]:
        """Finished sequences, the best first; none contains the same three tokens twice."""
        beams, finished = [_Beam([], 0.0)], []
        last, parents = np.full(1, START, np.int32), np.zeros(1, int)
        for step in range(self.max_tokens):
            log_probabilities = np.log(advance(last, parents, step) + 1e-12)
            self._mask(log_probabilities, beams, step)
            beams, parents, ended = self._expand(beams, log_probabilities)
            finished += ended
            if not beams or len(finished) >= self.beams and self._is_done(beams, finished):
                break
            last = np.array([beam.tokens[-1] for beam in beams], np.int32)
        finished.sort(key=lambda sequence: -sequence[1])
        return finished

    def _mask(self, log_probabilities: np.ndarray, beams: list["_Beam"], step: int) -> None:
        """Exclude the tokens that may not come next, in place."""
        log_probabilities[:, [PADDING, UNKNOWN, START]] = -np.inf
        if step < self.min_tokens:
            log_probabilities[:, END] = -np.inf
        for row, beam in zip(log_probabilities, beams, strict=True):
            # END is no part of a trigram: every beam can end.
            row[beam.repeating_tokens()] = -np.inf
        if step == self.max_tokens - 1:
            log_probabilities[:, np.arange(log_probabilities.shape[1]) != END] = -np.inf

    def _expand(
        self, beams: list["_Beam"], log_probabilities: np.ndarray
    ) -> tuple[list["_Beam"], np.ndarray, list[Sequence]]:
        """The best continuations, the indices of their parents, and the sequences that ended."""
        totals = log_probabilities + np.array([beam.score for beam in beams])[:, None]
        count = min(CANDIDATES_PER_BEAM * self.beams, totals.size)
        candidates = np.argpartition(-totals, count - 1, axis=None)[:count]
        candidates = candidates[np.argsort(-totals.flat[candidates], kind="stable")]
        continued: list[_Beam] = []
        parents: list[int] = []
        ended: list[Sequence] = []
        for candidate in candidates:
            parent, token = (int(index) for index in np.unravel_index(candidate, totals.shape))
            score = float(totals.flat[candidate])
            if not np.isfinite(score):
                break
            if token == END:
                ended.append((beams[parent].tokens, self._normalize(score, len(beams[parent].tokens) + 1)))
            else:
                continued.append(beams[parent].extend(token, score))
                parents.append(parent)
            if len(continued) == self.beams:
                break
        return continued, np.array(parents, int), ended

    def _normalize(self, score: float, length: int) -> float:
        return score / length**self.length_exponent

    def _is_done(self, beams: list["_Beam"], finished: list[Sequence]) -> bool:
        """Whether no beam can end better than the best finished sequence."""
        best = max(score for _, score in finished)
        return all(self._normalize(beam.score, self.max_tokens) < best for beam in beams)


@dataclass
class _Beam:
    tokens: list[int]
    score: float
    trigrams: set[tuple[int, ...]] = field(default_factory=set)

    def extend(self, token: int, score: float) -> "_Beam":
        trigram = (*self.tokens[-2:], token)
        trigrams = self.trigrams | {trigram} if len(trigram) == 3 else self.trigrams
        return _Beam([*self.tokens, token], score, trigrams)

    def repeating_tokens(self) -> list[int]:
        """Tokens that would repeat a trigram."""
        return [trigram[2] for trigram in self.trigrams if list(trigram[:2]) == self.tokens[-2:]]
