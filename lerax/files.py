"""Files: written so that they are whole or not there, and read so that no content does harm."""

import codecs
import contextlib
import errno
import fcntl
import functools
import os
import secrets
import select
import stat
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from . import ending

LARGEST_TEXT = 2**16  # bytes; what people write has thousands
LONGEST_LINE = 2_000  # characters; a key of many parts takes tomllib the square of their number
UNFINISHED = ".lerax.tmp"  # ends the hidden names of files that are not complete
PROFILE = "profile"  # in the directory of a run: traces of some of its iterations
SEEDS = "seeds.json"  # in the directory that holds the runs of one training, a seed each
ONNX = "policy.onnx"  # in the directory of a run: what `lerax export` writes of it by itself, as
EXPORTED = "exported"  # with the ending of a format: its metrics as a table
SWEEP = "sweep.toml"  # in that of a sweep, which holds the directories of its trials
BLOCK = 2**12
PIPE_SECONDS = 5.0  # that a pipe may take to say all it has
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)  # full, broken, read-only
MARKS = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32"} | {
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}

Content = bytes | Callable[[BinaryIO], object]
"""All that a file holds, or what writes it; that ends at the end of the file."""


def read_toml(path: str | Path) -> dict[str, Any]:
    """What a TOML file says, of whatever origin: a byte-order mark is no part of it.

    Raises:
        ValueError: It is no TOML, too large, or a pipe that says nothing; the message says which.
        OSError: It cannot be read.
    """
    data = _read_text(Path(path))
    if kind := next((kind for mark, kind in MARKS.items() if data.startswith(mark)), None):
        raise ValueError(f"is {kind}, not UTF-8; save it as UTF-8")
    try:
        return parse_toml(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"is not TOML (not UTF-8: byte {error.start})") from None
    except ValueError as error:
        raise ValueError(f"is not TOML ({error})") from None


def parse_toml(text: str) -> dict[str, Any]:
    """What a text says in TOML.

    Raises:
        ValueError: It is no TOML, has too long a line, or is nested too deeply to be shown.
    """
    if any(len(line) > LONGEST_LINE for line in text.split("\n")):
        raise ValueError(f"a line has more than {LONGEST_LINE:,} characters")
    try:
        content = tomllib.loads(text)
        repr(content)  # an error may have to show it
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return content


def _read_text(path: Path) -> bytes:
    """All of a file that is not too large; a pipe or a terminal is not waited for without end."""
    end, data = time.monotonic() + PIPE_SECONDS, b""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while len(data) <= LARGEST_TEXT:
            try:
                more = os.read(number, LARGEST_TEXT + 1)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise ValueError(f"has not come to its end in {PIPE_SECONDS:g} s") from None
                select.select([number], [], [], PIPE_SECONDS)
                continue
            if not more:
                if not data and stat.S_ISFIFO(os.fstat(number).st_mode):
                    raise ValueError("is a pipe that says nothing")
                return data
            data += more
    finally:
        os.close(number)
    raise ValueError(f"is larger than {LARGEST_TEXT:,} bytes")


def is_of_the_disk(error: BaseException | None) -> bool:
    """Whether a disk that takes no more is the error, or what led to it."""
    if error is None:
        return False
    return getattr(error, "errno", None) in DISK_ERRORS or is_of_the_disk(
        error.__cause__ or error.__context__
    )


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Lets the errors of the system inside say which file they are about."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


