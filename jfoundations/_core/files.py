"""Files that are written whole or not at all, and what is left of writers that were killed.

A file beside the one to be written takes its name when all is on the disk, so that readers see the
old or the new. Its writer holds a lock on it, which ends with the process whatever ends that: so a
file beside whose lock is free is nobody's, and is swept.
"""

import contextlib
import os
import platform
import re
import secrets
import stat
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows, which refuses to delete what is open
    fcntl = None

BESIDE = re.compile(r"\..*\.([0-9a-f]{8})\.[0-9a-f]{16}\.jfoundations", re.DOTALL)
LONG = 24 * 3600  # seconds in which a writer on another machine has written something


def check_path(path: object, who: str) -> None:
    """Raise unless what is given as a path is one."""
    if not isinstance(path, str | os.PathLike):
        kind = type(path).__name__
        form = "save(path, tree)" if who == "save" else "load(path, like=…)"
        raise TypeError(f"{who}: the path is of type {kind}; give a str or a pathlib.Path: {form}")


def replace(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file of some parts; an old one keeps its mode, and a link leads to it.

    Raises:
        OSError: it cannot be written, or is there and no regular file.
    """
    path = Path(os.path.realpath(path))
    try:
        old: Any = path.stat()
    except FileNotFoundError:
        old = None
    if old and not stat.S_ISREG(old.st_mode):
        raise OSError(
            f"save: {path} is there already and is no regular file but a folder, a device or a "
            "pipe; give the name of a file"
        )
    _sweep(path.parent)
    beside, descriptor = _create(path, 0o600 if old else 0o666)
    try:
        with open(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            if old:
                _restore(beside, old)
            if fcntl is not None:
                os.replace(beside, path)  # still locked
        if fcntl is None:
            os.replace(beside, path)  # not while it is open
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise


def _create(path: Path, mode: int) -> tuple[Path, int]:
    """Return a new file beside another, and its descriptor, which holds its lock."""
    while True:
        name = f".{path.name[:40]}.{_machine()}.{secrets.token_hex(8)}.jfoundations"
        beside = path.with_name(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(beside, flags, mode)
        except OSError as error:
            error.filename = str(path)  # of the other the user knows nothing
            raise
        with contextlib.suppress(OSError):  # some file systems have no locks
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        if fcntl is None or os.fstat(descriptor).st_nlink:
            return beside, descriptor
        os.close(descriptor)  # swept before it was locked


def _restore(beside: Path, old: os.stat_result) -> None:
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):  # that is for the owner to change, or for root
            os.chown(beside, old.st_uid, old.st_gid)
    beside.chmod(stat.S_IMODE(old.st_mode))


def _sweep(folder: Path) -> None:
    """Delete what killed writers left half written; what cannot be deleted stays."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = BESIDE.fullmatch(entry.name)
            if found and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _sweep_one(entry, mine=found[1] == _machine())


def _sweep_one(entry: os.DirEntry[str], mine: bool) -> None:
    if not mine and time.time() - entry.stat(follow_symlinks=False).st_mtime < LONG:
        return  # locks need not be seen across machines
    if fcntl is None:
        os.unlink(entry.path)
        return
    descriptor = os.open(entry.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(entry.path)
    finally:
        os.close(descriptor)


def _machine() -> str:
    """Return a word for this machine since it was started."""
    try:
        said = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        said = platform.node()
    return f"{zlib.crc32(said.encode()):08x}"
