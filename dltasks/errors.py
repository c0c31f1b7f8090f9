"""The errors meant for users.

DltasksError             one line: what came, what was expected, what to do
├── DataError            an input or a data set can't be read or makes no sense
│   └── RowsError        some rows of a file can't be read
├── ModelError           a bundle or a .tflite file is missing, damaged or not supported
│   └── DamagedError     a file differs from what dltasks wrote
├── ExportError          a network can't be exported as requested, or its file predicts differently
├── TrainingError        a training run can't start or continue as requested
│   └── ConfigError      a training setting is unknown, or its value is not allowed
└── MissingExtraError    an extra that is not installed is needed
"""


class DltasksError(Exception):
    """Base class of all errors meant for users: one line, no traceback needed.

    The text may contain names and values from files; line breaks and terminal control characters in them are
    escaped by `str`.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


def printable(text: str) -> str:
    """The text on one line, without terminal control characters."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    return " " if character.isspace() else character.encode("unicode_escape").decode("ascii")


def first_line(error: BaseException) -> str:
    """The first line of an error's text; the name of its class where the text is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class DataError(DltasksError):
    """An input or a data set can't be read or makes no sense."""


class RowsError(DataError):
    """Some rows of a file can't be read.

    Attributes:
        path: Name of the file.
        rows: Numbers of the rows, from 1.
    """

    def __init__(self, text: str, path: str, rows: tuple[int, ...]):
        super().__init__(text)
        self.path, self.rows = path, rows


class ModelError(DltasksError):
    """A bundle or a .tflite file is missing, damaged or not supported."""


class DamagedError(ModelError):
    """A file differs from what dltasks wrote."""


class ExportError(DltasksError):
    """A network can't be exported as requested, or its file predicts differently."""


class TrainingError(DltasksError):
    """A training run can't start or continue as requested."""


class ConfigError(TrainingError):
    """A training setting is unknown, or its value is not allowed."""


class MissingExtraError(DltasksError):
    """An extra that is not installed is needed."""
