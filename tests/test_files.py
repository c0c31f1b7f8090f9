"""Files and folders are written completely or not at all, whatever happens meanwhile."""

import os

import pytest

from dltasks import files
from dltasks.errors import ExportError
from dltasks.files import atomic_folder, atomic_folder_in, atomic_path, atomic_write, check_writable, recover


class DiskFull(OSError):
    """The error of a full disk."""


def test_a_file_that_can_not_be_completed_leaves_only_the_old_one(tmp_path):
    (tmp_path / "state").write_text("old")
    with pytest.raises(DiskFull), atomic_write(tmp_path / "state") as file:
        file.write(b"half")
        raise DiskFull
    with pytest.raises(DiskFull), atomic_path(tmp_path / "state") as path:
        path.write_text("half")
        raise DiskFull
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"state": "old"}


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_new_folder_replaces_the_old_one_or_leaves_it(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", lambda first, second: False)
    for content in ("old", "new"):
        with atomic_folder(tmp_path / "folder") as folder:
            (folder / "file").write_text(content)
    with pytest.raises(DiskFull), atomic_folder(tmp_path / "folder") as folder:
        (folder / "file").write_text("half")
        raise DiskFull
    assert (tmp_path / "folder/file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_the_old_folder_of_a_killed_process_is_restored(tmp_path):
    workspace = tmp_path / "workspace"
    (workspace / "old").mkdir(parents=True)
    (workspace / "old/file").write_text("old")
    (workspace / "new").mkdir()
    recover(workspace, tmp_path / "folder")
    assert (tmp_path / "folder/file").read_text() == "old" and not list(workspace.iterdir())


def test_the_old_folder_is_removed_once_the_new_one_is_in_place(tmp_path):
    workspace = tmp_path / "workspace"
    (workspace / "old").mkdir(parents=True)
    with atomic_folder_in(workspace, tmp_path / "folder") as folder:
        (folder / "file").write_text("new")
    (workspace / "old").mkdir()
    recover(workspace, tmp_path / "folder")
    assert (tmp_path / "folder/file").read_text() == "new" and not list(workspace.iterdir())


def test_only_stale_temporary_folders_of_the_same_path_are_removed(tmp_path):
    ages_in_days = {".it.a.dltasks": 2, ".it.b.dltasks": 0, ".it.c": 2, ".other.a.dltasks": 2}
    for name, days in ages_in_days.items():
        (tmp_path / name).mkdir()
        modified = (tmp_path / name).stat().st_mtime - days * 24 * 3600
        os.utime(tmp_path / name, (modified, modified))
    with atomic_path(tmp_path / "it") as path:
        path.write_text("new")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".it.b.dltasks", ".it.c", ".other.a.dltasks", "it"]


def test_a_path_that_can_not_be_written_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="file/x: can't be written .*choose another --out"):
        check_writable(tmp_path / "file" / "x", ExportError)
