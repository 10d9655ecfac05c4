"""
Stand in for the iteration of a protected call, step by step.

What is sent and thrown in goes on to the iteration itself. The call ends as it
does: whoever closes it early has had what was wanted.
"""

from __future__ import annotations

from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any

from switchgear._attempts import Unjudged
from switchgear.errors import CallNotPermitted


if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from switchgear._attempts import Attempt, Ending


def entered(
    source: Generator[Any, Any, Any],
    attempt: Attempt,
    answer: Callable[[CallNotPermitted], Any] | None,
) -> Generator[Any, Any, Any]:
    """
    Be admitted before the first item, then stand in for *source*.
    """
    try:
        attempt.enter()
    except CallNotPermitted as refusal:
        if answer is None:
            raise
        stand_in = answer(refusal)
    else:
        stand_in = iterated(source, attempt)
    return (yield from stand_in)


def iterated(
    source: Generator[Any, Any, Any], attempt: Attempt
) -> Generator[Any, Any, Any]:
    """
    Stand in for *source*, whose call was admitted.
    """
    # Spelt out, because "yield from" does not tell a consumer that closes the
    # iteration from a source that gives up, which is no success.
    step: Callable[[Any], Any] = source.send
    sent: Any = None
    while True:
        try:
            item = step(sent)
        except StopIteration as stop:
            attempt.ended()
            return stop.value
        except BaseException as error:
            attempt.raised(error)
            raise
        finally:
            # An error in it would hold itself in a cycle through this frame.
            sent = None
        try:
            sent = yield item
            step = source.send
        except GeneratorExit:
            try:
                source.close()
            except BaseException as error:
                attempt.raised(error)
                raise
            attempt.ended()
            raise
        except BaseException as error:  # noqa: BLE001 -- thrown in, and passed on
            sent = error
            step = source.throw


async def streamed(
    source: AsyncGenerator[Any, Any],
    attempt: Attempt,
    answer: Callable[[CallNotPermitted], Any] | None = None,
    *,
    is_admitted: bool = False,
) -> AsyncGenerator[Any, Any]:
    """
    Stand in for *source*, and be admitted before its first item.
    """
    ending: Ending = attempt
    try:
        if not is_admitted:
            await attempt.enter_async()
    except CallNotPermitted as refusal:
        if answer is None:
            raise
        ending = Unjudged()
        source = _all_of(answer(refusal))
    step: Callable[[Any], Any] = source.asend
    sent: Any = None
    while True:
        try:
            item = await step(sent)
        except StopAsyncIteration:
            ending.ended()
            return
        except BaseException as error:
            ending.raised(error)
            raise
        finally:
            # As above: no cycle.
            sent = None
        try:
            sent = yield item
            step = source.asend
        except GeneratorExit:
            try:
                await source.aclose()
            except BaseException as error:
                ending.raised(error)
                raise
            ending.ended()
            raise
        except BaseException as error:  # noqa: BLE001 -- thrown in, and passed on
            sent = error
            step = source.athrow


def _all_of(stream: Any) -> AsyncGenerator[Any, Any]:
    """
    Return *stream* as an async generator, whatever async iterable it is.
    """
    if isinstance(stream, AsyncGeneratorType):
        return stream

    async def items() -> AsyncGenerator[Any, Any]:
        async for item in stream:
            yield item

    return items()
