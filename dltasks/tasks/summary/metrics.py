"""Scores of summaries: ROUGE with intervals, and the faithfulness of headlines."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dltasks.evaluation import metrics
from dltasks.evaluation.results import Evaluation, Score, Table, proportion
from dltasks.tasks.summary import baselines, headlines, rouge
from dltasks.tasks.summary.examples import Reference
from dltasks.tasks.summary.prediction import SummaryPrediction


def evaluate(
    task: Any, predictions: Sequence[SummaryPrediction], references: Sequence[Reference]
) -> Evaluation:
    """The scores, beside those of baselines on the same texts."""
    is_headline = task.style == "headline"
    scores = score(task, predictions, references)
    documents = [p.document for p in predictions if p.document is not None]
    summaries = [reference.summaries for reference in references]
    results = baselines.score_first_words(documents, summaries) if is_headline else {}
    results |= baselines.score_baselines(
        documents, summaries, 1 if is_headline else task.sentences, _is_multi_sentence(task)
    )
    rows = tuple((name, *map(_percent, with_intervals(values))) for name, values in results.items())
    length = "headline" if is_headline else f"{task.sentences} sentence{'s' * (task.sentences > 1)}"
    columns = ("method", *(_title(name) for name in scores if name.startswith("rouge")))
    table = Table(f"Baselines: ROUGE F1 in percent, {length}", columns, rows)
    return Evaluation(len(predictions), scores, tables=(table,))


def score(
    task: Any, predictions: Sequence[SummaryPrediction], references: Sequence[Reference]
) -> dict[str, Score]:
    """F1 of ROUGE-1, 2 and L (Lsum of multi-sentence summaries), the maximum over the references of a text.

    For headlines also the fraction of novel words, and of headlines with a number that their text lacks.
    """
    is_headline, multi_sentence = task.style == "headline", _is_multi_sentence(task)
    summaries = [
        [prediction.summary] if is_headline else [sentence.text for sentence in prediction.sentences]
        for prediction in predictions
    ]
    texts = [reference.summaries for reference in references]
    values = rouge.score_summaries(summaries, texts, multi_sentence)
    names = ("rouge_1", "rouge_2", "rouge_lsum" if multi_sentence else "rouge_l")
    scores = dict(zip(names, with_intervals(values), strict=True))
    return scores | (_score_faithfulness(predictions) if is_headline else {})


def _is_multi_sentence(task: Any) -> bool:
    return task.style != "headline" and task.sentences > 1


def _title(name: str) -> str:
    return name.replace("_", " ").replace("rouge l", "ROUGE-L").replace("rouge ", "ROUGE-")


def _percent(score: Score) -> str:
    return f"{100 * score.value:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"


def with_intervals(values: np.ndarray) -> list[Score]:
    """The mean of each column of values (texts, columns) with its bootstrap interval."""
    low, high = metrics.bootstrap_interval(lambda rows: values[rows].mean(axis=0), len(values), 1.0)
    columns = zip(values.mean(axis=0), np.atleast_1d(low), np.atleast_1d(high), strict=True)
    return [Score(float(mean), float(lower), float(upper), len(values)) for mean, lower, upper in columns]


def _score_faithfulness(predictions: Sequence[SummaryPrediction]) -> dict[str, Score]:
    pairs = [(p.summary, p.document.text) for p in predictions if p.document is not None]
    novel = np.array([[headlines.novel_word_fraction(*pair)] for pair in pairs])
    unsupported = sum(bool(headlines.unsupported_numbers(*pair)) for pair in pairs)
    return {
        "novel_words": with_intervals(novel)[0],
        "unsupported_numbers": proportion(unsupported, len(pairs)),
    }
