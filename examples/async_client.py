"""
Share one budget between tasks and threads; give up in time, and cancel.
"""

from __future__ import annotations

import asyncio
import time

from switchgear import RateLimitExceeded, limiter_of, protected


@protected("api", calls_per_second=50, burst=5, threshold=5, cooldown=30.0)
async def fetch(number: int) -> int:
    """
    Stand for a request.
    """
    # Inside the protection: too slow is a failure of the service.
    async with asyncio.timeout(5.0):
        await asyncio.sleep(0.01)
    return number


def in_a_thread() -> str:
    """
    Take a turn from the same budget, in the same queue.
    """
    limiter_of(fetch).wait()
    return "a thread had its turn"


async def main() -> None:
    """
    Make 25 calls, some more, and none too many.
    """
    limiter = limiter_of(fetch)
    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(fetch(number)) for number in range(24)]
        thread = group.create_task(asyncio.to_thread(in_a_thread))
    seconds = time.monotonic() - begin
    print(sum(call.result() for call in calls), "and", thread.result())
    print(f"in {seconds:.2f} s: 5 at once, 20 at 50 per second")

    waiting = [asyncio.create_task(fetch(number)) for number in range(10)]
    await asyncio.sleep(0)
    try:
        await limiter.wait_async(timeout=0.05)
    except RateLimitExceeded as refusal:
        print(refusal)  # at once: ten others are before it

    for call in waiting:
        call.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    print("still waiting:", limiter.snapshot().waiting)


if __name__ == "__main__":
    asyncio.run(main())
