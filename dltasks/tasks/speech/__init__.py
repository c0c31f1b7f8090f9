from dltasks.tasks.speech.task import SpeechTask

TASK = SpeechTask
