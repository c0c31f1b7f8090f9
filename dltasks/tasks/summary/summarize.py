"""The summary of a document in either style."""

from typing import Any

import numpy as np

from dltasks.litert.runtime import Run
from dltasks.tasks.summary import centrality, encoding, generation, headlines, selection, vocabulary
from dltasks.tasks.summary.documents import Document, strip_markdown
from dltasks.tasks.summary.prediction import Sentence, SummaryPrediction

FAMILIAR_RATIO = 0.78
"""Minimum familiarity of a text that the network alone can judge; see `encoding.familiarity`."""

FOREIGN_RATIO = 0.45
"""Minimum familiarity of a text that resembles the training texts at all."""

MIN_FOREIGN_CHARACTERS = 100
"""Length of a text up to which it is not called foreign."""

FOREIGN_NOTE = (
    "unlike the texts the model was trained on (perhaps in another language); the summary may be poor"
)

UNFAMILIAR_NOTES = {
    "extract": "many words are unknown to the model; sentences were selected by how often their words recur",
    "headline": "many words are unknown to the model; the headline may be wrong",
}


def summarize(task: Any, document: Document, run: Run) -> SummaryPrediction:
    """The summary of a document. run: the network."""
    tokens = encoding.tokenize_sentences(task, document)
    familiarity = encoding.familiarity(task, document, tokens)
    notes = document.notes
    if familiarity < FOREIGN_RATIO and len(document.text) > MIN_FOREIGN_CHARACTERS:
        notes = (*notes, FOREIGN_NOTE)
    elif familiarity < FAMILIAR_RATIO:
        notes = (*notes, UNFAMILIAR_NOTES[task.style])
    if task.style == "headline":
        return _write_headline(task, document, run, notes)
    values = np.concatenate([run(window)["scores"][0] for window in _windows(task, tokens)])
    scores = selection.sentence_scores(values, document.sentences)
    if familiarity < FAMILIAR_RATIO:
        scores = centrality.score_sentences(document.sentences)
        values = centrality.rescale(scores.values, values)
    return _extract(task, document, scores, values, notes)


def _windows(task: Any, tokens: list[list[int]]):
    return encoding.encode_windows(task, tokens, encoding.WINDOW_SENTENCES, encoding.MAX_SENTENCE_TOKENS)


def _extract(
    task: Any,
    document: Document,
    scores: selection.SentenceScores,
    values: np.ndarray,
    notes: tuple[str, ...],
) -> SummaryPrediction:
    """The best sentences. values: the scores that are shown, 0 to 1."""
    sentences = document.sentences
    length = selection.SummaryLength(task.sentences, task.words, task.ratio)
    indices = selection.select_sentences(scores, sentences, length)
    if not indices:
        return _cut_best_sentence(task.words or 1, document, values, notes)
    if task.words is None and task.ratio is None and len(sentences) < task.sentences:
        count = f"{len(sentences)} sentence{'s' * (len(sentences) > 1)}"
        notes = (*notes, f"the text has {count}, fewer than {task.sentences}")
    selected = tuple(Sentence(sentences[i], *document.spans[i], float(values[i])) for i in indices)
    texts = [strip_markdown(s.text) if document.is_markdown else s.text for s in selected]
    return SummaryPrediction(" ".join(map(_on_one_line, texts)), selected, notes, document)


def _cut_best_sentence(
    words: int, document: Document, values: np.ndarray, notes: tuple[str, ...]
) -> SummaryPrediction:
    """The beginning of the best sentence of a text whose sentences all have more words."""
    best = int(values.argmax())
    start, end = document.spans[best]
    text = selection.first_words(document.text[start:end], words)
    sentence = Sentence(text, start, start + len(text), float(values[best]))
    notes = (*notes, f"every sentence has more words than {words}; the best one is cut")
    return SummaryPrediction(_on_one_line(text), (sentence,), notes, document)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _write_headline(task: Any, document: Document, run: Run, notes: tuple[str, ...]) -> SummaryPrediction:
    """The best headline whose numbers all occur in the text."""
    sequences = generation.generate(task, encoding.encode_source(task, document), run)
    lines = [vocabulary.detokenize(task.vocabulary, tokens) for tokens, _ in sequences]
    # A letter outside the vocabulary is written in bytes, which may be incomplete.
    lines = [line for line in lines if line.strip() and "\ufffd" not in line]
    supported = [line for line in lines if not headlines.unsupported_numbers(line, document.text)]
    if not supported:
        notes = (*notes, "the network wrote no headline that fits the text")
        supported = [headlines.drop_unsupported(line, document.text) for line in lines]
    best = next((line for line in supported if line.strip()), document.sentences[0])
    headline = headlines.restore_case(best, document.text, task.title_case)
    headline = selection.first_words(headline, task.max_headline_tokens)
    if task.words is not None:
        headline = selection.first_words(headline, task.words)
    return SummaryPrediction(headline, (), notes, document)
