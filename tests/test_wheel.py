"""The wheel, in an environment that holds nothing but what it asks for."""

import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement


def needed(requirements: list[str], found: dict[str, metadata.Distribution]) -> dict:
    """The distributions that these requirements come to, all of them."""
    for text in requirements:
        requirement = Requirement(text)
        if requirement.name in found or (
            requirement.marker and not requirement.marker.evaluate({"extra": ""})
        ):
            continue
        found[requirement.name] = metadata.distribution(requirement.name)
        needed(found[requirement.name].requires or [], found)
    return found


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Path:
    """A folder with an environment of the wheel and its dependencies, built from the files git knows."""
    place = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (place / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / "clone" / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", place, place / "clone"]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(place.glob("*.whl"))
    venv.create(place / "env", with_pip=False)
    site = next((place / "env/lib").glob("python*/site-packages"))
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        site,
        wheel,
    ]
    subprocess.run(install, check=True, capture_output=True)
    about = metadata.Distribution.at(next(site.glob("dltasks-*.dist-info")))
    for each in needed(about.requires, {}).values():
        for top in {file.splits[0] for file in each.files if file.splits[0] not in ("..", "__pycache__")}:
            link = site / top
            if not link.exists():
                link.symlink_to(Path(each.locate_file(top)))
    return place


def run(clean: Path, *arguments):
    code = "import sys; from dltasks.cli.main import main; main()"
    return subprocess.run(
        [clean / "env/bin/python", "-I", "-c", code, *arguments], cwd=clean, capture_output=True, text=True
    )


def test_the_wheel_classifies_a_photo(clean):
    said = run(clean, "classify", str(ROOT / "samples/image/coffee.jpg"))
    assert said.returncode == 0, said.stderr
    assert "espresso" in said.stdout and not said.stderr


def test_the_wheel_recognizes_a_command(clean):
    said = run(clean, "recognize", str(ROOT / "samples/speech/yes.flac"))
    assert said.returncode == 0, said.stderr
    assert "yes.flac: yes" in said.stdout and not said.stderr


def test_the_wheel_has_every_part_but_no_cache(clean):
    site = next((clean / "env/lib").glob("python*/site-packages/dltasks"))
    files = {str(each.relative_to(site)) for each in site.rglob("*") if "__pycache__" not in each.splits}
    for path in (ROOT / "dltasks").rglob("*.py"):
        assert str(path.relative_to(ROOT / "dltasks")) in files
    for path in [*(ROOT / "cli").glob("*.py"), *(ROOT / "models").glob("*/*")]:
        assert str(path.relative_to(ROOT)) in files
    assert "py.typed" in files


def test_training_without_keras_says_what_to_install(clean):
    for arguments in (["train", "image", str(ROOT / "samples"), "--out", "x"], ["export", "objects"]):
        said = run(clean, *arguments)
        assert said.returncode == 1
        assert "pip install 'dltasks[train]'" in said.stderr and said.stderr.count("\n") == 1
