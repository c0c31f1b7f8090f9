"""Description of a model of transactions: its tensors, and the limitations in its card."""

from collections.abc import Iterable
from typing import Any

from dltasks.litert.metadata import TensorDescription
from dltasks.task import Description
from dltasks.tasks.fraud.times import DAY

PARITY_SAMPLE_SIZE = 10_000
"""Number of examples that an exported file is compared on; frauds are few."""


def describe(task: Any) -> Description:
    """The description of a trained task."""
    return Description(_describe_tensors(task), limitations(task), parity_sample_size=PARITY_SAMPLE_SIZE)


def _describe_tensors(task: Any) -> dict[str, TensorDescription]:
    features = ", ".join(feature.name for feature in task.pipeline.features)
    categories = ", ".join(task.vocabularies)
    texts = {
        "features": f"features of a transaction: {features}",
        "category_ids": f"positions in the vocabularies of {categories}, from 1; 0 for other values",
        "history": "the features of the card's last transactions, the newest last",
        "history_mask": "1 where the card has such a transaction, else 0",
        "probability": "probability of fraud, 0 to 1",
        "reconstruction_error": "mean squared error of the reconstruction; the higher, the more unusual",
    }
    return {name: TensorDescription(text) for name, text in texts.items()}


def limitations(task: Any) -> str:
    """Markdown for the card."""
    pipeline = task.pipeline
    layout = pipeline.layout
    windows = (
        f", among them windows of {', '.join(pipeline.windows)} over the past of {_join(layout.entities)}"
        if layout.entities
        else ""
    )
    paragraphs = [
        f"The network sees {len(pipeline.features)} features of a transaction{windows}. Without that past "
        "(`--history`, `--state`) a transaction looks like the first of its card."
    ]
    if layout.fraud_rate_by:
        paragraphs.append(
            f"A fraud counts as known {task.label_delay / DAY:g} days after it happened. In the fraud rates "
            f"of {_join(layout.fraud_rate_by)}, a transaction that was not labeled as fraud by then counts "
            "as genuine."
        )
    if task.exclude_known_fraud:
        paragraphs.append("Cards known as defrauded before a test day are excluded from it.")
    paragraphs.append(_UNSUPERVISED if task.unsupervised else _supervised(task))
    return "\n\n".join(paragraphs)


_UNSUPERVISED = (
    "The network was trained without labels. Its anomaly score is the fraction of usual transactions that "
    "are less unusual; one in a thousand of these would be an alert. Unusual does not mean fraud."
)


def _supervised(task: Any) -> str:
    return (
        f"Without a budget, an alert is a probability of {task.threshold:g} or more. Intervals are "
        "bootstrapped over cards. Card precision is the fraction of defrauded cards among the "
        f"{task.budget} riskiest of a day; a detected card is not checked again. Fraud changes: retrain "
        "when the scores on new labels fall."
    )


def _join(names: Iterable[str]) -> str:
    return " and ".join(names)
