"""What may import what: read from the source, and seen in fresh interpreters."""

import ast
import json
import re
import subprocess
import sys

import pytest
from conftest import ENVIRONMENT, ROOT
from import_graph import MODULES, find_circles, read_imports

from dltasks import registry
from dltasks.bundle import storage

IMPORTS = [statement for module in MODULES for statement in read_imports(module)]

FRAMEWORKS = {"keras", "keras_hub", "tensorflow", "jax", "torch", "ai_edge_quantizer"}
HEAVY = FRAMEWORKS | {"tensorflow_datasets", "pandas", "sklearn", "matplotlib"}

LAYERS = (
    {"_version", "errors"},
    {"config", "files", "frameworks", "parallel", "progress", "validation"},
    {"data", "evaluation", "litert"},
    {"fields", "protocols", "task"},
    {"registry"},
    {"tasks", "bundle", "doctor"},
    {"benchmark", "export"},
    {"training"},
    {"model"},
    {""},
    {"cli"},
    {"__main__"},
)
"""Folders and modules from the bottom to the top; "" is the front door. None imports a higher one."""

LIGHT = ("bundle", "config", "data", "doctor", "evaluation", "files", "litert", "model", "validation")
"""Folders and modules that prediction needs, or that work without the train extra."""

NETWORK_FILES = {
    *("attention", "augmentation", "backbones", "calibration", "decoder_layers", "extract_layers"),
    *("fine_tuning", "headline_layers", "keras_hub", "layers", "network", "optimizer", "spectrum", "trees"),
}
"""Modules of a task that hold Keras code."""

REQUIRED_FILES = {"__init__", "config", "data", "inspection", "network", "prediction", "split", "task"}
"""Modules that every task folder has."""

GENERIC_COMMANDS = {
    "benchmark",
    "doctor",
    "evaluate",
    "export",
    "models",
    "predict",
    "show",
    "train",
    "verify",
}
"""Commands that serve every task; the others belong to one."""

COMMANDS_FOLDER = ("dltasks.cli.main", "commands")
"""The module that names the folder of the commands, which is also the name of a bundled model."""

MAX_LINES = 350
"""Maximum number of lines of a module."""


# --- read from the source


def layer_of(module: str) -> int:
    name = module.partition(".")[2].partition(".")[0]
    return next(index for index, names in enumerate(LAYERS) if name in names)


def belongs_to_a_task(module: str) -> bool:
    """Whether a module is a command of one task."""
    package, _, name = module.rpartition(".")
    return package == "dltasks.cli.commands" and name not in GENERIC_COMMANDS | {"__init__"}


