"""
Shut down workers that wait for their turn, at once, on SIGTERM.
"""

from __future__ import annotations

import queue
import signal
import time

from concurrent.futures import ThreadPoolExecutor

from switchgear import RateLimitExceeded, rate_limited, registry


WORKERS = 4

jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
sent = registry.unique("sent")


@rate_limited("mail", calls_per_second=0.01, burst=2)
def send(job: int) -> None:
    """
    Stand for a slow service: one call in 100 seconds.
    """
    sent.add(job)


def work() -> str:
    """
    Do jobs until none is left, or the limiters are closed; return why.
    """
    while True:
        try:
            # Not get(): nothing would end a wait for a job that never comes.
            job = jobs.get_nowait()
        except queue.Empty:
            return "nothing is left to do"
        try:
            send(job)
        except RateLimitExceeded as refusal:
            # Closed: nothing else refuses who waits without a timeout.
            jobs.put(job)  # for the next run
            return str(refusal)


def on_signal(number: int, _frame: object) -> None:
    """
    End every wait; a signal handler may do that.
    """
    registry.close(f"received {signal.Signals(number).name}")


def main() -> None:
    """
    Start workers, be told to stop, and stop.
    """
    signal.signal(signal.SIGTERM, on_signal)
    for job in range(10):
        jobs.put(job)
    with ThreadPoolExecutor(WORKERS) as pool:
        workers = [pool.submit(work) for _ in range(WORKERS)]
        while registry.limiter("mail").snapshot().waiting < WORKERS:
            time.sleep(0.01)

        begin = time.monotonic()
        signal.raise_signal(signal.SIGTERM)
        for worker in workers:
            print(worker.result())
    print("stopped within a second:", time.monotonic() - begin < 1.0)
    print("sent:", len(sent))
    print("kept:", jobs.qsize())


if __name__ == "__main__":
    main()
