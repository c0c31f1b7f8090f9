"""Plot of false alarms against missed commands."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np

from dltasks.evaluation.metrics import poisson_interval, wilson_interval
from dltasks.tasks.speech.detector import OperatingPoint

MIN_FALSE_ALARMS = 0.01
"""False alarms per hour at which zero is drawn, as the axis is logarithmic."""


def plot_operating_points(points: Sequence[OperatingPoint]) -> bytes:
    """A PNG of the operating points with their 95 % intervals, the chosen one in red."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for point in points:
        misses = 100 * point["missed"] / max(1, point["commands"])
        alarms = max(point["false_alarms"] / point["hours"], MIN_FALSE_ALARMS)
        alarm_bounds = [value / point["hours"] for value in poisson_interval(point["false_alarms"])]
        miss_bounds = [100 * value for value in wilson_interval(point["missed"], point["commands"])]
        axes.errorbar(
            [alarms],
            [misses],
            xerr=_error_lengths(alarms, np.maximum(alarm_bounds, MIN_FALSE_ALARMS)),
            yerr=_error_lengths(misses, miss_bounds),
            fmt="o",
            color="tab:red" if point["chosen"] else "tab:blue",
            label=f"chosen: {point['budget_per_hour']:g} per hour" if point["chosen"] else None,
            linewidth=1,
        )
    axes.set_xscale("log")
    axes.set_ylim(0, None)
    axes.set_xlabel(f"false alarms per hour (log scale; zero drawn at {MIN_FALSE_ALARMS:g})")
    axes.set_ylabel("commands missed, %")
    axes.grid(alpha=0.3)
    axes.legend()
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _error_lengths(value: float, interval: Sequence[float] | np.ndarray) -> np.ndarray:
    """Distances of the ends of an interval from a value, (2, 1) as matplotlib takes them."""
    low, high = interval
    return np.maximum([[value - low], [high - value]], 0)
