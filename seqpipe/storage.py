"""Files that are whole or absent: written beside and renamed; one process a run directory."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from seqpipe.errors import DataError, RunError

HIDDEN = "is hidden by its export: it comes back when that ends, or with the same command if that was killed."


@contextlib.contextmanager
def whole_file(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file beside `path` and rename it when the block ends well; on any failure nothing of it stays.

    Of a link what it leads to is replaced. Devices and pipes, such as /dev/stdout, are written straight into.

    Raises:
        RunError: the disk is full, or the place cannot be written.
    """
    target = Path(os.path.realpath(path))
    part = beside(target)
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "\n")
    try:
        if path.exists() and not path.is_file():
            with open(path, mode, encoding=encoding, newline=newline) as file:
                yield file
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(part, mode, encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if target.exists():  # as private as before
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
        os.replace(part, target)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """A directory beside `path` to fill; it becomes `path`, which must not hold files yet, when the block ends well.

    It is locked meanwhile, wherever it is moved, so that `remove_leftovers_of_the_dead` leaves it alone.
    """
    part = beside(path)
    try:
        part.mkdir(parents=True)
        with _open_directory(part) as descriptor:
            with contextlib.suppress(OSError):  # where there are no locks, nobody finds it free, either
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield part
            os.replace(part, path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise RunError(
                f"{path} was written by another process meanwhile and stays. Run the command again."
            ) from error
        raise unwritable(path, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def beside(path: Path) -> Path:
    """A new name beside `path`: one of its own, since processes in other containers may have the same number."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


@contextlib.contextmanager
def _open_directory(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_json(path: Path, value: object) -> None:
    with whole_file(path, "w") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


def write_text(path: Path, text: str) -> None:
    with whole_file(path, "w") as file:
        file.write(text)


def write_arrays(path: Path, /, **arrays: Any) -> None:
    """A .npz file."""
    import numpy as np

    with whole_file(path) as file:
        np.savez(file, **arrays)


def remove_leftovers(directory: Path) -> None:
    """Remove what a killed process was writing in a directory, or below it, that nobody else uses."""
    for path in list(directory.rglob(".*.part")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)  # it may have gone with its directory


def remove_leftovers_of_the_dead(directory: Path) -> None:
    """Remove what killed processes were making with `whole_directory`; what a living one makes is locked, and stays."""
    for path in directory.glob(".*.part"):
        with contextlib.suppress(OSError), _open_directory(path) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)


def remove_directory(directory: Path) -> None:
    """Remove a directory and what it holds, if it is there; what a link leads to, or is mounted, is emptied and stays.

    Raises:
        RunError: something in it cannot be removed.
    """
    try:
        if not directory.exists():
            return
        for path in list(directory.iterdir()) if directory.is_symlink() or directory.is_mount() else [directory]:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    except OSError as error:
        raise RunError(f"{error.filename or directory} cannot be removed: {error.strerror or error}.") from error


def apart(option: str, output: Path | None, read: Path | None) -> None:
    """Raises DataError: what is written would replace what is read."""
    if output is not None and read is not None and output.exists() and read.exists() and output.samefile(read):
        raise DataError(f"{option} {output} is the file that is read. Name another, so that its rows stay.")


def unwritable(path: Path, error: OSError) -> RunError:
    """The message for a write that failed, by its cause."""
    if isinstance(error, FileNotFoundError):
        return RunError(f"{error.filename or path} is not there, or not any more.")
    short_write = error.errno is None and "requested and" in str(error)  # numpy's words; it gives no number
    if short_write or error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunError(
            f"{path} cannot be written: the disk is full. Nothing half-written stays; "
            "make room and run the same command again."
        )
    return RunError(f"{path} cannot be written: {error.strerror or error}.")


@contextlib.contextmanager
def writing_into(directory: Path) -> Iterator[None]:
    """Raises RunError: something in it cannot be written or is gone; a closed standard output is not meant."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable(Path(error.filename or directory), error) from error


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a run directory, so that a second process fails at once instead of writing in between.

    Its file lies beside the directory; of a link, beside what it leads to, whatever it is called by.

    Raises:
        RunError: another process holds it, or the directory can be none.
    """
    real = Path(os.path.realpath(directory))
    if directory.is_symlink() and not real.exists():
        raise RunError(f"{directory} is a link to {real}, which is not there.")
    if real.exists() and not real.is_dir():
        raise RunError(f"{directory} is a file, where a run has its directory. Move it, or name the run otherwise.")
    path = real.with_name(f".{real.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115  held open for as long as the lock is
    except OSError as error:
        raise unwritable(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise RunError(
                f"{directory} is in use by another process (pid {owner}). "
                "Wait for it, stop it, or give this run another name: --set name=..."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


@contextlib.contextmanager
def hidden(directory: Path) -> Iterator[None]:
    """The run directory renamed, or what is in one that is mounted; `unhide` brings it back if the process dies."""
    beside_it, within = _hiding_places(directory)
    if directory.is_mount():
        for path in list(directory.iterdir()):
            within.mkdir(exist_ok=True)
            os.rename(path, within / path.name)
    elif directory.exists():
        os.rename(directory, beside_it)
    try:
        yield
    finally:
        unhide(directory)


def is_hidden(directory: Path) -> bool:
    return any(place.exists() for place in _hiding_places(directory))


def unhide(directory: Path) -> None:
    beside_it, within = _hiding_places(directory)
    if beside_it.exists():
        shutil.rmtree(directory, ignore_errors=True)
        os.rename(beside_it, directory)
    if within.exists():
        for path in list(within.iterdir()):
            os.rename(path, directory / path.name)
        within.rmdir()


def _hiding_places(directory: Path) -> tuple[Path, Path]:
    return directory.parent / f".{directory.name}.hidden", directory / ".hidden"
