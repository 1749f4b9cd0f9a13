"""Files as they are now: whether one has changed, and its content within a bound."""

from pathlib import Path

Fingerprint = tuple[int, ...] | None
"""What changes with a file's content; None for a file that cannot be looked at."""


def fingerprint(path: Path) -> Fingerprint:
    """Return the file's fingerprint at the price of one stat; two equal ones mean that nothing needs to be read."""
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    # The change time too: a writer can set the modification time back, as `cp -p` and rsync do.
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def read_bounded(path: Path, at_most: int) -> bytes:
    """Return the file's bytes, one more than `at_most` where it is larger.

    Raise OSError with the reason in `strerror`.
    """
    try:
        with path.open("rb") as file:
            return file.read(at_most + 1)
    except ValueError as exc:
        # A NUL byte in the path never reaches the system.
        raise OSError(None, str(exc)) from exc
