"""Messages of native libraries stay off the terminal."""

import logging
import os
import sys

from dltasks.frameworks import suppress_native_output


def test_output_is_discarded_inside_the_block_and_appears_after_it(capfd):
    with suppress_native_output():
        print("python")
        os.write(2, b"native")
    print("after")
    assert capfd.readouterr() == ("after\n", "")


def test_a_log_handler_created_inside_the_block_still_works_afterwards(capfd):
    with suppress_native_output():
        handler = logging.StreamHandler(sys.stderr)
    handler.emit(logging.LogRecord("x", logging.WARNING, "x", 1, "later", (), None))
    assert "Logging error" not in capfd.readouterr().err
