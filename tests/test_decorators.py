"""
What decorators take, what they make of it, and in which order things happen.
"""

from __future__ import annotations

import _thread
import abc
import asyncio
import copy
import functools
import gc
import inspect
import os
import pickle
import threading
import typing
import weakref

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import decorated
import pytest
import wrapt

from switchgear._breaker import CircuitBreaker
from switchgear._decorators import (
    breaker_of,
    circuit_protected,
    limiter_of,
    protected,
    rate_limited,
)
from switchgear._keyed import Keyed
from switchgear._limiter import RateLimiter
from switchgear._registry import Registry
from switchgear.errors import (
    BurstExceeded,
    CallNotPermitted,
    CircuitOpenError,
    ConfigurationError,
    RateLimitExceeded,
    UnknownNameError,
)
from switchgear.events import CircuitState
from switchgear.testing import isolated_registry


class ServiceDown(Exception):
    pass


class Busy(Exception):
    pass


def fail(error):
    raise error


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def limiter(clock):
    return RateLimiter(0.1, clock=clock)


@pytest.fixture
def breaker(clock):
    return CircuitBreaker(threshold=1, cooldown=30.0, clock=clock)


@pytest.fixture
def half_open(breaker, clock):
    """
    A breaker that waits for its first probe.
    """
    breaker.record_failure()
    clock.advance(30.0)
    assert not breaker.is_open
    return breaker


DECORATORS = {
    "rate_limited": lambda: rate_limited(RateLimiter(1e6)),
    "circuit_protected": lambda: circuit_protected(CircuitBreaker()),
    "protected": lambda: protected("p", registry=Registry()),
}


@pytest.fixture(params=DECORATORS)
def decorate(request):
    return DECORATORS[request.param]()


