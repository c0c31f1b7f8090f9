"""Summarization: the most important sentences of a text, or a headline for it."""

from dltasks.tasks.summary.task import SummaryTask as TASK

__all__ = ["TASK"]
