"""The curve of false alarms against misses, drawn."""

from collections.abc import Sequence
from io import BytesIO

from dltasks.metrics import poisson, wilson


def drawn(points: Sequence[dict]) -> bytes:
    """A PNG of the operating points of a listener, with their 95 % intervals; the chosen one stands out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for each in points:
        misses = each["missed"] / max(1, each["commands"])
        alarms = each["false_accepts"] / each["hours"]
        low, high = (value / each["hours"] for value in poisson(each["false_accepts"]))
        least, most = wilson(each["missed"], each["commands"])
        axes.errorbar(
            [max(alarms, 0.01)],
            [100 * misses],
            xerr=[[max(alarms, 0.01) - max(low, 0.01)], [high - alarms]],
            yerr=[[100 * (misses - least)], [100 * (most - misses)]],
            fmt="o",
            color="tab:red" if each["chosen"] else "tab:blue",
            label=f"chosen: {each['budget_per_hour']:g} an hour" if each["chosen"] else None,
            linewidth=1,
        )
    axes.set_xscale("log")
    axes.set_ylim(0, None)
    axes.set_xlabel("false alarms an hour (log scale; none drawn at 0.01)")
    axes.set_ylabel("commands missed, %")
    axes.grid(alpha=0.3)
    axes.legend()
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
