"""Draw run.svg, the picture of the README: a real run of the command on the samples, as a terminal shows it.

python docs/pictures/draw_run.py
"""

import os
import pty
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "dltasks classify samples/image/coffee.jpg --top-k 3",
    "dltasks classify samples/image/cat.jpg --top-k 3",
    "dltasks recognize samples/speech/yes.flac",
    "dltasks summarize samples/summary/abstract.txt -n 1",
    "dltasks detect-fraud samples/fraud/tomorrow.csv --history samples/fraud/transactions.csv --alerts",
)
WIDTH = 100
"""Columns of the terminal."""

MAX_LINES = 4
"""Lines of a command's output that are drawn; the rest is an ellipsis."""


def run(command: str) -> str:
    """The output of a command of dltasks on a terminal of WIDTH columns, with its ANSI codes."""
    terminal, output = pty.openpty()
    arguments = [sys.executable, "-m", "dltasks", *shlex.split(command)[1:]]
    environment = os.environ | {"COLUMNS": str(WIDTH)}
    process = subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
    )
    os.close(output)
    chunks = []
    # Linux raises EIO where the other end of a terminal is closed.
    with suppress(OSError):
        while chunk := os.read(terminal, 1 << 16):
            chunks.append(chunk)
    os.close(terminal)
    if process.wait():
        raise SystemExit(f"{command}: exit code {process.returncode}")
    return b"".join(chunks).decode()


def main() -> None:
    """Run the commands and write the picture."""
    os.chdir(ROOT)
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        for command in COMMANDS:
            console.print(Text(f"$ {command}", "bold green"))
            lines = run(command).rstrip().splitlines()
            for line in lines[:MAX_LINES]:
                console.print(Text.from_ansi(line))
            if len(lines) > MAX_LINES:
                console.print("...")
            console.print()
    console.save_svg(str(Path(__file__).with_name("run.svg")), title="dltasks")


if __name__ == "__main__":
    main()
