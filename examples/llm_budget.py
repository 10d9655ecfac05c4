"""
Keep to requests and tokens per minute at once, with costs known afterwards.

The minutes of this example last a second each.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

from switchgear import BurstExceeded, Rate, registry


MINUTE = 1.0
TOO_BUSY = 3  # which call the model refuses
TRIES = 3

budget = registry.limiter(
    "model",
    rates=[
        Rate(60, per=MINUTE, burst=6, counts="calls"),
        Rate(30_000, per=MINUTE, burst=8_000),
    ],
)


@dataclass
class Answer:
    """
    Hold what the model said, and what that cost; or how long it wants no calls.
    """

    text: str = ""
    tokens: int = 0
    retry_after: float | None = None


_numbers = count(1)


def complete(prompt: str) -> Answer:
    """
    Stand for the model, which is too busy once.
    """
    if next(_numbers) == TOO_BUSY:
        return Answer(retry_after=0.2)
    return Answer(f"{prompt}? Certainly.", tokens=len(prompt) * 100)


def estimate(prompt: str) -> int:
    """
    Return the most that *prompt* may cost.
    """
    return 1_000 + len(prompt) * 100


def ask(prompt: str) -> str:
    """
    Book, call, settle; try again, but not for ever, if the model was too busy.
    """
    for _ in range(TRIES):
        with budget.reserve(estimate(prompt)) as booking:
            answer = complete(prompt)
            if answer.retry_after is None:
                booking.settle(answer.tokens)
                return answer.text
            # A refused request costs nothing, and everybody leaves it alone.
            booking.cancel()
            budget.pause(answer.retry_after)
    msg = f"the model was too busy {TRIES} times"
    raise TimeoutError(msg)


def main() -> None:
    """
    Ask ten questions from four threads, and one that is too long.
    """
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, ["More tea"] * 10))
    print(len(answers), "answers:", answers[0])

    print("requests:", budget.snapshot().admitted)

    try:
        ask("More tea" * 100)
    except BurstExceeded as never:
        print(never)


if __name__ == "__main__":
    main()
