"""Soak the exporter, kill it often, let its state disk hang; print the figures of docs/reliability.md."""

import argparse
import sys
import time

from tests.reliability.hung_disk import hang
from tests.reliability.kills import kill_repeatedly
from tests.reliability.soak import soak

_MOST_GROWTH = 0.02


def main(arguments: list[str]) -> int:
    """Run all three; return 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m scripts.soak", description=__doc__)
    parser.add_argument("--polls", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--hung-seconds", type=float, default=60.0, help="how long the state file's disk hangs")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    kept = _soaked(options.polls, options.seed) & _killed(options.kills, options.seed) & _hung(options.hung_seconds)
    return int(not kept)


def _soaked(polls: int, seed: int) -> bool:
    if not polls:
        return True
    began = time.monotonic()
    result = soak(polls, seed=seed)
    (fewest_threads, most_threads) = result.second_half(result.threads)
    (fewest_files, most_files) = result.second_half(result.files)
    print(
        f"polls                     {result.polls} in {time.monotonic() - began:.0f} s, {result.failed} of them failed"
    )
    print(f"scrapes                   {result.scrapes} with {result.lists} lists, {len(result.wrong)} of them wrong")
    print(f"reloads                   {result.reloads}")
    print(f"memory, second half       {result.growth:+.2%} (at the end {result.memory[-1] / 1024:.1f} MB)")
    print(f"threads, second half      {fewest_threads} to {most_threads}")
    print(f"file handles, second half {fewest_files} to {most_files}")
    sys.stdout.writelines(f"{line}\n" for line in result.wrong[:10])
    return not result.wrong and result.growth < _MOST_GROWTH


def _killed(times: int, seed: int) -> bool:
    if not times:
        return True
    kills = kill_repeatedly(times, seed)
    print(f"kills                     {kills.done}, {kills.within_50_ms} of them within 50 ms of a write")
    print(f"blocks served after them  {kills.blocks}; lost or older than stored: {len(kills.damaged)}")
    return not kills.damaged


def _hung(seconds: float) -> bool:
    if not seconds:
        return True
    result = hang(seconds)
    print(f"hung state disk           {seconds:g} s, by {result.way}")
    print(f"scrapes meanwhile         {result.scrapes}, {len(result.wrong)} wrong; oldest values {result.oldest:.1f} s")
    sys.stdout.writelines(f"{line}\n" for line in (*result.wrong[:10], *result.lines))
    return not result.wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
