"""What may import what, seen in fresh interpreters."""

import subprocess
import sys

import pytest
from conftest import ENVIRONMENT, ROOT

from dltasks import registry

HEAVY = {"tensorflow", "keras", "jax", "torch", "tensorflow_datasets", "pandas", "sklearn", "matplotlib"}


def imported_by(code: str) -> set[str]:
    """Top-level modules that stand in a fresh interpreter after `code`."""
    code += "\nimport sys; print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, env=ENVIRONMENT)
    assert found.returncode == 0, found.stderr.decode()
    return set(found.stdout.decode().splitlines()[-1].split())


def test_importing_the_package_imports_nothing_heavy():
    assert not imported_by("import dltasks") & (HEAVY | {"numpy", "PIL", "click", "ai_edge_litert"})


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_does_not_import_numpy(arguments):
    code = f"""
import sys
sys.argv = ['dltasks', *{arguments}]
from dltasks.cli.main import main
try:
    main()
except SystemExit:
    pass
"""
    assert not imported_by(code) & (HEAVY | {"numpy", "PIL", "ai_edge_litert", "rich"})


@pytest.mark.parametrize("task", registry.task_names())
def test_a_task_imports_no_framework_and_no_other_task(task):
    found = imported_by(f"import dltasks.tasks.{task}")
    assert not found & (HEAVY | {"click", "rich"})
    modules = subprocess.run(
        [sys.executable, "-c", f"import dltasks.tasks.{task}, sys; print(*sys.modules)"],
        capture_output=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        text=True,
    ).stdout.split()
    others = {f"dltasks.tasks.{name}" for name in registry.task_names() if name != task}
    assert not others & set(modules)


@pytest.mark.parametrize("task", registry.task_names())
def test_prediction_imports_no_framework_and_opens_no_socket(task):
    sample = min((ROOT / "samples" / task).iterdir())
    code = f"""
import socket
def refused(*_, **__):
    raise AssertionError('a socket was opened')
socket.socket = socket.create_connection = refused
import dltasks
from dltasks import bundle
dltasks.load(bundle.for_task({task!r})).predict({str(sample)!r})
"""
    assert not imported_by(code) & (HEAVY | {"rich"})


def test_the_tests_themselves_have_no_network(tmp_path):
    log = tmp_path / "asked"
    ran = subprocess.run(
        [sys.executable, "-c", "import socket; socket.create_connection(('pypi.org', 443), 5)"],
        env=ENVIRONMENT | {"DLTASKS_TESTS_NETWORK": str(log)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1 and "the tests have no network" in ran.stderr
    assert "pypi.org" in log.read_text()


def test_no_generic_module_names_a_task_or_a_bundled_model():
    import re

    words = [*registry.task_names(), *(each.parent.name for each in (ROOT / "models").glob("*/bundle.json"))]
    generic = [
        *(ROOT / "dltasks").glob("*.py"),
        ROOT / "dltasks/tasks/__init__.py",
        *(ROOT / "cli").glob("*.py"),
    ]
    for path in generic:
        code = re.sub(r'""".*?"""', "", path.read_text(), flags=re.DOTALL)
        for word in words:
            assert not re.search(rf"['\"/]{word}['\"/]", code), f"{path.name} names {word}"
