"""A real Prometheus over blocks made from OpenMetrics lines."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(data: Path) -> Iterator[str]:
    """Run a Prometheus over the blocks within the context; yield its address."""
    config = data.parent / "prometheus.yml"
    config.write_text("", encoding="utf-8")
    arguments = [
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=10y",
        "--web.listen-address=127.0.0.1:0",
        "--log.format=json",
    ]
    command = [program("prometheus"), *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own file
        drain = threading.Thread(target=_drained, args=(process,), daemon=True)
        try:
            address = _address(process)
            drain.start()
            yield address
        finally:
            process.terminate()
            process.wait(timeout=20)
            if drain.is_alive():
                drain.join(timeout=20)


def made_blocks(lines: Iterable[str], folder: Path) -> Path:
    """Write the lines as blocks and return their folder."""
    data = folder / "data"
    data.mkdir()
    text = folder / "history.om"
    count = 0
    with text.open("w", encoding="utf-8") as out:
        for count, one in enumerate(lines):  # noqa: B007 - the last number is wanted
            out.write(one)
    if count:
        command = ["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=2400h", str(text), str(data)]
        done = subprocess.run(  # noqa: S603 - our own file
            [program("promtool"), *command], check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise ValueError(f"promtool made no blocks: {done.stderr}")
    text.unlink()
    return data


def program(name: str) -> str:
    """Return the path of a required program."""
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"{name} is missing: install Debian's package prometheus")
    return path


def _address(process: subprocess.Popen[str]) -> str:
    """Return the server's address once it has logged it and that it is ready, in either order."""
    address, ready, said = "", False, []
    for line in process.stderr or ():
        said.append(line)
        entry = json.loads(line)
        address = str(entry["address"]) if entry.get("msg") == "Listening on" else address
        ready = ready or "ready to receive web requests" in entry.get("msg", "")
        if address and ready:
            return address
    raise RuntimeError(f"Prometheus ended before it was ready: {''.join(said)}")


def _drained(process: subprocess.Popen[str]) -> None:
    """Keep reading, so that the server never blocks on its output."""
    for _ in process.stderr or ():
        pass
