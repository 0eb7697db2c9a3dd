from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import threading
from pathlib import Path

import pytest

from seqpipe.errors import DataError, RunError
from seqpipe.storage import (
    apart,
    hidden,
    locked,
    remove_directory,
    remove_leftovers,
    remove_leftovers_of_the_dead,
    unhide,
    whole_directory,
    whole_file,
    write_text,
    writing_into,
)


def test_storage_writing_replaces_only_when_whole(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("before")
    with pytest.raises(ZeroDivisionError), whole_file(file, "w") as stream:
        stream.write(f"half {1 / 0}")
    assert file.read_text() == "before"
    with whole_file(file, "w") as stream:
        stream.write("after")
    assert file.read_text() == "after"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_storage_whole_directory_is_whole_or_absent(tmp_path):
    with pytest.raises(ZeroDivisionError), whole_directory(tmp_path / "d") as place:
        (place / "x").write_text(str(1 / 0))
    assert not list(tmp_path.iterdir())
    with whole_directory(tmp_path / "d") as place:
        (place / "x").write_text("x")
    assert (tmp_path / "d" / "x").read_text() == "x"


def test_storage_place_that_is_no_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunError, match=r"file/a.txt cannot be written: (Not a directory|File exists)"),
        whole_file(tmp_path / "file" / "a.txt"),
    ):
        pass


def test_storage_full_disk_leaves_nothing_half_written(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        (place / "a.bin").write_bytes(b"before")
        with (
            pytest.raises(RunError, match=r"the disk is full\. Nothing half-written stays"),
            whole_file(place / "a.bin") as stream,
        ):
            stream.write(b"x" * 200_000)
        assert (place / "a.bin").read_bytes() == b"before"
        assert [path.name for path in place.iterdir()] == ["a.bin"]
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_storage_knows_a_file_that_is_read_by_any_name(tmp_path):
    (tmp_path / "rows.csv").write_text("text\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "rows.csv")
    for output in ("link.csv", "rows.csv"):
        with pytest.raises(DataError, match=rf"--output \S+{output} is the file that is read"):
            apart("--output", tmp_path / output, tmp_path / "rows.csv")
    apart("--output", tmp_path / "new.csv", tmp_path / "rows.csv")
    apart("--output", None, tmp_path / "rows.csv")


def test_storage_says_what_is_gone_and_lets_a_closed_pipe_pass(tmp_path):
    with pytest.raises(RunError, match=r"report\.json is not there, or not any more"), writing_into(tmp_path):
        (tmp_path / "report.json").read_text()
    with pytest.raises(BrokenPipeError), writing_into(tmp_path):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def _hold(path, ready, release):
    with locked(path):
        ready.set()
        release.wait(30)


def test_storage_lock_names_the_process_that_holds_it(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path / "run", ready, release))
    holder.start()
    assert ready.wait(30)
    with (
        pytest.raises(RunError, match=rf"run is in use by another process \(pid {holder.pid}\)"),
        locked(tmp_path / "run"),
    ):
        pass
    release.set()
    holder.join()
    with locked(tmp_path / "run"):
        pass


def test_storage_hidden_directory_comes_back(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "x").write_text("x")
    with pytest.raises(FileNotFoundError), hidden(run):
        (run / "x").read_text()
    assert (run / "x").read_text() == "x"


def test_storage_unhide_after_a_kill(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "x").write_text("x")
    hidden(run).__enter__()  # and the process dies here
    unhide(run)
    assert (run / "x").read_text() == "x"


def test_storage_hidden_directory_that_is_mounted_comes_back(tmp_path, monkeypatch):
    run = tmp_path / "run"
    (run / "deep").mkdir(parents=True)
    (run / "deep" / "x").write_text("x")
    monkeypatch.setattr(Path, "is_mount", lambda path: path == run)  # it cannot be renamed
    for dies in (False, True):
        hiding = hidden(run)
        hiding.__enter__()
        assert [path.name for path in run.iterdir()] == [".hidden"]
        unhide(run) if dies else hiding.__exit__(None, None, None)
        assert (run / "deep" / "x").read_text() == "x"
        assert [path.name for path in run.iterdir()] == ["deep"]
    remove_directory(run)
    assert list(run.iterdir()) == []


def test_storage_lock_is_one_for_all_names_of_a_directory(tmp_path):
    (tmp_path / "real").mkdir()
    for name in ("one", "other"):
        (tmp_path / name).symlink_to("real")
    with locked(tmp_path / "one"), pytest.raises(RunError, match="other is in use by another process"):
        locked(tmp_path / "other").__enter__()
    (tmp_path / "gone").symlink_to("nowhere")
    with pytest.raises(RunError, match=r"gone is a link to .*nowhere, which is not there"):
        locked(tmp_path / "gone").__enter__()
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file is a file, where a run has its directory"):
        locked(tmp_path / "file").__enter__()


def test_storage_a_file_that_is_replaced_stays_as_private_as_it_was(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    (tmp_path / "a.txt").chmod(0o600)
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o600


def test_storage_leftovers_are_removed(tmp_path):
    (tmp_path / ".a.txt.1.part").write_text("")
    (tmp_path / ".d.1.part").mkdir()
    (tmp_path / ".d.1.part" / ".b.1.part").write_text("")
    (tmp_path / "a.txt").write_text("")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_storage_leftovers_of_living_processes_stay(tmp_path):
    """A living one is known by its lock, not by its number, which another container may have too; moved it keeps it."""
    (tmp_path / ".1.left.part").mkdir()
    with whole_directory(tmp_path / "2") as directory:
        moved = tmp_path / ".moved.part"
        directory.rename(moved)
        remove_leftovers_of_the_dead(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [".moved.part"]
        moved.rename(directory)
    assert [path.name for path in tmp_path.iterdir()] == ["2"]


def test_storage_a_directory_that_another_process_wrote_meanwhile_stays(tmp_path):
    def write():
        with whole_directory(tmp_path / "1"):
            (tmp_path / "1").mkdir()
            (tmp_path / "1" / "theirs.txt").write_text("")

    with pytest.raises(RunError, match=r"was written by another process meanwhile and stays\. Run the command again"):
        write()
    assert [path.name for path in tmp_path.rglob("*")] == ["1", "theirs.txt"]


def test_storage_writing_to_a_link_replaces_what_it_leads_to(tmp_path):
    (tmp_path / "kept").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to("kept/a.txt")
    for text in ("first", "second"):
        with whole_file(link, "w") as stream:
            stream.write(text)
        assert link.is_symlink()
        assert (tmp_path / "kept" / "a.txt").read_text() == text
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["a.txt"]


def test_storage_writing_to_a_pipe_goes_into_it(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    with whole_file(pipe, "w") as stream:
        stream.write("through")
    reader.join(30)
    assert read == ["through"]
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_storage_removing_a_directory_keeps_a_link_to_it(tmp_path):
    kept, link = tmp_path / "kept", tmp_path / "link"
    (kept / "deep").mkdir(parents=True)
    (kept / "a.txt").write_text("")
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "b.txt").write_text("")
    (kept / "other").symlink_to(tmp_path / "beside")
    link.symlink_to(kept)
    remove_directory(link)
    assert link.is_symlink()
    assert not list(kept.iterdir())
    assert (tmp_path / "beside" / "b.txt").exists()
    remove_directory(kept)
    assert not kept.exists()
    remove_directory(kept)


def test_storage_what_cannot_be_removed_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(RunError, match=r"link cannot be removed: Not a directory\."):
        remove_directory(tmp_path / "link")
