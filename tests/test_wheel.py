"""The wheel, in an environment that holds nothing but its dependencies."""

import shutil
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement


def resolve(requirements: list[str], resolved: dict[str, metadata.Distribution]) -> dict:
    """The installed distributions of these requirements and of their dependencies, by name."""
    for text in requirements:
        requirement = Requirement(text)
        excluded = requirement.marker and not requirement.marker.evaluate({"extra": ""})
        if requirement.name not in resolved and not excluded:
            resolved[requirement.name] = metadata.distribution(requirement.name)
            resolve(resolved[requirement.name].requires or [], resolved)
    return resolved


def copy_checkout(target: Path) -> None:
    """Copy the files that git knows or would add."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listing.splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with an environment `env` that holds the wheel and links to its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    copy_checkout(folder / "checkout")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, folder / "checkout"]
    subprocess.run(build, check=True, capture_output=True)
    venv.create(folder / "env", with_pip=False)
    site = site_packages(folder)
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", site]
    subprocess.run([*install, next(folder.glob("*.whl"))], check=True, capture_output=True)
    wheel = metadata.Distribution.at(next(site.glob("dltasks-*.dist-info")))
    for distribution in resolve(wheel.requires, {}).values():
        for name in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (site / name).exists():
                (site / name).symlink_to(Path(distribution.locate_file(name)))
    return folder


def site_packages(folder: Path) -> Path:
    return next((folder / "env/lib").glob("python*/site-packages"))


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    code = "import sys; from dltasks.cli.main import main; main()"
    command = [folder / "env/bin/python", "-I", "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    "command, sample, prediction",
    [("classify", "image/coffee.jpg", "espresso"), ("recognize", "speech/yes.flac", "yes.flac: yes")],
)
def test_the_wheel_predicts(folder, command, sample, prediction):
    done = run(folder, command, str(ROOT / "samples" / sample))
    assert done.returncode == 0, done.stderr
    assert prediction in done.stdout and not done.stderr


def test_the_wheel_has_every_file_and_no_cache(folder):
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        files = {name.removeprefix("dltasks/") for name in wheel.namelist()}
    bundles = [path.parent for path in (ROOT / "models").glob("*/bundle.json")]
    expected = {
        *(path.relative_to(ROOT / "dltasks") for path in (ROOT / "dltasks").rglob("*.py")),
        *(path.relative_to(ROOT) for path in (ROOT / "cli").rglob("*.py")),
        *(path.relative_to(ROOT) for bundle in bundles for path in bundle.iterdir()),
        *(path.relative_to(ROOT) for path in (ROOT / "models/LICENSES").iterdir()),
        Path("py.typed"),
    }
    assert {str(path) for path in expected} <= files
    assert not any("__pycache__" in name or "models/port" in name for name in files)


def test_training_without_keras_names_the_extra_to_install(folder):
    for arguments in (["train", "image", str(ROOT / "samples"), "--out", "x"], ["export", "objects"]):
        done = run(folder, *arguments)
        assert done.returncode == 1
        assert "pip install 'dltasks[train]'" in done.stderr and done.stderr.count("\n") == 1