class TestStandIn:
    def test_looks_like_the_function(self, decorate):
        """
        If a function is decorated, name, documentation, signature, type and
        kind are its own.
        """

        async def fetch(url: str, *, size: int = 3) -> bytes:
            """
            Fetch *url*.
            """

        stand_in = decorate(fetch)

        for name in ("__name__", "__qualname__", "__module__", "__doc__", "__code__"):
            assert getattr(fetch, name) == getattr(stand_in, name)
        assert inspect.signature(fetch) == inspect.signature(stand_in)
        assert typing.get_type_hints(fetch) == typing.get_type_hints(stand_in)
        assert inspect.iscoroutinefunction(stand_in)
        assert inspect.isfunction(stand_in)
        assert inspect.getsource(fetch) == inspect.getsource(stand_in)
        assert fetch is stand_in.__wrapped__
        assert fetch is inspect.unwrap(stand_in)
        assert repr(fetch) in repr(stand_in)

    def test_inspect_flags_of_every_kind(self, decorate):
        """
        If a function is a generator of some kind, inspect says so.
        """

        def plain():
            pass

        def pages():
            yield

        async def stream():
            yield

        flags = (
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
        )
        for function in (plain, pages, stream):
            stand_in = decorate(function)
            assert [flag(function) for flag in flags] == [flag(stand_in) for flag in flags]

    def test_bound_method_looks_like_one(self, decorate):
        """
        If it is found on an instance, it is a bound method of that instance.
        """

        class Client:
            @decorate
            def get(self, url: str) -> None:
                """
                Get it.
                """

        client = Client()

        assert inspect.ismethod(client.get)
        assert client is client.get.__self__
        assert "get" == client.get.__name__
        assert "(url: 'str') -> 'None'" == str(inspect.signature(client.get))
        assert client.get == client.get
        assert Client.__dict__["get"] is Client.get

    def test_super_and_overriding(self, decorate):
        """
        If a subclass overrides it, both are protected, and super() finds it.
        """

        class Base:
            @decorate
            def get(self):
                return [self]

        class Derived(Base):
            @decorate
            def get(self):
                return [*super().get(), "derived"]

        derived = Derived()

        assert [derived, "derived"] == derived.get()

    def test_abstract_methods_stay_abstract(self, decorate):
        """
        If the method is abstract, so is the class.
        """

        class Base(abc.ABC):
            @decorate
            @abc.abstractmethod
            def get(self):
                pass

        with pytest.raises(TypeError, match="abstract"):
            Base()

    def test_nothing_is_set_on_the_users_function(self, decorate):
        """
        If a function or object is decorated and called, it is as it was.
        """

        class Strict:
            __slots__ = ()

            def __call__(self):
                return 1

        def function():
            return 1

        before = dict(vars(function))
        stand_in = decorate(function)
        inside = decorate(classmethod(function))

        assert callable(stand_in)
        assert callable(decorate(Strict()))
        assert isinstance(inside, classmethod)
        assert before == vars(function)
        assert not hasattr(function, "__wrapped__")

    def test_the_users_attributes_are_there(self, decorate):
        """
        If the function has attributes, they are found, and set on it.
        """

        def function():
            pass

        function.tag = "a"
        stand_in = decorate(function)

        assert "a" == stand_in.tag

        stand_in.tag = "b"

        assert "b" == function.tag

    def test_weak_references(self, decorate):
        """
        If nobody else holds it, it goes, and the closure with it.
        """

        def function():
            pass

        stand_in = decorate(function)
        reference = weakref.ref(stand_in)
        assert stand_in is reference()

        del stand_in
        gc.collect()

        assert reference() is None

    def test_works_without_the_extension_of_wrapt(self):
        """
        If wrapt has no compiled part, everything is found in its place as well.
        """
        script = (
            "import wrapt, decorated\n"
            "assert 'wrapt.wrappers' == wrapt.BaseObjectProxy.__module__\n"
            "assert 42 == decorated.double(21)[0]\n"
            "assert 3 == decorated.Client(1).add(2)\n"
            "assert 'Client' == decorated.Client.name()\n"
            "assert {} == vars(decorated.double)\n"
        )
        environment = {
            **os.environ,
            "WRAPT_DISABLE_EXTENSIONS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }

        subprocess.run([sys.executable, "-c", script], env=environment, check=True)

    def test_recursion(self, decorate):
        """
        If the function calls itself, each call is one of its own.
        """

        @decorate
        def factorial(number):
            return number * factorial(number - 1) if number else 1

        assert 120 == factorial(5)


class TestPickling:
    @pytest.fixture(autouse=True)
    def _fresh(self):
        with isolated_registry():
            yield

    def test_by_qualified_name(self):
        """
        If it can be imported, it pickles as its name, and copies as itself.
        """
        for stand_in in (decorated.double, decorated.Client.add):
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
                assert stand_in is pickle.loads(pickle.dumps(stand_in, protocol))
            assert stand_in is copy.copy(stand_in)
            assert stand_in is copy.deepcopy([stand_in])[0]

    def test_bound_methods(self):
        """
        If it is a bound method, it pickles with its instance.
        """
        add = pickle.loads(pickle.dumps(decorated.Client(5).add))
        name = pickle.loads(pickle.dumps(decorated.Client.name))

        assert (7, "Client") == (add(2), name())

    def test_works_in_a_process_pool(self):
        """
        If another process is to call it, that one looks it up by name.
        """
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            doubled, there = pool.submit(decorated.double, 21).result(60)
            added = pool.submit(decorated.Client(5).add, 2).result(60)
            negative = pool.submit(decorated.Client.negative, 2).result(60)

        assert (42, 7, -2) == (doubled, added, negative)
        assert os.getpid() != there

    def test_what_has_no_name_cannot(self):
        """
        If it cannot be found by name, pickling says so, and copying works.
        """
        with pytest.raises(TypeError, match="no qualified name"):
            pickle.dumps(decorated.nameless)
        with pytest.raises((pickle.PicklingError, AttributeError), match="local"):
            pickle.dumps(decorated.make_local())

        assert 32 == copy.copy(decorated.nameless)(5)


class TestWhatCannotBeProtected:
    @pytest.mark.parametrize(
        ("thing", "hint"),
        [
            (ServiceDown, "decorate its methods"),
            (property(lambda self: 1), "under @property"),
            (functools.cached_property(lambda self: 1), "only protect what can be"),
            (42, "only protect what can be called"),
            (None, "only protect what can be called"),
        ],
    )
    def test_is_refused_when_decorating(self, decorate, thing, hint):
        """
        If it cannot work, decorating raises TypeError and says what would.
        """
        with pytest.raises(TypeError, match=hint):
            decorate(thing)

    def test_in_a_class_method_too(self, decorate):
        """
        If what is inside a class method cannot be called, that is refused too.
        """
        with pytest.raises(TypeError, match="only protect what can be called"):
            decorate(classmethod(42))


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"tokens": 0}, "tokens must be at least 1"),
            ({"tokens": True}, "tokens must be an int"),
            ({"tokens": 1.5}, "tokens must be an int"),
            ({"timeout": -1}, "timeout must be at least 0"),
            ({"timeout": "1"}, "timeout must be a number"),
            ({"key": []}, "unhashable"),
            ({"registry": "mine"}, "registry must be a Registry"),
            ({"calls_per_second": 0}, "calls_per_second must be"),
            ({"speed": 3}, "speed"),
        ],
    )
    @pytest.mark.parametrize("decorator", [rate_limited, protected])
    def test_bad_ones_are_refused_at_once(self, decorator, arguments, message):
        """
        If an argument is wrong, it is refused before anything is decorated.
        """
        given = {"registry": Registry(), **arguments}

        with pytest.raises((TypeError, ValueError), match=message):
            decorator("p", **given)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"fallback": 42}, "fallback must be a function"),
            ({"failure_on": 42}, "failure_on must be"),
            ({"failure_when": 42}, "failure_when must be"),
            ({"ignore": "all"}, "ignore must be"),
            ({"key": {}}, "unhashable"),
            ({"threshold": 0}, "threshold must be"),
            ({"treshold": 5}, "treshold"),
        ],
    )
    @pytest.mark.parametrize("decorator", [circuit_protected, protected])
    def test_bad_ones_of_a_circuit(self, decorator, arguments, message):
        """
        If an argument is wrong, it is refused before anything is decorated.
        """
        with pytest.raises((TypeError, ValueError), match=message):
            decorator("p", registry=Registry(), **arguments)

    @pytest.mark.parametrize("argument", ["tokens", "key"])
    def test_functions_of_the_arguments_are_ordinary_ones(self, argument):
        """
        If tokens or key is a coroutine function, its answer would be none.
        """

        async def ask():
            pass

        with pytest.raises(TypeError, match="must be an ordinary function"):
            rate_limited("p", **{argument: ask})

    @pytest.mark.parametrize("name", ["", "a[b]", "x" * 201, "line\nbreak"])
    @pytest.mark.parametrize(
        "decorator", [rate_limited, circuit_protected, protected]
    )
    def test_bad_names(self, decorator, name):
        """
        If a name is not allowed, that is said at once.
        """
        with pytest.raises(ValueError, match="name must have"):
            decorator(name)

    def test_without_parentheses(self):
        """
        If the parentheses were forgotten, the message guesses it.
        """
        for decorator in (rate_limited, circuit_protected, protected):
            with pytest.raises(TypeError, match="without parentheses"):

                @decorator
                def function():
                    pass

    def test_wrong_objects(self, limiter, breaker):
        """
        If it is the wrong kind of object, that is said at once.
        """
        with pytest.raises(TypeError, match="takes a RateLimiter, or a name"):
            rate_limited(breaker)
        with pytest.raises(TypeError, match="takes a CircuitBreaker, or a name"):
            circuit_protected(limiter)
        with pytest.raises(TypeError, match="takes a Keyed, each a RateLimiter"):
            rate_limited(limiter, key="a")
        with pytest.raises(TypeError, match="takes a name"):
            protected(limiter)

    def test_an_object_is_defined_already(self, limiter, breaker):
        """
        If an object is given, a definition or a registry would mean nothing.
        """
        with pytest.raises(TypeError, match="takes burst with a name"):
            rate_limited(limiter, burst=3)
        with pytest.raises(TypeError, match="takes registry with a name"):
            circuit_protected(breaker, registry=Registry())

    @pytest.mark.parametrize(
        "kind", ["function", "generator", "async generator"]
    )
    def test_fallbacks_that_do_not_fit(self, breaker, kind):
        """
        If a fallback cannot answer for the function, decorating says so.
        """

        def plain():
            pass

        def generator():
            yield

        async def stream():
            yield

        async def coroutine():
            pass

        function, unfit = {
            "function": (plain, [coroutine]),
            "generator": (generator, [coroutine, stream]),
            "async generator": (stream, [coroutine, generator]),
        }[kind]

        for fallback in unfit:
            with pytest.raises(TypeError, match="fallback of an? .* must not be"):
                circuit_protected(breaker, fallback=fallback)(function)

    def test_results_of_a_generator_cannot_be_judged(self, breaker):
        """
        If a generator function is to have its results judged, there are none.
        """

        def pages():
            yield

        with pytest.raises(TypeError, match="failure_when judges returned values"):
            circuit_protected(breaker, failure_when=bool)(pages)


