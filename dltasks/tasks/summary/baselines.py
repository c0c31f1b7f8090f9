"""Baselines: the beginning of a text, sumy's graph methods, and the oracle summary."""

import re
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from dltasks.tasks.summary import oracle, rouge
from dltasks.tasks.summary.documents import Document
from dltasks.tasks.summary.selection import first_words

SUMY_METHODS = {
    "TextRank": "sumy.summarizers.text_rank.TextRankSummarizer",
    "LexRank": "sumy.summarizers.lex_rank.LexRankSummarizer",
    "Luhn": "sumy.summarizers.luhn.LuhnSummarizer",
}

References = Sequence[Sequence[str]]
"""The reference summaries of each text."""


def score_first_words(documents: Sequence[Document], references: References) -> dict[str, np.ndarray]:
    """ROUGE (texts, 3) of the beginning of each text, as long as the mean reference."""
    count = round(np.mean([len(summary.split()) for summaries in references for summary in summaries]))
    summaries = [[first_words(document.text.strip(), count)] for document in documents]
    return {f"first {count} words": rouge.score_summaries(summaries, references, False)}


def score_baselines(
    documents: Sequence[Document], references: References, count: int, multi_sentence: bool
) -> dict[str, np.ndarray]:
    """ROUGE (texts, 3) by method, each of `count` sentences.

    The methods are the first sentences, those of sumy if it is installed, and the greedy oracle.
    """
    summaries = {f"Lead-{count}": [document.sentences[:count] for document in documents]}
    if find_spec("sumy"):
        summaries |= {
            method: [summarize_with_sumy(method, document, count) for document in documents]
            for method in SUMY_METHODS
        }
    pairs = zip(documents, references, strict=True)
    summaries["oracle (greedy)"] = [_summarize_greedily(*pair, count) for pair in pairs]
    return {
        method: rouge.score_summaries(texts, references, multi_sentence)
        for method, texts in summaries.items()
    }


def _summarize_greedily(document: Document, summaries: Sequence[str], count: int) -> list[str]:
    """The sentences with the highest ROUGE; of several, ROUGE-1 and 2 of all of them, greedily."""
    words = [rouge.stem_words(sentence) for sentence in document.sentences]
    references = [rouge.stem_words(summary) for summary in summaries]
    if count == 1:
        indices = [int(np.argmax([rouge.f1(sentence, references).mean() for sentence in words]))]
    else:
        indices = sorted(oracle.select_greedily(words, references, count))
    return [document.sentences[i] for i in indices]


class _WordTokenizer:
    """Tokenizer for sumy, which gets the sentences of the document: all methods select among the same."""

    def to_words(self, sentence: str) -> tuple[str, ...]:
        return tuple(re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", sentence))


def summarize_with_sumy(method: str, document: Document, count: int) -> list[str]:
    """The `count` sentences that a method of sumy selects, with its English stemmer and stop words."""
    from sumy.models.dom import ObjectDocumentModel, Paragraph, Sentence
    from sumy.nlp.stemmers import Stemmer
    from sumy.utils import get_stop_words

    module, _, name = SUMY_METHODS[method].rpartition(".")
    summarizer = getattr(import_module(module), name)(Stemmer("english"))
    summarizer.stop_words = get_stop_words("english")
    sentences = [Sentence(" ".join(text.split()), _WordTokenizer()) for text in document.sentences]
    # LexRank divides by zero where no two sentences share a word, and then selects the first ones.
    with np.errstate(invalid="ignore", divide="ignore"):
        return list(map(str, summarizer(ObjectDocumentModel([Paragraph(sentences)]), count)))
