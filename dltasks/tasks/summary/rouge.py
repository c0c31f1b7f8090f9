"""ROUGE (Lin, 2004) with stemming, as Google's rouge-score computes it; words are stemmed only once."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from dltasks.errors import MissingExtraError
from dltasks.tasks.summary.sentences import split_sentences

Words = list[str]

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")


class _IdentityTokenizer:
    """Tokenizer for rouge-score that takes a list of stemmed words."""

    def tokenize(self, words: Words) -> Words:
        return words


def stem_words(text: str) -> Words:
    """The words of a text as ROUGE compares them. Raises MissingExtraError."""
    return _tokenizer().tokenize(text)


def require_rouge() -> None:
    """Raises MissingExtraError where rouge-score isn't installed."""
    _tokenizer()


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    try:
        from rouge_score.tokenizers import DefaultTokenizer
    except ImportError as error:
        raise MissingExtraError(
            "scoring summaries needs rouge-score; pip install 'dltasks[train]'"
        ) from error
    return DefaultTokenizer(use_stemmer=True)


@lru_cache(maxsize=4)
def _scorer(types: tuple[str, ...]) -> Any:
    require_rouge()
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(types), tokenizer=_IdentityTokenizer())


@lru_cache(maxsize=1)
def _lsum_scorer() -> Any:
    require_rouge()
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeLsum"], use_stemmer=True)


def f1(summary: Words, references: Sequence[Words], types: tuple[str, ...] = ROUGE_TYPES) -> np.ndarray:
    """F1 of each ROUGE type, (types,), the maximum over the references."""
    scores = [_scorer(types).score(reference, summary) for reference in references]
    return np.array([max(score[name].fmeasure for score in scores) for name in types])


def recall(summary: Words, references: Sequence[Words], types: tuple[str, ...] = ROUGE_TYPES) -> np.ndarray:
    """Recall of each ROUGE type, (types,), the maximum over the references."""
    scores = [_scorer(types).score(reference, summary) for reference in references]
    return np.array([max(score[name].recall for score in scores) for name in types])


def f1_lsum(summary: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """F1 of ROUGE-Lsum of lists of sentences, the maximum over the references."""
    score = _lsum_scorer().score
    lines = "\n".join(map(_on_one_line, summary))
    return max(
        score("\n".join(map(_on_one_line, reference)), lines)["rougeLsum"].fmeasure
        for reference in references
    )


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def score_summaries(
    summaries: Sequence[Sequence[str]], references: Sequence[Sequence[str]], multi_sentence: bool
) -> np.ndarray:
    """F1 of ROUGE-1, 2 and L, or Lsum of multi-sentence summaries, (texts, 3).

    summaries: the sentences of each. references: the reference summaries of each text.
    """
    rows = [
        _score_summary(sentences, texts, multi_sentence)
        for sentences, texts in zip(summaries, references, strict=True)
    ]
    return np.array(rows).reshape(-1, 3)


def _score_summary(sentences: Sequence[str], references: Sequence[str], multi_sentence: bool) -> list[float]:
    words = [word for sentence in sentences for word in stem_words(sentence)]
    types = ("rouge1", "rouge2") if multi_sentence else ROUGE_TYPES
    row = f1(words, [stem_words(reference) for reference in references], types).tolist()
    if multi_sentence:
        row.append(f1_lsum(sentences, [split_sentences(reference) for reference in references]))
    return row
