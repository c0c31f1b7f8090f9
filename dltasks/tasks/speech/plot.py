"""The curve of false alarms against misses, drawn."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np

from dltasks.evaluation.metrics import poisson, wilson

LEAST = 0.01
"""False alarms an hour as which none are drawn: a logarithm has no zero."""


def drawn(points: Sequence[dict]) -> bytes:
    """A PNG of the operating points of a listener, with their 95 % intervals; the chosen one stands out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for each in points:
        misses = 100 * each["missed"] / max(1, each["commands"])
        alarms = max(each["false_accepts"] / each["hours"], LEAST)
        most_alarms = [value / each["hours"] for value in poisson(each["false_accepts"])]
        most_misses = [100 * value for value in wilson(each["missed"], each["commands"])]
        axes.errorbar(
            [alarms],
            [misses],
            xerr=_beside(alarms, np.maximum(most_alarms, LEAST)),
            yerr=_beside(misses, most_misses),
            fmt="o",
            color="tab:red" if each["chosen"] else "tab:blue",
            label=f"chosen: {each['budget_per_hour']:g} an hour" if each["chosen"] else None,
            linewidth=1,
        )
    axes.set_xscale("log")
    axes.set_ylim(0, None)
    axes.set_xlabel(f"false alarms an hour (log scale; none is drawn at {LEAST:g})")
    axes.set_ylabel("commands missed, %")
    axes.grid(alpha=0.3)
    axes.legend()
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _beside(value: float, interval) -> np.ndarray:
    """How far the ends of an interval lie from a value, as matplotlib takes it: (2, 1)."""
    low, high = interval
    return np.maximum([[value - low], [high - value]], 0)
