"""
Generators and async generators: the guard spans the iteration.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref

import pytest

from switchgear._breaker import CircuitBreaker
from switchgear._decorators import circuit_protected, protected, rate_limited
from switchgear._limiter import RateLimiter
from switchgear._registry import Registry
from switchgear.errors import CircuitOpenError, RateLimitExceeded
from switchgear.events import CircuitState


class ServiceDown(Exception):
    pass


@pytest.fixture
def breaker(clock):
    return CircuitBreaker(threshold=1, cooldown=30.0, clock=clock)


@pytest.fixture
def half_open(clock):
    """
    A breaker that waits for its first probe, with two failures behind it.
    """
    breaker = CircuitBreaker(threshold=2, cooldown=30.0, clock=clock)
    breaker.record_failure()
    breaker.record_failure()
    clock.advance(30.0)
    assert not breaker.is_open
    return breaker


def counts(breaker):
    snapshot = breaker.snapshot()
    return {"failed": snapshot.failed, "ignored": snapshot.ignored}


class TestGenerator:
    def test_nothing_happens_before_the_first_item_is_wanted(self, breaker):
        """
        If nobody iterates, no permit is taken, and dropping it is no outcome.
        """

        @circuit_protected(breaker)
        def pages():
            yield 1

        pages().close()
        pages()

        assert 0 == breaker.snapshot().admitted

    def test_wrong_arguments_are_refused_when_calling(self, breaker):
        """
        If the arguments do not fit, calling raises as it would without us.
        """

        @circuit_protected(breaker)
        def pages():
            yield 1

        with pytest.raises(TypeError, match="positional argument"):
            pages(1)

        assert not breaker.is_open

    def test_the_guard_spans_the_iteration(self, half_open):
        """
        If a probe is iterated over, its lease ends with the last item.
        """

        @circuit_protected(half_open)
        def pages():
            yield 1
            yield 2

        stream = pages()

        assert 1 == next(stream)
        assert 2 == next(stream)
        assert 1 == half_open.snapshot().probes_out
        assert [] == list(stream)
        assert CircuitState.CLOSED is half_open.snapshot().state

    def test_error_mid_stream_is_a_failure(self, breaker):
        """
        If the generator raises after some items, the call has failed.
        """

        @circuit_protected(breaker)
        def pages():
            yield 1
            raise ServiceDown

        stream = pages()
        next(stream)

        with pytest.raises(ServiceDown):
            next(stream)

        assert breaker.is_open

    def test_closing_early_is_a_success(self, half_open):
        """
        If the consumer has had enough once something was yielded, the service
        has answered.
        """
        cleaned_up = []

        @circuit_protected(half_open)
        def pages():
            try:
                yield 1
                yield 2
            finally:
                cleaned_up.append(True)

        stream = pages()
        next(stream)
        stream.close()

        assert [True] == cleaned_up
        assert CircuitState.CLOSED is half_open.snapshot().state

    def test_being_forgotten_is_closing(self, half_open):
        """
        If the consumer drops the generator, that is closing it early.
        """

        @circuit_protected(half_open)
        def pages():
            yield 1
            yield 2

        for _ in pages():
            break
        gc.collect()

        assert CircuitState.CLOSED is half_open.snapshot().state

    def test_giving_up_before_anything_was_yielded_is_ignored(self, half_open):
        """
        If GeneratorExit comes from within, before anything was yielded, the
        call says nothing about the service, and the slot is free again.
        """

        @circuit_protected(half_open)
        def pages():
            raise GeneratorExit
            yield

        with pytest.raises(GeneratorExit):
            next(pages())

        assert {"failed": 2, "ignored": 1} == counts(half_open)
        assert 0 == half_open.snapshot().probes_out
        assert not half_open.is_open

    def test_failing_to_close_is_a_failure(self, breaker):
        """
        If closing raises an error of the generator, the call has failed.
        """

        @circuit_protected(breaker)
        def pages():
            try:
                yield 1
            finally:
                raise ServiceDown

        stream = pages()
        next(stream)

        with pytest.raises(ServiceDown):
            stream.close()

        assert breaker.is_open

    def test_what_is_sent_and_thrown_arrives(self, breaker):
        """
        If the consumer sends values or throws errors, the generator gets them,
        and its return value comes back.
        """
        got = []

        @circuit_protected(breaker)
        def dialogue():
            got.append((yield "name?"))
            try:
                yield "age?"
            except KeyError as error:
                got.append(error)
            yield "bye"
            return "done"

        def consumer():
            return (yield from dialogue())

        stream = consumer()
        oops = KeyError("oops")

        assert "name?" == next(stream)
        assert "age?" == stream.send("Ann")
        assert "bye" == stream.throw(oops)
        with pytest.raises(StopIteration) as stop:
            next(stream)
        assert "done" == stop.value.value
        assert ["Ann", oops] == got
        assert not breaker.is_open

    def test_what_is_thrown_in_and_not_handled_is_judged(self, breaker):
        """
        If the consumer's error passes through the generator, it is one as in
        the block of a guard.
        """

        @circuit_protected(breaker)
        def pages():
            yield 1

        stream = pages()
        next(stream)

        with pytest.raises(ServiceDown):
            stream.throw(ServiceDown())

        assert breaker.is_open

    def test_what_is_thrown_in_is_not_kept_alive(self, clock):
        """
        If an error has passed through, no cycle waits for the collector.
        """

        @rate_limited(RateLimiter(clock=clock))
        def pages():
            yield 1

        stream = pages()
        next(stream)
        error = ServiceDown()
        reference = weakref.ref(error)
        gc.disable()
        try:
            with contextlib.suppress(ServiceDown):
                stream.throw(error)
            del error

            assert reference() is None
        finally:
            gc.enable()

    def test_the_breakers_own_failure_when_is_not_asked(self, clock):
        """
        If results are judged, a generator is not: it has none.
        """

        def never(result):
            raise AssertionError(result)

        breaker = CircuitBreaker(threshold=1, failure_when=never, clock=clock)

        @circuit_protected(breaker)
        def pages():
            yield 1

        assert [1] == list(pages())

    def test_turn_is_awaited_with_the_first_item(self, clock):
        """
        If the function is rate limited, a token is taken when the iteration
        starts, and one for all of it.
        """
        limiter = RateLimiter(1.0, clock=clock)

        @rate_limited(limiter, timeout=0)
        def pages():
            yield 1
            yield 2

        stream = pages()

        assert 1 == limiter.snapshot().available
        assert [1, 2] == list(stream)
        with pytest.raises(RateLimitExceeded):
            next(pages())

    def test_fallback_is_iterated_over(self, breaker):
        """
        If the call is refused, the items come from the fallback, be it a
        generator function or one that returns something to iterate over.
        """
        breaker.force_open("test")

        def cached(exc, start):
            assert isinstance(exc, CircuitOpenError)
            yield start
            return "cached"

        @circuit_protected(breaker, fallback=cached)
        def pages(start):
            yield "live"

        @circuit_protected(breaker, fallback=lambda exc, start: [start, start])
        def others(start):
            yield "live"

        assert [7] == list(pages(7))
        assert [7, 7] == list(others(start=7))

    def test_refused_without_fallback(self, breaker):
        """
        If the call is refused, the first item is not to be had.
        """
        breaker.force_open("test")

        @circuit_protected(breaker)
        def pages():
            yield "live"

        with pytest.raises(CircuitOpenError):
            next(pages())


class TestAsyncGenerator:
    def test_nothing_happens_before_the_first_item_is_wanted(self, breaker):
        """
        If nobody iterates, no permit is taken.
        """

        @circuit_protected(breaker)
        async def pages():
            yield 1

        async def main():
            await pages().aclose()

        asyncio.run(main())

        assert 0 == breaker.snapshot().admitted

    def test_the_guard_spans_the_iteration(self, half_open):
        """
        If a probe is iterated over, its lease ends with the last item.
        """

        @circuit_protected(half_open)
        async def pages():
            yield 1
            yield 2

        async def main():
            async for _ in pages():
                assert 1 == half_open.snapshot().probes_out

        asyncio.run(main())

        assert CircuitState.CLOSED is half_open.snapshot().state

    def test_error_mid_stream_is_a_failure(self, breaker):
        """
        If the generator raises after some items, the call has failed.
        """

        @circuit_protected(breaker)
        async def pages():
            yield 1
            raise ServiceDown

        async def main():
            with pytest.raises(ServiceDown):
                async for _ in pages():
                    pass

        asyncio.run(main())

        assert breaker.is_open

    def test_closing_early_is_a_success(self, half_open):
        """
        If the consumer has had enough once something was yielded, the service
        has answered, and the generator is closed at once.
        """
        cleaned_up = []

        @circuit_protected(half_open)
        async def pages():
            try:
                yield 1
                yield 2
            finally:
                await asyncio.sleep(0)
                cleaned_up.append(True)

        async def main():
            stream = pages()
            await anext(stream)
            await stream.aclose()
            assert [True] == cleaned_up

        asyncio.run(main())

        assert CircuitState.CLOSED is half_open.snapshot().state

    def test_failing_to_close_is_a_failure(self, breaker):
        """
        If closing raises an error of the generator, the call has failed.
        """

        @circuit_protected(breaker)
        async def pages():
            try:
                yield 1
            finally:
                raise ServiceDown

        async def main():
            stream = pages()
            await anext(stream)
            with pytest.raises(ServiceDown):
                await stream.aclose()

        asyncio.run(main())

        assert breaker.is_open

    def test_cancelled_before_anything_was_yielded_is_ignored(self, half_open):
        """
        If the task is cancelled while it waits for the first item, the call
        counts neither way, and its slot is free again.
        """

        @circuit_protected(half_open)
        async def pages():
            await asyncio.Event().wait()
            yield

        async def main():
            task = asyncio.ensure_future(anext(pages()))
            await asyncio.sleep(0)
            assert 1 == half_open.snapshot().probes_out
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())

        assert {"failed": 2, "ignored": 1} == counts(half_open)
        assert 0 == half_open.snapshot().probes_out

    def test_what_is_sent_and_thrown_arrives(self, breaker):
        """
        If the consumer uses asend and athrow, the generator gets the values
        and the errors.
        """
        got = []

        @circuit_protected(breaker)
        async def dialogue():
            got.append((yield "name?"))
            try:
                yield "age?"
            except KeyError as error:
                got.append(error)
            yield "bye"

        oops = KeyError("oops")

        async def main():
            stream = dialogue()
            assert "name?" == await stream.asend(None)
            assert "age?" == await stream.asend("Ann")
            assert "bye" == await stream.athrow(oops)
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

        asyncio.run(main())

        assert ["Ann", oops] == got
        assert not breaker.is_open

    def test_what_is_thrown_in_and_not_handled_is_judged(self, breaker):
        """
        If the consumer's error passes through the generator, it is one as in
        the block of a guard.
        """

        @circuit_protected(breaker)
        async def pages():
            yield 1

        async def main():
            stream = pages()
            await anext(stream)
            with pytest.raises(ServiceDown):
                await stream.athrow(ServiceDown())

        asyncio.run(main())

        assert breaker.is_open

    def test_turn_is_awaited_with_the_first_item(self, clock):
        """
        If the function is protected by both, the loop goes on while the first
        item waits for its turn.
        """
        registry = Registry()

        @protected(
            "p", registry=registry, calls_per_second=0.1, threshold=5, clock=clock
        )
        async def pages():
            yield 1

        async def main():
            assert 1 == await anext(pages())
            task = asyncio.ensure_future(anext(pages()))
            await somebody_sleeps(clock)
            clock.advance(10.0)
            assert 1 == await task

        asyncio.run(main())

        assert 2 == registry.limiter("p").snapshot().admitted

    def test_fallback_is_iterated_over(self, breaker):
        """
        If the call is refused, the items come from the fallback: an async
        generator, forwarded as such, or anything async to iterate over.
        """
        breaker.force_open("test")
        closed = []

        async def cached(exc, start):
            assert isinstance(exc, CircuitOpenError)
            try:
                got = yield start
                yield got
            finally:
                closed.append(True)

        @circuit_protected(breaker, fallback=cached)
        async def pages(start):
            yield "live"

        class Once:
            def __init__(self, item):
                self.items = [item]

            def __aiter__(self):
                return self

            async def __anext__(self):
                if not self.items:
                    raise StopAsyncIteration
                return self.items.pop()

        @circuit_protected(breaker, fallback=lambda exc, start: Once(start))
        async def others(start):
            yield "live"

        async def main():
            stream = pages(7)
            assert 7 == await anext(stream)
            assert 8 == await stream.asend(8)
            await stream.aclose()
            assert [9] == [item async for item in others(start=9)]

        asyncio.run(main())

        assert [True] == closed

    def test_an_error_of_the_fallback_is_its_own(self, breaker):
        """
        If the fallback fails, the caller gets that, and no circuit counts it.
        """
        breaker.force_open("test")

        async def cached(exc):
            yield 1
            raise ServiceDown

        @circuit_protected(breaker, fallback=cached)
        async def pages():
            yield "live"

        async def main():
            with pytest.raises(ServiceDown):
                async for _ in pages():
                    pass

        asyncio.run(main())

        assert 0 == breaker.snapshot().failed

    def test_refused_without_fallback(self, breaker):
        """
        If the call is refused, the first item is not to be had.
        """
        breaker.force_open("test")

        @circuit_protected(breaker)
        async def pages():
            yield "live"

        async def main():
            with pytest.raises(CircuitOpenError):
                await anext(pages())

        asyncio.run(main())


async def somebody_sleeps(clock):
    """
    Let the loop go on until somebody waits for *clock* to be moved.
    """
    while not clock.sleepers:  # noqa: ASYNC110 -- the clock knows no events
        await asyncio.sleep(0)
