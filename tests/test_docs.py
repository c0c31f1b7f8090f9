"""The documentation: its commands and Python run, its links lead somewhere, every command is in it."""

import json
import re
import subprocess
import sys

import pages
import pytest
from completion import write_command
from conftest import COMMAND, ENVIRONMENT, NETWORK, ROOT, dltasks

from dltasks.cli.main import command_files

README = (ROOT / "README.md").read_text(encoding="utf-8")

LINKING_PAGES = [*pages.PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md"))]


SLOW_PAGES = {"command-line.md", "export.md", "image.md", "speech.md", "summary.md"}
"""Pages that train several models."""


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page.name in SLOW_PAGES else (), id=page.name)
        for page in pages.PAGES
    ],
)
def test_the_code_blocks_of_a_page_run_in_order_without_a_network(page, tmp_path):
    steps = pages.steps(page)
    folder = tmp_path / "data"
    folder.mkdir()
    pages.write_data(folder)
    write_command(tmp_path / "bin", COMMAND)
    NETWORK.unlink(missing_ok=True)
    process = subprocess.run(
        [sys.executable, str(ROOT / "tests/page_runner.py"), str(tmp_path / "outcomes")],
        input=json.dumps(steps),
        cwd=folder,
        env=ENVIRONMENT | {"PATH": f"{tmp_path / 'bin'}:{ENVIRONMENT['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    outcomes = [json.loads(line) for line in (tmp_path / "outcomes").read_text().splitlines()]
    for outcome in outcomes:
        check(**outcome)
    assert len(outcomes) == len(steps)
    assert not NETWORK.exists(), NETWORK.read_text()


def check(step: str, code: int, stdout: str, stderr: str) -> None:
    """Fails unless the step succeeded, with its result on standard output."""
    assert code == 0 and "Traceback" not in stderr, f"{step}: {stderr}"
    if not step.startswith("dltasks "):
        return
    # The summary of an inspection is a message: it goes to standard error.
    assert stdout or re.search("^dltasks (train|doctor) | > | --out | -o ", step), step
    if "--json" in step:
        assert all(json.loads(line) for line in stdout.splitlines()), step


def test_the_readme_has_commands_and_python():
    assert len(pages.commands(ROOT / "README.md")) >= 4
    assert "```python\n" in README


@pytest.mark.parametrize("name", command_files())
def test_every_command_is_in_the_documentation(name):
    assert any(re.search(rf"dltasks {name}\b", page.read_text(encoding="utf-8")) for page in pages.PAGES)


def test_every_command_is_in_the_table_of_commands():
    table = (ROOT / "docs/command-line.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `dltasks ([a-z-]+)", table, re.MULTILINE)) == set(command_files())


@pytest.mark.parametrize("page", LINKING_PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for link in pages.links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or target.suffix != ".md" or anchor in pages.anchors(target), link


def test_the_first_command_of_the_readme_installs_and_classifies_a_sample_correctly():
    first = re.findall(r"```sh\n(.*?)\n", README)[0]
    installation, _, command = first.rpartition("&& dltasks ")
    assert "pip install ." in installation
    result = dltasks(*command.split())
    assert result.returncode == 0
    line = r"samples/image/coffee.jpg: espresso \d+\.\d%(, [a-z' -]+ \d+\.\d%){4}.*\n"
    assert re.fullmatch(line, result.stdout)


def test_ci_runs_exactly_the_command_of_the_readme_that_runs_the_tests():
    command = (ROOT / ".ci/run").read_text().splitlines()[-2].removesuffix(" &&")
    assert "pytest" in command and f"```sh\n{command}\n" in README


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=ENVIRONMENT)
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "site/api/index.html").is_file()
