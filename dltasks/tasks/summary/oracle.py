"""What the extractive network learns from: what ROUGE each sentence gets, found once for a data set on all cores."""

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
from dltasks.tasks.summary.documents import spans_of

FEW = 400
"""Texts that are not worth a process of their own."""

CHUNK = 200
VERSION = 3
"""Of the labels; a cache of another is made anew."""

GREEDY = 0.15
"""What a sentence gets beyond its own ROUGE for being one of the greedy choice of several."""

Labels = tuple[tuple[tuple[int, int], ...], tuple[float, ...]]


def labelled(texts: Sequence[str], summaries: Sequence[Sequence[str]]) -> list[Labels]:
    """Spans of the sentences of each text and the gain of each, from 0 to 1.

    The gain is the mean F1 of ROUGE-1, 2 and L of the sentence alone, the best over the summaries; of summaries that are
    shorter than half a sentence (titles) the mean recall, or the shortest sentence would win. Where several sentences
    together do better than one (chosen greedily; Nallapati, Zhai and Zhou, 2017, SummaRuNNer), theirs is more by GREEDY.
    Kept in the user's cache. Raises MissingExtraError.
    """
    place = _place(texts, summaries)
    if place.is_file():
        with np.load(place, allow_pickle=False) as kept:
            return _unpacked(**kept)
    pairs = list(zip(texts, summaries, strict=True))
    chunks = [pairs[at : at + CHUNK] for at in range(0, len(pairs), CHUNK)]
    if len(pairs) < FEW or available_cores() == 1:
        found = [each for chunk in chunks for each in _of_chunk(chunk)]
    else:
        rouge.stemmed("")
        # Not forked: this process may run TensorFlow's threads.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(available_cores(), context, _end_with_parent) as pool:
            found = [each for chunk in pool.map(_of_chunk, chunks) for each in chunk]
    _keep(place, found)
    return found


def _end_with_parent() -> None:
    """A worker whose parent is killed would otherwise wait for work for ever."""

    def ended():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=ended, daemon=True).start()


def _of_chunk(pairs) -> list[Labels]:
    return [_of_text(*each) for each in pairs]


def _of_text(text: str, summaries: Sequence[str]) -> Labels:
    spans = tuple(spans_of(text))
    words = [rouge.stemmed(text[start:end]) for start, end in spans]
    references = [rouge.stemmed(each) for each in summaries]
    titles = np.mean([len(each) for each in references]) < 0.5 * np.mean([len(each) for each in words])
    measure = rouge.recall if titles else rouge.f1
    gains = [float(measure(each, references).mean()) for each in words]
    chosen = [] if titles else greedy(words, references)
    if len(chosen) > 1:
        gains = [each + GREEDY * (i in chosen) for i, each in enumerate(gains)]
    return spans, tuple(min(each, 1.0) for each in gains)


def greedy(words: Sequence[rouge.Words], references: Sequence[rouge.Words], most: int = 10) -> list[int]:
    """Positions of sentences, each of which adds most to the mean F1 of ROUGE-1 and 2 of all, while any adds."""
    chosen, best = [], 0.0
    left = set(range(len(words)))
    while left and len(chosen) < most:
        scores = {
            i: float(
                rouge.f1([w for j in (*chosen, i) for w in words[j]], references, ("rouge1", "rouge2")).mean()
            )
            for i in left
        }
        top = max(scores, key=lambda i: (scores[i], -i))
        if scores[top] <= best:
            break
        best = scores[top]
        chosen.append(top)
        left.remove(top)
    return chosen


def _place(texts: Sequence[str], summaries: Sequence[Sequence[str]]) -> Path:
    from platformdirs import user_cache_path

    seen = hashlib.sha256(f"{VERSION}".encode())
    for text, each in zip(texts, summaries, strict=True):
        seen.update(json.dumps([text, list(each)]).encode())
    return user_cache_path("dltasks") / "summary" / f"{seen.hexdigest()[:32]}.npz"


def _keep(place: Path, found: list[Labels]) -> None:
    """Write the cache; a disk that takes none costs only its making anew."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(place) as file:
            np.savez_compressed(
                file,
                counts=np.array([len(spans) for spans, _ in found]),
                spans=np.array([each for spans, _ in found for each in spans], np.int64).reshape(-1, 2),
                gains=np.array([each for _, gains in found for each in gains], np.float64),
            )
    except OSError:
        return


def _unpacked(counts: np.ndarray, spans: np.ndarray, gains: np.ndarray) -> list[Labels]:
    ends = np.cumsum(counts)
    return [
        (tuple(map(tuple, spans[end - count : end].tolist())), tuple(gains[end - count : end].tolist()))
        for count, end in zip(counts, ends, strict=True)
    ]
