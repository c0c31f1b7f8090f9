"""The learning rate over a run: a linear warm-up, then a linear decay."""

WARM_UP = 0.1
"""Fraction of a run in which the learning rate rises to its peak; then it falls to 0.1 % of it."""


def learning_rate_factor(completed: float) -> float:
    """Fraction of the peak learning rate after this fraction (0 to 1) of the run."""
    if completed < WARM_UP:
        return max(0.05, completed / WARM_UP)
    return max(0.001, (1 - completed) / (1 - WARM_UP))
