"""ROUGE (Lin, 2004) as Google's rouge-score computes it, stemmed; words are stemmed once and compared often."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from dltasks.errors import MissingExtraError

Words = list[str]

KINDS = ("rouge1", "rouge2", "rougeL")


class _Given:
    """What rouge-score takes for a tokenizer: the words come ready."""

    def tokenize(self, words: Words) -> Words:
        return words


def stemmed(text: str) -> Words:
    """The words of a text as ROUGE compares them. Raises MissingExtraError."""
    return _tokenizer().tokenize(text)


@lru_cache(maxsize=1)
def _tokenizer():
    try:
        from rouge_score.tokenizers import DefaultTokenizer
    except ImportError as error:
        raise MissingExtraError(
            "scores of summaries need rouge-score: pip install 'dltasks[train]'"
        ) from error
    return DefaultTokenizer(use_stemmer=True)


@lru_cache(maxsize=4)
def _scorer(kinds: tuple[str, ...]):
    _tokenizer()
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(kinds), tokenizer=_Given())


def f1(summary: Words, references: Sequence[Words], kinds: tuple[str, ...] = KINDS) -> np.ndarray:
    """F1 of each kind, (kinds,), the best over the references."""
    found = [_scorer(kinds).score(each, summary) for each in references]
    return np.array([max(each[kind].fmeasure for each in found) for kind in kinds])


def recall(summary: Words, references: Sequence[Words], kinds: tuple[str, ...] = KINDS) -> np.ndarray:
    """Recall of each kind, (kinds,), the best over the references."""
    found = [_scorer(kinds).score(each, summary) for each in references]
    return np.array([max(each[kind].recall for each in found) for kind in kinds])


def f1_of_lines(summary: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """F1 of ROUGE-Lsum of texts given as sentences, the best over the references."""
    _tokenizer()
    score = _summary_scorer().score
    lines = "\n".join(map(_one_line, summary))
    return max(score("\n".join(map(_one_line, each)), lines)["rougeLsum"].fmeasure for each in references)


def _one_line(text: str) -> str:
    return " ".join(text.split())


@lru_cache(maxsize=1)
def _summary_scorer():
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeLsum"], use_stemmer=True)
