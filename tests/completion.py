"""Interactive shells on a terminal of their own, in which a test presses the Tab key."""

import os
import pty
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

CONTROL = re.compile(rb"\x1b\[[0-9;?>=]*[a-zA-Z]|\x1b[=>]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\r|\x07|\x08")
"""Sequences that move the cursor or set colors."""


class Terminal:
    """An interactive shell in the folder `home`."""

    def __init__(self, shell: list[str], home: Path, environment: dict[str, str]):
        self._reader, follower = pty.openpty()
        self._process = subprocess.Popen(
            shell,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            cwd=home,
            env=environment,
            start_new_session=True,
        )
        os.close(follower)

    def __enter__(self) -> "Terminal":
        self.type("echo rea''dy\n")
        self.read_until("\nready")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._reader)

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._reader, text.encode())

    def complete(self, line: str, expected: str) -> bool:
        """Whether the Tab key after `line` brings `expected` to the screen; the line is then deleted."""
        self.type(line + "\t")
        completed = self.read_until(expected)
        self.type("\x15")  # Ctrl-U
        return completed

    def read_until(self, expected: str, seconds: float = 20) -> bool:
        """Read the screen until it shows `expected`; False where it does not within this time."""
        screen, deadline = b"", time.monotonic() + seconds
        while expected.encode() not in CONTROL.sub(b"", screen):
            ready, _, _ = select.select([self._reader], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                return False
            screen += os.read(self._reader, 4096)
        return True


def write_command(folder: Path, command: list[str]) -> None:
    """A script `dltasks` in this folder that runs the command."""
    folder.mkdir(exist_ok=True)
    script = folder / "dltasks"
    script.write_text(f'#!/bin/sh\nexec {" ".join(command)} "$@"\n')
    script.chmod(0o755)


def is_installed(shell: str) -> bool:
    """Whether the shell can be started here."""
    return shutil.which(shell) is not None
