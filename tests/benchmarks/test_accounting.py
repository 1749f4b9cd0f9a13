import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import accounting

_LIVING_THREAD = """
import os, sys, threading, time
def burn():
    end = time.thread_time() + 0.1
    while time.thread_time() < end:
        pass
thread = threading.Thread(target=burn)
thread.start()
thread.join()
while len(os.listdir("/proc/self/task")) > 1:  # the kernel's thread ends a moment after Python's
    time.sleep(0.001)
print(time.process_time_ns(), flush=True)
sys.stdin.read()
"""

_CHILD = """
import subprocess, sys
source = "import sys; print(1, flush=True); sys.stdin.read()"
child = subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
child.communicate()
"""

_MEMORY = """
import sys
print(1, flush=True)
sys.stdin.readline()
block = b"x" * 30_000_000
del block
print(1, flush=True)
sys.stdin.read()
"""


@contextmanager
def _process(source: str) -> Iterator[tuple[subprocess.Popen[bytes], bytes]]:
    with subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process, process.stdout.readline()
        process.stdin.close()
        process.wait(10)


def test_cpu_counts_a_thread_that_has_ended():
    with _process(_LIVING_THREAD) as (process, line):
        told = int(line)

        assert accounting.tasks_nanoseconds(process.pid) < told
        assert told <= accounting.cpu_nanoseconds(process.pid) < told * 1.5 + 50_000_000


def test_cpu_of_this_process_grows_while_it_works():
    before = accounting.cpu_nanoseconds(os.getpid())
    total = sum(range(300_000))
    after = accounting.cpu_nanoseconds(os.getpid())

    assert total > 0
    assert after > before


def test_family_names_the_process_and_its_children():
    with _process(_CHILD) as (process, line):
        assert accounting.family(process.pid) == (process.pid, int(line))


def test_cpu_of_a_family_is_the_sum_of_its_members():
    with _process(_CHILD) as (process, _):
        pids = accounting.family(process.pid)
        parts = sum(accounting.cpu_nanoseconds(pid) for pid in pids)

        assert parts <= accounting.cpu_of_all(pids) < parts + 100_000_000


def test_peak_memory_remembers_what_was_freed_until_it_is_forgotten():
    with _process(_MEMORY) as (process, _):
        assert process.stdin is not None
        assert process.stdout is not None
        rest = accounting.resident_bytes(process.pid)

        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()

        assert accounting.peak_bytes(process.pid) > rest + 25_000_000
        assert accounting.resident_bytes(process.pid) < rest + 10_000_000

        accounting.forget_peak(process.pid)

        assert accounting.peak_bytes(process.pid) < rest + 10_000_000
