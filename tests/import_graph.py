"""The imports of every module of the package, read from its source without importing it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


def find_modules() -> dict[str, Path]:
    """Path of each module of dltasks and dltasks.cli, by its name."""
    modules = {}
    for folder, package in ((ROOT / "dltasks", "dltasks"), (ROOT / "cli", "dltasks.cli")):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            modules[".".join((package, *parts)).removesuffix(".__init__")] = path
    return modules


MODULES = find_modules()


@dataclass(frozen=True)
class Import:
    """An import statement.

    Attributes:
        importer: Name of the module that imports.
        imported: Name of the imported module, of any package.
        lazy: Whether the statement is inside a function.
    """

    importer: str
    imported: str
    lazy: bool


def read_imports(module: str) -> Iterator[Import]:
    """The imports of a module, without those for type checkers only."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for name, lazy in _walk(tree, lazy=False):
        yield Import(module, name, lazy)


def _walk(node: ast.AST, lazy: bool) -> Iterator[tuple[str, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            names = (f"{child.module}.{alias.name}" for alias in child.names)
            yield from ((name if name in MODULES else child.module or "", lazy) for name in names)
        else:
            yield from _walk(child, lazy or isinstance(child, ast.FunctionDef | ast.Lambda))


def find_circles(imports: list[Import]) -> list[set[str]]:
    """Groups of modules each of which reaches every other one (strongly connected components)."""
    reached = {module: _reach(module, imports) & MODULES.keys() for module in MODULES}
    circles = []
    for module in MODULES:
        circle = {other for other in reached[module] if module in reached[other]}
        if circle and circle not in circles:
            circles.append(circle)
    return circles


def _reach(module: str, imports: list[Import]) -> set[str]:
    targets: dict[str, set[str]] = {}
    for statement in imports:
        targets.setdefault(statement.importer, set()).add(statement.imported)
    reached: set[str] = set()
    waiting = [module]
    while waiting:
        new = targets.get(waiting.pop(), set()) - reached
        reached |= new
        waiting += new
    return reached
