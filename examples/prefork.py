"""
Share a quota among forked workers, as those of gunicorn are.

Each process has a budget of its own, so each is given its part of the quota.
"""

from __future__ import annotations

import multiprocessing

from typing import TYPE_CHECKING

from switchgear import limiter_of, rate_limited, registry


if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue


QUOTA = 300.0  # calls per second, all workers together
WORKERS = 3


@rate_limited("api", calls_per_second=QUOTA, burst=1)
def call(number: int) -> int:
    """
    Stand for a request.
    """
    return number


def work(said: SimpleQueue[str]) -> None:
    """
    Make 20 calls at the pace of one worker of several.
    """
    # In gunicorn: def post_fork(server, worker), or from the environment with
    # SWITCHGEAR_LIMITERS__API__CALLS_PER_SECOND=100 and registry.load().
    registry.limiter("api").reconfigure(calls_per_second=QUOTA / WORKERS)
    before = limiter_of(call).snapshot().admitted
    for number in range(20):
        call(number)
    state = limiter_of(call).snapshot()
    calls = state.admitted - before
    said.put(f"{calls} calls at {state.calls_per_second:g} per second")


def main() -> None:
    """
    Use the limiter, fork, and let the workers use it.
    """
    call(0)
    fork = multiprocessing.get_context("fork")
    said = fork.SimpleQueue()
    workers = [fork.Process(target=work, args=[said]) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        # Who died has said nothing, and get() would wait for it for ever.
        died = worker.exitcode != 0
        print(f"died: {worker.exitcode}" if died else said.get())
    print("the parent made", limiter_of(call).snapshot().admitted)


if __name__ == "__main__":
    main()
