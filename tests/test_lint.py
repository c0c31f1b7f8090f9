"""The linter, the formatter and the type checker find nothing."""

import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["ruff", "check", "."], id="ruff check"),
        pytest.param(["ruff", "format", "--check", "."], id="ruff format"),
        pytest.param(["mypy", "dltasks", "cli"], id="mypy"),
    ],
)
def test_the_code_is_clean(arguments):
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
