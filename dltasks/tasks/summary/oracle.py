"""Oracle scores: the ROUGE of each sentence, which is the training target of the extractive network."""

import hashlib
import json
import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from dltasks.files import atomic_write
from dltasks.parallel import available_cores
from dltasks.tasks.summary import rouge
from dltasks.tasks.summary.sentences import Span, find_sentences

MIN_PARALLEL_TEXTS = 400
"""Minimum number of texts that are worth processes of their own."""

CHUNK_SIZE = 200
"""Number of texts that a process scores at once."""

CACHE_VERSION = 4
"""Version of the scores; caches of other versions are ignored."""

GREEDY_BONUS = 0.15
"""Bonus of the sentences of the greedy oracle summary over their own ROUGE."""

MAX_GREEDY_SENTENCES = 10
"""Maximum number of sentences of the greedy oracle summary."""

Oracle = tuple[tuple[Span, ...], tuple[float, ...]]
"""Spans of the sentences of a text, and the score of each, 0 to 1."""

Pair = tuple[str, Sequence[str]]
"""A text and its reference summaries."""


def compute_oracle(texts: Sequence[str], summaries: Sequence[Sequence[str]]) -> list[Oracle]:
    """Spans and oracle scores of the sentences of each text.

    The score is the mean F1 of ROUGE-1, 2 and L of the sentence alone, the maximum over the summaries. For
    summaries shorter than half a sentence (titles) it is the mean recall, or the shortest sentence would win.
    Where several sentences together do better than one (chosen greedily; Nallapati, Zhai and Zhou, 2017,
    SummaRuNNer), they get GREEDY_BONUS. Results are kept in the user's cache. Raises MissingExtraError.
    """
    path = _cache_path(texts, summaries)
    if path.is_file():
        with np.load(path, allow_pickle=False) as arrays:
            return _unpack(**arrays)
    results = _score_texts(list(zip(texts, summaries, strict=True)))
    _write_cache(path, results)
    return results


def _score_texts(pairs: Sequence[Pair]) -> list[Oracle]:
    chunks = [pairs[start : start + CHUNK_SIZE] for start in range(0, len(pairs), CHUNK_SIZE)]
    if len(pairs) < MIN_PARALLEL_TEXTS or available_cores() == 1:
        return [result for chunk in chunks for result in _score_chunk(chunk)]
    rouge.require_rouge()
    # Not forked: this process may run TensorFlow's threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(available_cores(), context, _exit_with_parent) as pool:
        return [result for results in pool.map(_score_chunk, chunks) for result in results]


def _exit_with_parent() -> None:
    """End a worker whose parent is killed; it would wait for work forever."""

    def wait_and_exit() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
        os._exit(1)

    threading.Thread(target=wait_and_exit, daemon=True).start()


def _score_chunk(pairs: Sequence[Pair]) -> list[Oracle]:
    return [score_sentences(text, summaries) for text, summaries in pairs]


def score_sentences(text: str, summaries: Sequence[str]) -> Oracle:
    """Spans and oracle scores of the sentences of a text."""
    spans = tuple(find_sentences(text))
    words = [rouge.stem_words(text[start:end]) for start, end in spans]
    references = [rouge.stem_words(summary) for summary in summaries]
    are_titles = np.mean([len(reference) for reference in references]) < 0.5 * np.mean(
        [len(sentence) for sentence in words]
    )
    measure = rouge.recall if are_titles else rouge.f1
    scores = [float(measure(sentence, references).mean()) for sentence in words]
    selected = [] if are_titles else select_greedily(words, references)
    if len(selected) > 1:
        scores = [score + GREEDY_BONUS * (i in selected) for i, score in enumerate(scores)]
    return spans, tuple(min(score, 1.0) for score in scores)


def select_greedily(
    words: Sequence[rouge.Words], references: Sequence[rouge.Words], limit: int = MAX_GREEDY_SENTENCES
) -> list[int]:
    """Indices of sentences, added one by one while the mean F1 of ROUGE-1 and 2 of all of them rises."""
    selected: list[int] = []
    best = 0.0
    candidates = set(range(len(words)))
    while candidates and len(selected) < limit:
        scores = {i: _mean_f1([*selected, i], words, references) for i in candidates}
        top = max(scores, key=lambda i: (scores[i], -i))
        if scores[top] <= best:
            break
        best = scores[top]
        selected.append(top)
        candidates.remove(top)
    return selected


def _mean_f1(
    indices: Sequence[int], words: Sequence[rouge.Words], references: Sequence[rouge.Words]
) -> float:
    summary = [word for i in indices for word in words[i]]
    return float(rouge.f1(summary, references, ("rouge1", "rouge2")).mean())


def _cache_path(texts: Sequence[str], summaries: Sequence[Sequence[str]]) -> Path:
    from platformdirs import user_cache_path

    digest = hashlib.sha256(f"{CACHE_VERSION}".encode())
    for text, references in zip(texts, summaries, strict=True):
        digest.update(json.dumps([text, list(references)]).encode())
    return user_cache_path("dltasks") / "summary" / f"{digest.hexdigest()[:32]}.npz"


def _write_cache(path: Path, results: Sequence[Oracle]) -> None:
    """Write the cache; where that fails, the scores are computed again the next time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            np.savez_compressed(
                file,
                counts=np.array([len(spans) for spans, _ in results]),
                spans=np.array([span for spans, _ in results for span in spans], np.int64).reshape(-1, 2),
                scores=np.array([score for _, scores in results for score in scores], np.float64),
            )
    except OSError:
        return


def _unpack(counts: np.ndarray, spans: np.ndarray, scores: np.ndarray) -> list[Oracle]:
    return [
        (
            tuple((start, stop) for start, stop in spans[end - count : end].tolist()),
            tuple(scores[end - count : end].tolist()),
        )
        for count, end in zip(counts, np.cumsum(counts), strict=True)
    ]