class Unfinished:
    """A hidden file that takes the place of another once it is complete; a context manager that removes it.

    It is locked as long as a process has it open. What killed ones have left in the folder is not, and is
    removed here: only the lock tells, which no process number and no clock of another host can mislead.

    Args:
        final: The path that it is for.

    Attributes:
        path: Where it is now.
        file: Its descriptor, open for reading and writing.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, final: Path):
        remove_abandoned(final.parent.absolute())
        self._final = final
        for _ in range(3):
            self.path = final.with_name(f".{final.name}.{secrets.token_hex(4)}{UNFINISHED}")
            with ending.making:
                ending.unfinished.add(self.path)
                self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            with contextlib.suppress(OSError):  # a file system without locks: nobody removes it
                fcntl.flock(self.file, fcntl.LOCK_EX)
            if os.fstat(self.file).st_nlink:
                return
            ending.unfinished.discard(self.path)
            os.close(self.file)  # another process took it for abandoned before it was locked

    def publish(self, *, durable: bool = True) -> None:
        """Gives it its final name.

        Args:
            durable: It survives a crash of the machine right afterwards, which takes milliseconds.

        Raises:
            OSError: It cannot be stored or renamed; what was there before is still there.
        """
        if durable:
            os.fsync(self.file)
        with ending.making:
            os.replace(self.path, self._final)
        if durable:
            sync_folder(self._final.parent)

    def __enter__(self) -> "Unfinished":
        return self

    def __exit__(self, *_) -> None:
        ending.unfinished.discard(self.path)
        try:
            self.path.unlink(missing_ok=True)
        finally:
            os.close(self.file)


def sync_folder(path: Path) -> None:
    """Has the names in a folder survive a crash of the machine.

    Raises:
        OSError: They cannot be stored.
    """
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def try_lock(file: int) -> bool | None:
    """Takes the lock of an open file: whether nobody else has it; None on a file system without locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return None


def write_atomically(path: Path, data: Content, *, durable: bool = True) -> None:
    """Writes a file so that it is seen either whole or not at all.

    Args:
        path: Where to.
        data: All that it holds, or what writes it.
        durable: The file survives a crash of the machine right afterwards, which takes milliseconds.

    Raises:
        OSError: It cannot be written; what was there before is still there.
    """
    with naming(path), Unfinished(path) as unfinished:
        with open(unfinished.file, "wb", closefd=False) as file:
            data(file) if callable(data) else file.write(data)
        unfinished.publish(durable=durable)


@functools.cache  # once a process is enough; a folder may be large
def remove_abandoned(folder: Path) -> None:
    """Removes the unfinished files of dead processes; the folder is named absolutely: a process may move."""
    names = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # a folder that may not be read
        names = [entry.path for entry in entries if entry.name[:1] == "." and entry.name.endswith(UNFINISHED)]
    for name in names:
        with contextlib.suppress(OSError):  # in use, somebody else's, or gone in the meantime
            file = os.open(name, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name)
            finally:
                os.close(file)


def is_terminal(stream: Any) -> bool:
    """Whether somebody may look at a stream, such as `sys.stderr`; false of one that is closed or no file."""
    try:
        return os.isatty(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False


class Reserve:
    """Room on the disk for a file, held by a hidden file beside it that becomes the file.

    Args:
        path: The file.
        size: Bytes.

    Raises:
        OSError: There is too little room.
    """

    def __init__(self, path: Path, size: int):
        self._path = path
        with naming(path):
            self._room = Unfinished(path)
            try:
                _allocate(self._room.file, size)
            except OSError:
                self.release()
                raise

    def write(self, data: Content) -> None:
        """Writes the file, whole or not at all, and ends the reservation.

        Raises:
            OSError: It cannot be written; what was there before is still there.
        """
        with naming(self._path), self._room:
            with open(self._room.file, "wb", closefd=False) as file:
                data(file) if callable(data) else file.write(data)
                file.truncate()
            self._room.publish()

    def release(self) -> None:
        """Gives the room up."""
        with contextlib.suppress(OSError), self._room:
            pass


def _allocate(file: int, size: int) -> None:
    """Has the file system set so many bytes aside for a new file."""
    try:
        os.posix_fallocate(file, 0, size)
    except (AttributeError, OSError) as error:  # not everywhere
        if getattr(error, "errno", errno.EOPNOTSUPP) not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
        for place in range(0, size, BLOCK):
            os.pwrite(file, bytes(BLOCK), place)
