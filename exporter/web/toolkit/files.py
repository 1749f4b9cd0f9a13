"""Files as they are now: whether one has changed, its content within a bound, and who may read it."""

import os
import shlex
import stat
from pathlib import Path

Fingerprint = tuple[int, ...] | None
"""What changes with a file's content; None for a file that cannot be looked at."""


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


def read_bounded(source: Path | int, at_most: int) -> bytes:
    """Return the bytes of a file or an open descriptor, one more than `at_most` where there are more.

    Raise OSError with the reason in `strerror`. The descriptor stays open.
    """
    try:
        with open(source, "rb", closefd=not isinstance(source, int)) as file:
            return file.read(at_most + 1)
    except ValueError as exc:
        # A NUL byte in the path never reaches the system.
        raise OSError(None, str(exc)) from exc


def exposure(path: Path, details: os.stat_result | None = None, *, group: bool = False) -> str | None:
    """Return a sentence, without its end, where others of this machine may read the file; it says what to do.

    With `group` its group counts too, but only in a file of our own: where it is somebody else's, the group is what
    lets us in (systemd's credentials, a volume with `fsGroup`).
    """
    try:
        found = details or path.stat()
    except (OSError, ValueError):
        return None
    wide = stat.S_IRWXG | stat.S_IRWXO if group and found.st_uid == os.geteuid() else stat.S_IRWXO
    # What the kubelet projects into a pod, which it marks by `..data`, is seen by that pod's containers alone.
    if not stat.S_ISREG(found.st_mode) or not found.st_mode & wide or path.parent.joinpath("..data").is_symlink():
        return None
    mode = f"{stat.S_IMODE(found.st_mode):04o}"
    return f"{path} is open to others (mode {mode}); close it with: chmod 600 {shlex.quote(str(path))}"
