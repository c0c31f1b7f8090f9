"""Run the steps of one page of the documentation in this process, so that TensorFlow is imported once.

python page_runner.py OUTCOMES < STEPS

STEPS is a JSON list of [kind, text] with the kinds "command", "shell" and "python"; OUTCOMES gets a JSON line
for each step, with its "code", "stdout" and "stderr", up to the first that fails.
"""

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path


def run(kind: str, text: str) -> dict[str, object]:
    """The outcome of a step."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / name for name in ("stdout", "stderr")]
        with _redirect(1, outputs[0], "wb"), _redirect(2, outputs[1], "wb"):
            code = {"command": run_command, "shell": run_shell, "python": run_python}[kind](text)
        stdout, stderr = (path.read_text(errors="replace") for path in outputs)
    return {"step": text, "code": code, "stdout": stdout, "stderr": stderr}


def run_command(line: str) -> int:
    """The exit code of a line `dltasks ...`, which may redirect its input and output."""
    from dltasks.cli.main import main

    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()
    arguments, source, target = parse_command(line)
    with contextlib.ExitStack() as stack:
        if source:
            stack.enter_context(_redirect(0, Path(source), "rb"))
        if target:
            stack.enter_context(_redirect(1, Path(target), "wb"))
        try:
            main(arguments)
        except SystemExit as left:
            return left.code if isinstance(left.code, int) else 1
        except Exception:
            traceback.print_exc()
    return 1


def parse_command(line: str) -> tuple[list[str], str | None, str | None]:
    """The arguments of a line `dltasks ...`, and the files that its input and output are redirected to."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="<>")
    lexer.whitespace_split = True
    tokens = list(lexer)[1:]
    redirections = {}
    for sign in "<>":
        if sign in tokens:
            place = tokens.index(sign)
            redirections[sign] = tokens[place + 1]
            del tokens[place : place + 2]
    return tokens, redirections.get("<"), redirections.get(">")


def run_shell(line: str) -> int:
    """The exit code of a line for the shell."""
    return subprocess.run(line, shell=True).returncode


def run_python(code: str) -> int:
    """0, or 1 with a traceback on standard error."""
    try:
        exec(compile(code, "page", "exec"), {"__name__": "__main__"})
    except Exception:
        traceback.print_exc()
        return 1
    return 0


@contextlib.contextmanager
def _redirect(number: int, path: Path, mode: str) -> Iterator[None]:
    """A file in place of standard input (0), output (1) or error (2)."""
    name = ("stdin", "stdout", "stderr")[number]
    saved, stream = os.dup(number), getattr(sys, name)
    with open(path, mode) as file:
        os.dup2(file.fileno(), number)
    setattr(sys, name, open(number, mode[0], encoding="utf-8", closefd=False))  # noqa: SIM115
    try:
        yield
    finally:
        if number:
            getattr(sys, name).flush()
        setattr(sys, name, stream)
        os.dup2(saved, number)
        os.close(saved)


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8") as outcomes:
        for kind, text in json.load(sys.stdin):
            outcome = run(kind, text)
            print(json.dumps(outcome), file=outcomes, flush=True)
            if outcome["code"]:
                break