class TestLookingUpTheName:
    def test_at_the_first_call(self, registry):
        """
        If the name is defined after decorating, the first call finds it.
        """

        @rate_limited("late", registry=registry)
        def function():
            return "called"

        registry.limiter("late", calls_per_second=10)

        assert "called" == function()
        assert registry.limiter("late") is function.limiter

    def test_a_failed_look_up_is_not_remembered(self, registry):
        """
        If the name is unknown, the call says so, and the next one looks again.
        """

        @protected("late", registry=registry)
        def function():
            return "called"

        with pytest.raises(UnknownNameError, match="no breaker is named 'late'"):
            function()

        registry.breaker("late", threshold=3)

        with pytest.raises(UnknownNameError, match="no limiter is named 'late'"):
            function()

        registry.limiter("late", calls_per_second=10)

        assert "called" == function()

    def test_again_after_remove(self, registry):
        """
        If the name is removed and defined anew, the next call uses the new one.
        """

        @circuit_protected("b", registry=registry)
        def function():
            return "called"

        registry.breaker("b", threshold=1).force_open("test")
        with pytest.raises(CircuitOpenError):
            function()
        registry.remove("b")
        with pytest.raises(UnknownNameError):
            function()
        registry.breaker("b", threshold=1)

        assert "called" == function()

    def test_again_inside_isolated_registry(self):
        """
        If a registry is isolated, definitions of decorators hold there, and
        state does not get out.
        """
        with isolated_registry():

            @circuit_protected("isolated", threshold=7)
            def function():
                pass

            function()
            outside = breaker_of(function)
            with isolated_registry():
                function()
                inside = breaker_of(function)
                inside.force_open("test")

            assert inside is not outside
            assert 7 == inside.settings()["threshold"]
            assert outside is breaker_of(function)
            function()

    def test_definitions_must_agree(self, registry):
        """
        If a decorator defines a name differently, decorating names both places.
        """
        registry.limiter("images", calls_per_second=5)

        with pytest.raises(ConfigurationError, match="test_decorators.py.*test_decora"):
            rate_limited("images", calls_per_second=6, registry=registry)

        rate_limited("images", calls_per_second=5.0, registry=registry)

    def test_objects_need_no_registry(self, clock):
        """
        If a limiter or a breaker is given, no name is looked up.
        """
        limiter, breaker = RateLimiter(clock=clock), CircuitBreaker(clock=clock)

        @circuit_protected(breaker)
        @rate_limited(limiter)
        def function():
            pass

        function()

        assert (1, 1) == (limiter.snapshot().admitted, breaker.snapshot().admitted)
        assert (limiter, breaker) == (function.limiter, function.breaker)

    def test_racing_first_calls_share_one(self, registry):
        """
        If 32 threads make the first call together, they all meet in one limiter.
        """

        @protected("p", registry=registry, calls_per_second=1e6, burst=32, threshold=5)
        def function():
            pass

        together(32, function)

        assert 32 == registry.limiter("p").snapshot().admitted
        assert 32 == registry.breaker("p").snapshot().admitted


