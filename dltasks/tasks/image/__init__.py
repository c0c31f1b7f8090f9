"""Image classification."""

from dltasks.tasks.image.task import ImageTask

TASK = ImageTask
