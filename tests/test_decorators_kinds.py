"""
Every kind of callable, under every kind of protection.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import types

import pytest

from switchgear._breaker import CircuitBreaker
from switchgear._decorators import circuit_protected, protected, rate_limited
from switchgear._kinds import Kind, kind_of
from switchgear._limiter import RateLimiter
from switchgear._registry import Registry
from switchgear.errors import CircuitOpenError, RateLimitExceeded
from switchgear.events import CircuitState


class ServiceDown(Exception):
    pass


class Service:
    """
    Remember who called, answer twice what was asked, or fail.
    """

    def __init__(self):
        self.asked = []
        self.fails = False

    def ask(self, number):
        self.asked.append(number)
        if self.fails:
            raise ServiceDown
        return 2 * number


# Each takes a decorator and a service, and returns a function that makes one
# whole call through what was decorated.


def function(decorate, service):
    @decorate
    def ask(number):
        return service.ask(number)

    return ask


def method(decorate, service):
    class Client:
        @decorate
        def ask(self, number):
            assert isinstance(self, Client)
            return service.ask(number)

    return Client().ask


def method_called_on_the_class(decorate, service):
    class Client:
        @decorate
        def ask(self, number):
            assert isinstance(self, Client)
            return service.ask(number)

    return lambda number: Client.ask(Client(), number)


def class_method_inside(decorate, service):
    class Client:
        @classmethod
        @decorate
        def ask(cls, number):
            assert cls is Client
            return service.ask(number)

    return Client.ask


def class_method_outside(decorate, service):
    class Client:
        @decorate
        @classmethod
        def ask(cls, number):
            assert cls is Client
            return service.ask(number)

    return Client().ask


def static_method_inside(decorate, service):
    class Client:
        @staticmethod
        @decorate
        def ask(number):
            return service.ask(number)

    return Client().ask


def static_method_outside(decorate, service):
    class Client:
        @decorate
        @staticmethod
        def ask(number):
            return service.ask(number)

    return Client.ask


def coroutine_function(decorate, service):
    @decorate
    async def ask(number):
        await asyncio.sleep(0)
        return service.ask(number)

    return lambda number: asyncio.run(ask(number))


def coroutine_method(decorate, service):
    class Client:
        @decorate
        async def ask(self, number):
            assert isinstance(self, Client)
            return service.ask(number)

    return lambda number: asyncio.run(Client().ask(number))


def coroutine_class_method_outside(decorate, service):
    class Client:
        @decorate
        @classmethod
        async def ask(cls, number):
            assert cls is Client
            return service.ask(number)

    return lambda number: asyncio.run(Client.ask(number))


def function_that_returns_a_coroutine(decorate, service):
    async def ask(number):
        return service.ask(number)

    asked = decorate(lambda number: ask(number))  # noqa: PLW0108 -- a plain function

    async def call(number):
        return await asked(number)

    return lambda number: asyncio.run(call(number))


def awaitable_generator(decorate, service):
    @decorate
    @types.coroutine
    def ask(number):
        yield
        return service.ask(number)

    async def call(number):
        return await ask(number)

    return lambda number: asyncio.run(call(number))


def function_that_returns_an_awaitable_generator(decorate, service):
    @types.coroutine
    def ask(number):
        yield
        return service.ask(number)

    asked = decorate(lambda number: ask(number))  # noqa: PLW0108 -- a plain function

    async def call(number):
        return await asked(number)

    return lambda number: asyncio.run(call(number))


def callable_object(decorate, service):
    class Client:
        def __call__(self, number):
            assert isinstance(self, Client)
            return service.ask(number)

    return decorate(Client())


def callable_object_in_a_class(decorate, service):
    class Client:
        def __call__(self, number):
            assert isinstance(self, Client)
            return service.ask(number)

    class Holder:
        ask = decorate(Client())

    return Holder().ask


def object_with_an_async_call(decorate, service):
    class Client:
        async def __call__(self, number):
            assert isinstance(self, Client)
            return service.ask(number)

    ask = decorate(Client())
    return lambda number: asyncio.run(ask(number))


def partial(decorate, service):
    return decorate(functools.partial(lambda asked, number: asked(number), service.ask))


def partial_of_a_coroutine_function(decorate, service):
    async def ask(service, number):
        return service.ask(number)

    asked = decorate(functools.partial(functools.partial(ask), service))
    return lambda number: asyncio.run(asked(number))


def bound_method(decorate, service):
    return decorate(service.ask)


def bound_method_in_a_class(decorate, service):
    class Holder:
        ask = decorate(service.ask)

    return Holder().ask


def generator_function(decorate, service):
    @decorate
    def ask(number):
        yield service.ask(number)
        yield "the end"

    return lambda number: first(list(ask(number)))


def generator_method(decorate, service):
    class Client:
        @decorate
        def ask(self, number):
            assert isinstance(self, Client)
            yield service.ask(number)

    return lambda number: first(list(Client().ask(number)))


def function_that_returns_a_generator(decorate, service):
    def ask(number):
        yield service.ask(number)

    asked = decorate(lambda number: ask(number))  # noqa: PLW0108 -- a plain function
    return lambda number: first(list(asked(number)))


def async_generator_function(decorate, service):
    @decorate
    async def ask(number):
        yield service.ask(number)
        yield "the end"

    return lambda number: first(asyncio.run(collected(ask(number))))


def async_generator_static_method_outside(decorate, service):
    class Client:
        @decorate
        @staticmethod
        async def ask(number):
            yield service.ask(number)

    return lambda number: first(asyncio.run(collected(Client().ask(number))))


def function_that_returns_an_async_generator(decorate, service):
    async def ask(number):
        yield service.ask(number)

    asked = decorate(lambda number: ask(number))  # noqa: PLW0108 -- a plain function

    async def call(number):
        return await collected(asked(number))

    return lambda number: first(asyncio.run(call(number)))


def first(items):
    return items[0]


async def collected(stream):
    return [item async for item in stream]


KINDS = [
    function,
    method,
    method_called_on_the_class,
    class_method_inside,
    class_method_outside,
    static_method_inside,
    static_method_outside,
    coroutine_function,
    coroutine_method,
    coroutine_class_method_outside,
    function_that_returns_a_coroutine,
    awaitable_generator,
    function_that_returns_an_awaitable_generator,
    callable_object,
    callable_object_in_a_class,
    object_with_an_async_call,
    partial,
    partial_of_a_coroutine_function,
    bound_method,
    bound_method_in_a_class,
    generator_function,
    generator_method,
    function_that_returns_a_generator,
    async_generator_function,
    async_generator_static_method_outside,
    function_that_returns_an_async_generator,
]


class Protection:
    """
    A limiter with two tokens, a breaker that trips at the second failure.
    """

    def __init__(self, clock):
        self.clock = clock
        self.registry = Registry()
        self.limiter = self.registry.limiter(
            "images", calls_per_second=0.1, burst=2, clock=clock
        )
        self.breaker = self.registry.breaker(
            "images", threshold=2, cooldown=30.0, clock=clock
        )

    def limited(self, function):
        return rate_limited(self.limiter, timeout=0)(function)

    def limited_per_call(self, function):
        return rate_limited(
            "images", timeout=0, tokens=lambda *_: 1, registry=self.registry
        )(function)

    def circuit(self, function):
        return circuit_protected(self.breaker)(function)

    def both(self, function):
        return protected("images", timeout=0, registry=self.registry)(function)

    def stacked(self, function):
        return self.circuit(self.limited(function))


@pytest.fixture
def protection(clock):
    return Protection(clock)


@pytest.fixture
def service():
    return Service()


def kinds(test):
    return pytest.mark.parametrize("kind", KINDS)(test)


def protections(*names):
    return pytest.mark.parametrize("how", names)


@kinds
class TestEveryKind:
    @protections("limited", "limited_per_call", "circuit", "both", "stacked")
    def test_is_called_as_ever(self, kind, how, protection, service):
        """
        If nothing stands in the way, the function gets its arguments, and the
        caller its result.
        """
        ask = kind(getattr(protection, how), service)

        assert [2, 4] == [ask(1), ask(2)]
        assert [1, 2] == service.asked

    @protections("limited", "limited_per_call", "both", "stacked")
    def test_waits_for_its_turn(self, kind, how, protection, service):
        """
        If no token is free in time, the call is refused and not made, and
        made again later.
        """
        ask = kind(getattr(protection, how), service)
        ask(1)
        ask(2)

        with pytest.raises(RateLimitExceeded) as refusal:
            ask(3)

        assert "images" == refusal.value.name
        assert [1, 2] == service.asked

        protection.clock.advance(refusal.value.retry_after)

        assert 8 == ask(4)

    @protections("circuit", "both", "stacked")
    def test_trips_its_circuit(self, kind, how, protection, service):
        """
        If the function fails often enough, its own errors come through, then
        calls are refused and not made, until a probe succeeds.
        """
        service.fails = True
        ask = kind(getattr(protection, how), service)

        for number in (1, 2):
            with pytest.raises(ServiceDown):
                ask(number)

        with pytest.raises(CircuitOpenError) as refusal:
            ask(3)

        assert isinstance(refusal.value.__cause__, ServiceDown)
        assert [1, 2] == service.asked

        protection.clock.advance(30.0)
        service.fails = False

        assert 8 == ask(4)
        assert CircuitState.CLOSED is protection.breaker.snapshot().state

    @protections("circuit", "both", "stacked")
    def test_success_resets_the_count(self, kind, how, protection, service):
        """
        If a call succeeds between two failures, they are not in a row.
        """
        ask = kind(getattr(protection, how), service)
        ask(0)
        protection.clock.advance(30.0)

        for fails in (True, False, True):
            service.fails = fails
            try:
                ask(1)
            except ServiceDown:
                assert fails
            protection.clock.advance(30.0)

        assert 1 == protection.breaker.snapshot().failures
        assert not protection.breaker.is_open

    @protections("both", "stacked")
    def test_open_circuit_costs_no_token(self, kind, how, protection, service):
        """
        If the circuit is open, the call is refused for that, at once, without
        asking the limiter.
        """
        ask = kind(getattr(protection, how), service)
        ask(1)
        ask(2)
        protection.breaker.force_open("maintenance")

        with pytest.raises(CircuitOpenError):
            ask(3)

        assert 0 == protection.limiter.snapshot().refused
        assert 1 == protection.breaker.snapshot().refused

    @protections("circuit", "both", "stacked")
    def test_a_probe_has_one_outcome(self, kind, how, protection, service):
        """
        If the circuit is half-open, the lease of the probe ends with the call.
        """
        ask = kind(getattr(protection, how), service)
        service.fails = True
        for number in (1, 2):
            with pytest.raises(ServiceDown):
                ask(number)
        protection.clock.advance(30.0)

        with pytest.raises(ServiceDown):
            ask(3)

        snapshot = protection.breaker.snapshot()
        assert (CircuitState.OPEN, 0) == (snapshot.state, snapshot.probes_out)
        assert (3, 3) == (snapshot.admitted, snapshot.failed)


class TestKindOf:
    def test_plain_things(self):
        """
        If a callable is no function of Python, its work is done when it returns.
        """
        assert Kind.FUNCTION is kind_of(len)
        assert Kind.FUNCTION is kind_of(str.upper)
        assert Kind.FUNCTION is kind_of(functools.partial(print, "x"))

    def test_objects(self):
        """
        If it is an object, its kind is that of its __call__.
        """

        class Client:
            async def __call__(self):
                pass

        class Pages:
            def __call__(self):
                yield

        class Stream:
            async def __call__(self):
                yield

        assert Kind.COROUTINE is kind_of(Client())
        assert Kind.GENERATOR is kind_of(functools.partial(Pages()))
        assert Kind.ASYNC_GENERATOR is kind_of(Stream())

    def test_own_stand_in(self):
        """
        If a callable was decorated before, its kind is that of the function.
        """
        limiter = RateLimiter()

        async def fetch():
            pass

        assert Kind.COROUTINE is kind_of(rate_limited(limiter)(fetch))
        assert inspect.iscoroutinefunction(circuit_protected(CircuitBreaker())(fetch))


class TestFunctionThatReturnsBeforeItIsDone:
    def test_is_judged_by_how_that_ends(self, clock):
        """
        If a plain function returns a coroutine, that it returned is no success.
        """
        breaker = CircuitBreaker(threshold=2, clock=clock)

        async def fetch(fails):
            if fails:
                raise ServiceDown

        call = circuit_protected(breaker)(lambda fails: fetch(fails))  # noqa: PLW0108 -- as above

        with pytest.raises(ServiceDown):
            asyncio.run(call(True))
        begun = call(True)

        assert 1 == breaker.snapshot().failures

        with pytest.raises(ServiceDown):
            asyncio.run(begun)

        assert breaker.is_open
