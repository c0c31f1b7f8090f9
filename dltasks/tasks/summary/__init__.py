from dltasks.tasks.summary.task import SummaryTask

TASK = SummaryTask