class TestDefinition:
    def test_is_split_between_both(self, registry, clock):
        """
        If one name defines both, each gets its settings, and both the clock.
        """
        protected(
            "p",
            registry=registry,
            calls_per_second=3,
            burst=4,
            max_waiters=5,
            threshold=6,
            cooldown=7.0,
            clock=clock,
        )
        registry.limiter("p").pause(10)
        registry.breaker("p").force_open("test")
        clock.advance(4)

        limiter, breaker = registry.limiter("p"), registry.breaker("p")
        assert {"calls_per_second": 3.0, "burst": 4, "max_waiters": 5} == (
            limiter.settings()
        )
        assert (6, 7.0) == (
            breaker.settings()["threshold"],
            breaker.settings()["cooldown"],
        )
        assert 6.0 == limiter.snapshot().paused_for
        assert 4.0 == breaker.snapshot().since

    def test_defines_only_what_it_has_settings_for(self, registry):
        """
        If there are settings for one of them only, the other is looked up.
        """
        protected("p", registry=registry, rates=[], max_waiters=1) if False else None
        protected("p", registry=registry, threshold=3)

        with pytest.raises(UnknownNameError):
            registry.limiter("p")


class TestTokens:
    def test_a_number(self, clock):
        """
        If calls cost several tokens, each takes as many.
        """
        limiter = RateLimiter(1.0, burst=5, clock=clock)

        rate_limited(limiter, tokens=3)(int)if False else rate_limited(limiter, tokens=3)(len)("")

        assert 2 == limiter.snapshot().available
