"""
Wait in the cells of a notebook, whose loop is always running.

Its kernel runs each cell in a running loop: ``asyncio.run`` is refused there,
and a synchronous call blocks the loop, which is what one wants of a cell.
"""

from __future__ import annotations

import asyncio
import logging

from switchgear import limiter_of, protected


@protected("api", calls_per_second=50, burst=1, threshold=5, cooldown=30.0)
def ask(number: int) -> int:
    """
    Stand for a request.
    """
    return number


@protected("api")
async def ask_later(number: int) -> int:
    """
    Stand for the same request, awaited.
    """
    return number


async def first_cell() -> None:
    """
    Start tasks that outlive the cell.
    """
    tasks.extend(asyncio.ensure_future(ask_later(number)) for number in range(5))
    await asyncio.sleep(0)


async def second_cell() -> None:
    """
    Call synchronously: behind the tasks, whose loop stands still meanwhile.
    """
    print("cell 2:", ask(100))


async def third_cell() -> None:
    """
    Await, as cells may, what the first one started.
    """
    print("cell 3:", await asyncio.gather(*tasks))


tasks: list[asyncio.Future[int]] = []


def main() -> None:
    """
    Run the cells as a kernel does: one loop, one cell after the other.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    with asyncio.Runner() as kernel:
        kernel.run(first_cell())
        kernel.run(second_cell())
        kernel.run(third_cell())
    print("turns:", limiter_of(ask).snapshot().admitted)

    # "Restart kernel": the limiter made at import serves the next loop as well.
    print("another loop:", asyncio.run(ask_later(7)))


if __name__ == "__main__":
    main()
