"""Files and pipes: whether one has changed, its content within a bound on size and time, and who may read it."""

import errno
import os
import select
import shlex
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

Fingerprint = tuple[int, ...] | None
"""What changes with a file's content; None for a file that cannot be accessed."""

_CHUNK: Final = 1 << 20
_UNCONNECTED_SECONDS: Final = 10.0
"""For somebody to open a named pipe at its other end."""
_WRITER_SECONDS: Final = 30.0
"""For a program at the other end, which may have to ask a key server first."""
_CORRECT_THE_PATH: Final = "correct the path"
_NEXT_STEPS: Final[Mapping[int, str]] = MappingProxyType(
    {
        errno.ENOENT: "make it, or correct the path",
        errno.EACCES: "let the user that the exporter runs as read it",
        errno.EISDIR: "name a file in it",
        errno.ENOTDIR: _CORRECT_THE_PATH,
        errno.ELOOP: _CORRECT_THE_PATH,
        errno.ENAMETOOLONG: _CORRECT_THE_PATH,
        errno.ETIMEDOUT: "write to it and close it, or name a file",
    }
)
_UNEXPANDED: Final = ("~", "$")


@dataclass(frozen=True, slots=True)
class Input:
    """What a path gave, and who may read it."""

    content: bytes = field(repr=False)
    """Cut at one byte more than was allowed: the reader of it says what is too long."""
    details: os.stat_result

    @property
    def is_file(self) -> bool:
        """Return whether it is a regular file, which can be read again."""
        return stat.S_ISREG(self.details.st_mode)


def fingerprint(path: Path) -> Fingerprint:
    """Return the file's fingerprint at the price of one stat; two equal ones mean that nothing needs to be read."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        # A pipe gives its content once, and reading it changes its times.
        return (found.st_dev, found.st_ino)
    # The change time too: a writer can set the modification time back, as `cp -p` and rsync do.
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def why_unread(path: Path, exc: OSError) -> str:
    """Return why the file could not be read, in brackets, and the next step where there is one."""
    step = _NEXT_STEPS.get(exc.errno or 0)
    if exc.errno == errno.ENOENT and str(path).startswith(_UNEXPANDED):
        step = "write the path in full: ~ and variables are the shell's, and are not expanded here"
    return f"({exc.strerror or type(exc).__name__}){f'; {step}' if step else ''}"


def read_bounded(
    path: Path,
    at_most: int,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    accept: Callable[[os.stat_result, bool], None] = lambda _details, _once: None,
) -> Input:
    """Return the bytes, one more than `at_most` where there are more; a pipe has some seconds to give all of them.

    `accept` is called before the reading, with whether it can be read only once, and may raise. Raise OSError with the
    reason in `strerror`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except ValueError as exc:
        # A NUL byte in the path never reaches the system.
        raise OSError(errno.EINVAL, str(exc)) from exc
    try:
        details = os.fstat(descriptor)
        if stat.S_ISDIR(details.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        piped = stat.S_ISFIFO(details.st_mode)
        accept(details, piped or os.isatty(descriptor))
        return Input(_read(descriptor, at_most, monotonic, piped=piped), details)
    finally:
        os.close(descriptor)


def _read(descriptor: int, at_most: int, monotonic: Callable[[], float], *, piped: bool) -> bytes:
    content = bytearray()
    began, patience, ended = monotonic(), _UNCONNECTED_SECONDS, not piped
    while len(content) <= at_most:
        try:
            chunk = os.read(descriptor, min(at_most + 1 - len(content), _CHUNK))
        except BlockingIOError:  # somebody holds the other end
            patience, ended = _WRITER_SECONDS, True
        else:
            content += chunk
            if not chunk and (content or ended):
                break
            if chunk:
                continue
        ended = _wait(descriptor, began + patience - monotonic()) or ended
    return bytes(content)


def _wait(descriptor: int, seconds: float) -> bool:
    """Wait for more to read; return whether the other end was closed. Raise OSError when the time is over."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    events = poll.poll(max(seconds, 0.0) * 1000)
    if not events:
        raise OSError(errno.ETIMEDOUT, "nobody wrote the whole of it to the pipe in time")
    return bool(events[0][1] & select.POLLHUP)


def exposure(path: Path, details: os.stat_result, *, group: bool = False) -> str | None:
    """Return a sentence, without its end, where others of this machine may read the file; it says what to do.

    With `group` its group counts too, but only in a file of our own: where it is somebody else's, the group is what
    lets us in (systemd's credentials, a volume with `fsGroup`). What the kubelet projects into a pod, which it marks by
    `..data`, is seen by that pod's containers alone.
    """
    if not stat.S_ISREG(details.st_mode):
        return None
    wide = 0o077 if group and details.st_uid == os.geteuid() else 0o007
    if not details.st_mode & wide or path.parent.joinpath("..data").is_symlink():
        return None
    mode = f"{stat.S_IMODE(details.st_mode):04o}"
    return f"{path} is open to others (mode {mode}); close it with: chmod 600 {shlex.quote(str(path))}"
