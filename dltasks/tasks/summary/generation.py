"""Generation of headlines with the signatures `encode` and `predict_token` of the network."""

from typing import Any

import numpy as np

from dltasks.litert.runtime import Arrays, Run
from dltasks.tasks.summary import vocabulary
from dltasks.tasks.summary.beam_search import BeamSearch, Sequence


def generate(task: Any, source: np.ndarray, run: Run) -> list[Sequence]:
    """Headlines as tokens with their scores, the best first. source: int32 (1, max_source_tokens)."""
    memory = run({"source": source}, "encode")
    past: Arrays = {}

    def advance(last: np.ndarray, parents: np.ndarray, step: int) -> np.ndarray:
        nonlocal past
        inputs = {"token": last, "position": np.array([step], np.int32)} | memory
        if past:
            inputs |= {name: values[parents] for name, values in past.items()}
        else:
            inputs |= empty_past(memory, len(last), task.max_headline_tokens)
        outputs = run(inputs, "predict_token")
        past = {name: values for name, values in outputs.items() if name.startswith("past_")}
        return mix_probabilities(outputs, source[0])

    return BeamSearch(beams=task.beams, max_tokens=task.max_headline_tokens).run(advance)


def generate_all(task: Any, sources: np.ndarray, run: Run) -> Arrays:
    """The best headline of each source (batch, max_source_tokens).

    tokens: int32 (batch, max_headline_tokens), padded with 0. scores: float32 (batch,).
    """
    best = [generate(task, source[None], run)[0] for source in sources]
    return {
        "tokens": vocabulary.pad([tokens for tokens, _ in best], task.max_headline_tokens),
        "scores": np.array([score for _, score in best], np.float32),
    }


def empty_past(memory: Arrays, beams: int, steps: int) -> Arrays:
    """The past of the first step: zeros for `steps` steps."""
    past = {}
    for name, values in memory.items():
        if name.startswith(("keys_", "values_")):
            shape = list(values.shape)
            shape[0], shape[3 if name.startswith("keys_") else 2] = beams, steps
            past[f"past_{name}"] = np.zeros(shape, np.float32)
    return past


def mix_probabilities(outputs: Arrays, source: np.ndarray) -> np.ndarray:
    """Probabilities of the next token (beams, vocabulary_size), generated or copied from source (length,)."""
    weight = outputs["generation_probability"]
    probabilities = weight * outputs["token_probabilities"]
    for row, copied in zip(probabilities, (1 - weight) * outputs["copy_probabilities"], strict=True):
        row += np.bincount(source, weights=copied, minlength=len(row)).astype(row.dtype)
    return probabilities