def task_of(module: str) -> str:
    """The task in whose folder a module is; empty for others."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 and parts[1] == "tasks" and parts[2] in registry.task_names() else ""


def test_no_module_imports_one_of_a_higher_layer():
    upward = [
        (statement.importer, statement.imported)
        for statement in IMPORTS
        # The package of the tasks is empty: the registry lists its folders.
        if statement.imported in MODULES and statement.imported != "dltasks.tasks"
        if layer_of(statement.imported) > layer_of(statement.importer)
        # The front door, and a model's methods, import when they are called.
        if not (statement.lazy and statement.importer in ("dltasks", "dltasks.model"))
    ]
    assert not upward


def test_there_are_no_import_circles():
    assert not find_circles([statement for statement in IMPORTS if statement.importer != "dltasks"])


def test_no_task_imports_another():
    across = [
        (statement.importer, statement.imported)
        for statement in IMPORTS
        if task_of(statement.importer) and task_of(statement.imported)
        if task_of(statement.importer) != task_of(statement.imported)
    ]
    assert not across


def test_no_generic_module_imports_a_task():
    generic = [
        (statement.importer, statement.imported)
        for statement in IMPORTS
        if task_of(statement.imported) and not task_of(statement.importer)
        if not belongs_to_a_task(statement.importer)
    ]
    assert not generic


def test_only_training_export_and_networks_import_a_framework():
    importers = {
        statement.importer for statement in IMPORTS if statement.imported.partition(".")[0] in FRAMEWORKS
    }
    allowed = {
        module
        for module in MODULES
        if module.startswith(("dltasks.export.", "dltasks.training."))
        or (task_of(module) and module.rpartition(".")[2] in NETWORK_FILES)
    }
    assert importers <= allowed | {"dltasks.frameworks", "dltasks.tasks.classification"}


def test_heavy_libraries_are_imported_in_functions():
    eager = {
        (statement.importer, statement.imported)
        for statement in IMPORTS
        if statement.imported.partition(".")[0] in HEAVY and not statement.lazy
        if statement.importer.rpartition(".")[2] not in NETWORK_FILES
    }
    assert not eager


@pytest.mark.parametrize("task", registry.task_names())
def test_a_task_folder_has_the_files_of_every_task(task):
    files = {path.stem for path in (ROOT / "dltasks/tasks" / task).glob("*.py")}
    assert files >= REQUIRED_FILES


def test_no_generic_module_names_a_task_or_a_bundled_model():
    names = [*registry.task_names(), *storage.bundled_names()]
    for module, path in MODULES.items():
        if task_of(module) or belongs_to_a_task(module):
            continue
        code = re.sub(r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for name in names:
            if (module, name) == COMMANDS_FOLDER:
                continue
            assert not re.search(rf"['\"/]{name}['\"/]", code), f"{module} names {name}"


def test_no_module_is_too_long():
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()}
    assert not {module: length for module, length in lengths.items() if length > MAX_LINES}


def test_every_module_starts_with_a_docstring():
    missing = [
        module
        for module, path in MODULES.items()
        if path.stem != "__init__" and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not missing


# --- seen in fresh interpreters


def modules_after(code: str) -> set[str]:
    """Names of the modules in a fresh interpreter after `code`."""
    code += "\nimport json, sys; print('\\n' + json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr.decode()
    return set(json.loads(done.stdout.decode().splitlines()[-1]))


def test_importing_the_package_imports_nothing_heavy():
    assert not modules_after("import dltasks") & (HEAVY | {"numpy", "PIL", "click", "ai_edge_litert"})


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
    assert not modules_after(code) & (HEAVY | {"numpy", "PIL", "ai_edge_litert", "rich"})


@pytest.mark.parametrize("folder", LIGHT)
def test_a_light_folder_imports_no_framework(folder):
    modules = [
        name for name in MODULES if name == f"dltasks.{folder}" or name.startswith(f"dltasks.{folder}.")
    ]
    assert modules
    assert not modules_after(f"import {', '.join(modules)}") & (HEAVY | {"click", "rich"})


@pytest.mark.parametrize("task", registry.task_names())
def test_a_task_imports_no_framework_and_no_other_task(task):
    modules = modules_after(f"import dltasks.tasks.{task}")
    assert not modules & (HEAVY | {"click", "rich"})
    assert not modules & {f"dltasks.tasks.{name}" for name in registry.task_names() if name != task}


@pytest.mark.parametrize("task", registry.task_names())
def test_prediction_imports_no_framework_and_opens_no_socket(task):
    sample = min((ROOT / "samples" / task).iterdir())
    code = f"""
import socket
def refuse(*_, **__):
    raise AssertionError('a socket was opened')
socket.socket = socket.create_connection = refuse
import dltasks
from dltasks.bundle import storage
dltasks.load(storage.default_model({task!r})).predict({str(sample)!r})
"""
    assert not modules_after(code) & (HEAVY | {"rich"})


def test_the_tests_themselves_have_no_network(tmp_path):
    log = tmp_path / "requests"
    done = subprocess.run(
        [sys.executable, "-c", "import socket; socket.create_connection(('pypi.org', 443), 5)"],
        env=ENVIRONMENT | {"DLTASKS_TESTS_NETWORK": str(log)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "the tests have no network" in done.stderr
    assert "pypi.org" in log.read_text()
    import socket

    with pytest.raises(OSError, match="the tests have no network"):
        socket.create_connection(("pypi.org", 443), 5)
