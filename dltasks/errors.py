"""The errors meant for users.

DltasksError             one line: what came, what was wanted, what to do
├── DataError            an input or a data set can't be read or makes no sense
│   └── RowsError        some rows of a file can't be read
├── ModelError           a bundle or a .tflite is missing, damaged or not understood
│   └── DamagedError     it is not as dltasks wrote it
├── ExportError          a network can't be written as asked, or answers otherwise once written
├── PlanError            a training run can't go as asked
│   └── SettingError     a setting has a value that it can't have: wrong usage
└── MissingExtraError    a part of dltasks that is not installed
"""


class DltasksError(Exception):
    """An error whose text is for the user: one line, no traceback needed.

    Names and values of files stand in it; what they hold of line breaks and of signs that steer a terminal does not.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


def printable(text: str) -> str:
    """The text on one line, without signs that steer a terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(sign: str) -> str:
    return " " if sign.isspace() else sign.encode("unicode_escape").decode("ascii")


class DataError(DltasksError):
    """An input or a data set can't be read or makes no sense."""


class RowsError(DataError):
    """Some rows of a file can't be read. rows: which, from 1."""

    def __init__(self, text: str, path: str, rows: tuple[int, ...]):
        super().__init__(text)
        self.path, self.rows = path, rows


class ModelError(DltasksError):
    """A bundle or a .tflite is missing, damaged or not understood."""


class DamagedError(ModelError):
    """A file is not as dltasks wrote it."""


class ExportError(DltasksError):
    """A network can't be written as asked, or answers otherwise once written."""


class TrainingError(DltasksError):
    """A training run can't go as asked."""


class ConfigError(TrainingError):
    """A setting of a plan has a value that it can't have, or there is no such setting."""


class MissingExtraError(DltasksError):
    """A part of dltasks that is not installed is needed."""
