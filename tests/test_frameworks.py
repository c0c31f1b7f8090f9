"""What native libraries print stays off the terminal."""

import logging
import os
import sys

from dltasks.frameworks import suppress_native_output


def test_nothing_is_printed_inside_and_all_outside(capfd):
    with suppress_native_output():
        print("python")
        os.write(2, b"native")
    print("after")
    assert capfd.readouterr() == ("after\n", "")


def test_a_log_handler_made_inside_works_on_afterwards(capfd):
    with suppress_native_output():
        handler = logging.StreamHandler(sys.stderr)
    handler.emit(logging.LogRecord("x", logging.WARNING, "x", 1, "later", (), None))
    assert "Logging error" not in capfd.readouterr().err
