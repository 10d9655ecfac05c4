"""
Send decorated functions to a pool of processes, within one quota.
"""

from __future__ import annotations

import multiprocessing
import os

from concurrent.futures import ProcessPoolExecutor

from switchgear import circuit_protected, limiter_of, rate_limited, registry


WORKERS = 2


@circuit_protected("shrink", threshold=5, cooldown=30.0)
@rate_limited("shrink", calls_per_second=200 / WORKERS, burst=1)
def shrink(size: int) -> tuple[int, int, int]:
    """
    Stand for work; return its result, the process, and how many calls it made.
    """
    return size // 2, os.getpid(), limiter_of(shrink).snapshot().admitted


def main() -> None:
    """
    Divide the rate among the workers; then keep the budget in this process.
    """
    start = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=start) as pool:
        # The function travels by its name, and finds its limiter by name there.
        results = list(pool.map(shrink, range(0, 40, 2)))
        print("sizes:", sum(size for size, _, _ in results))
        # Each process counts its own.
        calls = {process: made for _, process, made in results}
        print("calls there:", sum(calls.values()))
        print("calls here:", limiter_of(shrink).snapshot().admitted)

        # Or the turns are taken here, and work is handed over in turn.
        turns = registry.limiter("hand over", calls_per_second=200, burst=1)
        futures = []
        for number in range(10):
            turns.wait()
            futures.append(pool.submit(abs, -number))
        print("sum:", sum(future.result() for future in futures))
        print("turns:", turns.snapshot().admitted)


if __name__ == "__main__":
    main()
