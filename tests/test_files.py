"""Files and folders written whole or not at all, whatever happens meanwhile."""

import os

import pytest

from dltasks import files
from dltasks.errors import ExportError
from dltasks.files import atomic_folder, atomic_folder_in, atomic_path, atomic_write, check_writable, recover


class Full(OSError):
    """What a full disk says."""


def test_a_file_that_can_not_be_written_to_its_end_leaves_the_old_one_and_nothing_else(tmp_path):
    (tmp_path / "state").write_text("old")
    with pytest.raises(Full), atomic_write(tmp_path / "state") as file:
        file.write(b"half")
        raise Full
    with pytest.raises(Full), atomic_path(tmp_path / "state") as path:
        path.write_text("half")
        raise Full
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"state": "old"}


@pytest.mark.parametrize("at_once", [True, False])
def test_a_new_folder_takes_the_place_of_the_old_one_or_leaves_it(tmp_path, monkeypatch, at_once):
    if not at_once:
        monkeypatch.setattr(files, "_exchanged", lambda one, other: False)
    for content in ("old", "new"):
        with atomic_folder(tmp_path / "it") as folder:
            (folder / "file").write_text(content)
    with pytest.raises(Full), atomic_folder(tmp_path / "it") as folder:
        (folder / "file").write_text("half")
        raise Full
    assert (tmp_path / "it/file").read_text() == "new"
    assert [each.name for each in tmp_path.iterdir()] == ["it"]


def test_what_was_put_aside_by_a_process_that_was_killed_comes_back(tmp_path):
    work = tmp_path / "work"
    (work / "old").mkdir(parents=True)
    (work / "old/file").write_text("old")
    (work / "new").mkdir()
    recover(work, tmp_path / "it")
    assert (tmp_path / "it/file").read_text() == "old" and not list(work.iterdir())


def test_what_was_put_aside_goes_where_the_new_one_came(tmp_path):
    work = tmp_path / "work"
    (work / "old").mkdir(parents=True)
    with atomic_folder_in(work, tmp_path / "it") as folder:
        (folder / "file").write_text("new")
    (work / "old").mkdir()
    recover(work, tmp_path / "it")
    assert (tmp_path / "it/file").read_text() == "new" and not list(work.iterdir())


def test_only_our_own_temporary_folders_of_yesterday_are_cleared_away(tmp_path):
    for name, days in ((".it.a.dltasks", 2), (".it.b.dltasks", 0), (".it.c", 2), (".other.a.dltasks", 2)):
        (tmp_path / name).mkdir()
        then = (tmp_path / name).stat().st_mtime - days * 24 * 3600
        os.utime(tmp_path / name, (then, then))
    with atomic_path(tmp_path / "it") as path:
        path.write_text("new")
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        ".it.b.dltasks",
        ".it.c",
        ".other.a.dltasks",
        "it",
    ]


def test_a_place_that_takes_nothing_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="file/x: can't be written .*choose another --out"):
        check_writable(tmp_path / "file" / "x", ExportError)
