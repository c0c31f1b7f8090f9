from dltasks.tasks.fraud.task import FraudTask

TASK = FraudTask
