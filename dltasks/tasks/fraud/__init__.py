"""The task of finding fraud in a table of transactions."""

from dltasks.tasks.fraud.task import FraudTask as TASK

__all__ = ["TASK"]
