from dltasks.tasks.toy.task import ToyTask as TASK  # noqa: F401
