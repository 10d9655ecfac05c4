"""
What decorators take, what they make of it, and in which order things happen.
"""

from __future__ import annotations

import abc
import asyncio
import copy
import functools
import gc
import inspect
import os
import pickle
import signal
import subprocess
import sys
import threading
import typing
import weakref

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import decorated
import pytest

from switchgear._breaker import CircuitBreaker
from switchgear._core.rate import Rate
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
def half_open(clock):
    """
    A breaker that waits for its first probe.
    """
    breaker = CircuitBreaker(threshold=2, cooldown=30.0, clock=clock)
    breaker.record_failure()
    breaker.record_failure()
    clock.advance(30.0)
    assert not breaker.is_open
    return breaker


DECORATORS = {
    "rate_limited": lambda: rate_limited(RateLimiter(1e6)),
    "circuit_protected": lambda: circuit_protected(CircuitBreaker()),
    "protected": lambda: protected(
        "p", registry=Registry(), calls_per_second=1e6, burst=100, threshold=5
    ),
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
            assert [flag(function) for flag in flags] == [
                flag(stand_in) for flag in flags
            ]

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
            ({"key": []}, "key must be hashable"),
            ({"registry": "mine"}, "registry must be a Registry"),
            ({"calls_per_second": 0}, "calls_per_second must be"),
            ({"rates": 5}, "rates must be a sequence of Rate"),
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
            ({"key": {}}, "key must be hashable"),
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
    @pytest.mark.parametrize("decorator", [rate_limited, circuit_protected, protected])
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

    @pytest.mark.parametrize("kind", ["function", "generator", "async generator"])
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
            with pytest.raises(TypeError, match=r"fallback of an? .* must not be"):
                circuit_protected(breaker, fallback=fallback)(function)

    def test_results_of_a_generator_cannot_be_judged(self, breaker):
        """
        If a generator function is to have its results judged, there are none.
        """

        def pages():
            yield

        with pytest.raises(TypeError, match="failure_when judges returned values"):
            circuit_protected(breaker, failure_when=bool)(pages)

    def test_what_is_left_to_the_breaker_says_so(self):
        """
        If a judgement is left out, help() shows whose it is.
        """
        assert "failure_on: 'Matcher | Own' = <the breaker's own>" in str(
            inspect.signature(circuit_protected)
        )


class TestLookingUpTheName:
    @pytest.mark.parametrize("decorator", [rate_limited, circuit_protected, protected])
    def test_of_a_coroutine_function(self, registry, decorator):
        """
        If a coroutine function is decorated, the first await looks it up.
        """
        call = decorator("late", registry=registry)(asyncio.sleep)
        registry.limiter("late", calls_per_second=10, burst=3)
        registry.breaker("late", threshold=3)

        assert ["a", "b"] == [asyncio.run(call(0, "a")), asyncio.run(call(0, "b"))]

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

        with pytest.raises(
            ConfigurationError, match=r"test_decorators\.py.*test_decorators\.py"
        ):
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
        protected("p", registry=registry, threshold=3)

        with pytest.raises(UnknownNameError):
            registry.limiter("p")


class TestTokens:
    def test_a_number(self, clock):
        """
        If calls cost several tokens, each takes as many.
        """
        limiter = RateLimiter(1.0, burst=5, clock=clock)

        assert 0 == rate_limited(limiter, tokens=3)(len)("")

        assert 2 == limiter.snapshot().available

    def test_a_function_of_the_arguments(self, clock):
        """
        If the cost depends on the call, it is asked with all the arguments.
        """
        limiter = RateLimiter(1.0, burst=10, clock=clock)

        class Client:
            factor = 2

            @rate_limited(
                limiter,
                tokens=lambda self, text, extra=0: self.factor * len(text) + extra,
            )
            def send(self, text, extra=0):
                return text

        assert "abc" == Client().send("abc", extra=1)

        assert 3 == limiter.snapshot().available

    def test_more_than_the_burst_is_never(self, clock):
        """
        If a call costs more than the burst, it is refused for good.
        """
        limiter = RateLimiter(1.0, burst=5, clock=clock)

        with pytest.raises(BurstExceeded):
            rate_limited(limiter, tokens=len)(len)("abcdef")

    def test_a_bad_answer_is_an_error(self, clock):
        """
        If the function says 0, that is an error of the call, which is not made.
        """
        limiter = RateLimiter(1.0, clock=clock)

        with pytest.raises(ValueError, match="tokens must be at least 1"):
            rate_limited(limiter, tokens=len)(fail)("")


class TestKey:
    def test_makes_the_definition_a_template(self, registry, clock):
        """
        If there is a key, each has a limiter and a breaker of its own, shown
        with its key.
        """

        class Client:
            def __init__(self, host):
                self.host = host

            @protected(
                "images",
                key=lambda self, **_: self.host,
                timeout=0,
                registry=registry,
                calls_per_second=0.1,
                threshold=1,
                clock=clock,
            )
            def get(self, *, error=None):
                if error:
                    raise error
                return self.host

        assert ["a", "b"] == [Client("a").get(), Client("b").get()]
        with pytest.raises(RateLimitExceeded, match=r"images\[a\]"):
            Client("a").get()
        clock.advance(10)
        with pytest.raises(ServiceDown):
            Client("a").get(error=ServiceDown())
        with pytest.raises(CircuitOpenError, match=r"images\[a\]"):
            Client("a").get()
        assert "b" == Client("b").get()

        assert limiter_of(Client.get, key="a") is registry.keyed_limiter("images")["a"]
        assert breaker_of(Client.get, key="b") is registry.keyed_breaker("images")["b"]

    @pytest.mark.parametrize("how", ["protected", "stacked"])
    def test_is_asked_once(self, registry, how):
        """
        If the key is one function for both, it is asked once about a call.
        """
        asked = []

        def key(host):
            asked.append(host)
            return host

        registry.limiter("p", calls_per_second=1)
        registry.breaker("p", threshold=1)
        if how == "protected":
            call = protected("p", key=key, registry=registry)(len)
        else:
            limited = rate_limited("p", key=key, registry=registry)(len)
            call = circuit_protected("p", key=key, registry=registry)(limited)

        call("a")

        assert ["a"] == asked

    def test_each_alone(self, registry, clock):
        """
        If only one of them is keyed, the other is shared.
        """

        @circuit_protected("c", key="here", registry=registry, threshold=1)
        @rate_limited(
            "r", key=str, registry=registry, calls_per_second=1, clock=clock, timeout=0
        )
        def get(number):
            return number

        assert [1, 2] == [get(1), get(2)]
        with pytest.raises(RateLimitExceeded, match=r"r\[1\]"):
            get(1)

        registry.keyed_breaker("c")["here"].force_open("test")

        with pytest.raises(CircuitOpenError, match=r"c\[here\]"):
            get(3)

    @pytest.mark.parametrize("kind", ["function", "coroutine"])
    def test_a_keyed_object(self, clock, kind):
        """
        If the container is given, no registry is needed.
        """
        breakers = Keyed(lambda key: CircuitBreaker(threshold=1, clock=clock))
        limiters = Keyed(lambda key: RateLimiter(clock=clock))

        def get(host):
            return host

        async def get_async(host):
            return host

        def call(function, host):
            result = function(host)
            return asyncio.run(result) if kind == "coroutine" else result

        function = {"function": get, "coroutine": get_async}[kind]
        broken = circuit_protected(breakers, key=lambda host: host)(function)
        limited = rate_limited(limiters, key=lambda host: host, timeout=0)(function)

        assert ["a", "a"] == [call(broken, "a"), call(limited, "a")]
        breakers["a"].force_open("test")
        with pytest.raises(CircuitOpenError):
            call(broken, "a")
        with pytest.raises(RateLimitExceeded):
            call(limited, "a")
        assert ["b", "b"] == [call(broken, "b"), call(limited, "b")]

        assert breakers is broken.breaker


class TestTimeout:
    def test_is_the_longest_wait(self, limiter, clock):
        """
        If the turn cannot come in time, the call is refused at once.
        """
        function = rate_limited(limiter, timeout=9.9)(len)
        function("")

        with pytest.raises(RateLimitExceeded):
            function("")

        clock.advance(0.1)
        threading.Thread(target=advance_for, args=(clock, 9.9)).start()

        assert 0 == function("")

    def test_holds_for_both(self, registry, clock):
        """
        If both are protected, the timeout is that of the turn, for a pause
        that comes later as well.
        """
        function = protected(
            "p",
            registry=registry,
            timeout=10.0,
            calls_per_second=0.1,
            threshold=5,
            clock=clock,
        )(len)
        function("")
        refusals = []

        def call():
            try:
                function("")
            except RateLimitExceeded as refusal:
                refusals.append(refusal)

        caller = threading.Thread(target=call, daemon=True)
        caller.start()
        clock.wait_for_sleepers(1)
        registry.limiter("p").pause(60)
        clock.advance(10)
        caller.join(10)

        assert 1 == len(refusals)
        assert 0 == registry.limiter("p").snapshot().waiting


class TestFallback:
    def test_answers_refused_calls(self, breaker):
        """
        If the call is refused, the fallback gets the refusal and the arguments.
        """
        got = []

        def cached(exc, *args, **kwargs):
            got.append((exc, args, kwargs))
            return "cached"

        @circuit_protected(breaker, fallback=cached)
        def fetch(url, *, size):
            return "live"

        assert "live" == fetch("u", size=1)
        breaker.force_open("test")
        assert "cached" == fetch("u", size=2)

        ((refusal, args, kwargs),) = got
        assert CircuitState.FORCED_OPEN is refusal.state
        assert (("u",), {"size": 2}) == (args, kwargs)

    def test_answers_no_failures(self, breaker):
        """
        If the call is made and fails, the caller gets the error; also if that
        is a refusal of somebody else.
        """
        call = circuit_protected(breaker, fallback=lambda exc, error: "cached")(fail)

        with pytest.raises(RateLimitExceeded):
            call(RateLimitExceeded("other"))
        assert not breaker.is_open
        with pytest.raises(ServiceDown):
            call(ServiceDown())

        assert "cached" == call(ServiceDown())

    def test_answers_refusals_of_both(self, registry):
        """
        If the limiter refuses, the fallback of both answers as well.
        """

        @protected(
            "p",
            registry=registry,
            timeout=0,
            fallback=lambda exc, **_: exc,
            threshold=1,
            calls_per_second=0.1,
            tokens=lambda tokens=1: tokens,
        )
        def function(tokens=1):
            return "live"

        assert "live" == function()
        assert isinstance(function(), RateLimitExceeded)
        assert isinstance(function(tokens=2), BurstExceeded)

        registry.breaker("p").force_open("test")

        assert isinstance(function(), CircuitOpenError)

    def test_answers_no_errors_of_key_or_tokens(self, breaker):
        """
        If the function for the key is refused something, that is the caller's.
        """
        breakers = Keyed(lambda key: breaker)

        @circuit_protected(
            breakers,
            key=lambda: fail(RateLimitExceeded("other")),
            fallback=lambda exc: "cached",
        )
        def function():
            return "live"

        with pytest.raises(RateLimitExceeded, match="other"):
            function()

    @pytest.mark.parametrize("kind", ["function", "coroutine"])
    def test_of_a_coroutine_function(self, breaker, kind):
        """
        If the function is a coroutine function, the fallback may be one.
        """

        def cached(exc):
            return "cached"

        async def cached_async(exc):
            return "cached"

        fallback = {"function": cached, "coroutine": cached_async}[kind]

        @circuit_protected(breaker, fallback=fallback)
        async def fetch():
            return "live"

        assert "live" == asyncio.run(fetch())
        breaker.force_open("test")
        assert "cached" == asyncio.run(fetch())

    def test_its_errors_are_the_callers(self, breaker):
        """
        If the fallback raises, the caller sees that, and why it was asked.
        """
        breaker.force_open("test")
        function = circuit_protected(breaker, fallback=lambda exc: fail(Busy()))(len)

        with pytest.raises(TypeError) as error:
            function("")
        assert isinstance(error.value.__context__, CircuitOpenError)
        assert 0 == breaker.snapshot().failed


class TestRefusedAfterTheWait:
    @pytest.mark.parametrize("is_async", [False, True])
    def test_everything_is_given_back(self, registry, is_async):
        """
        If the circuit opens while the turn is waited for, the call is given
        back as well as the tokens: it was not made.
        """
        breaker = registry.breaker("both", threshold=1)
        todo = [lambda: breaker.force_open("test")]

        class Clock:
            def monotonic_ns(self):
                while armed and todo:
                    todo.pop()()
                return 10**12

        armed = []
        rates = [Rate(1, per=60, burst=2, counts="calls"), Rate(1, per=60, burst=9)]
        limiter = registry.limiter("both", rates=rates, clock=Clock())
        both = protected("both", tokens=3, registry=registry)

        @both
        def call():
            raise AssertionError

        @both
        async def call_async():
            raise AssertionError

        armed.append(True)
        with pytest.raises(CircuitOpenError):
            asyncio.run(call_async()) if is_async else call()

        assert [2, 9] == [one.available for one in limiter.snapshot().rates]

    def test_rates_of_an_iterator_are_kept(self, registry):
        """
        If the rates of a definition come out of a generator, all of them are
        there, and are so again.
        """

        @rate_limited(
            "once", registry=registry, rates=(Rate(1, burst=n) for n in (2, 3))
        )
        def call():
            return "in"

        assert "in" == call()
        assert 2 == len(registry.limiter("once").snapshot().rates)


class TestJudgement:
    @pytest.mark.parametrize("is_async", [False, True])
    @pytest.mark.parametrize(
        ("own", "error", "fails"),
        [
            ({}, Busy(), False),
            ({}, ServiceDown(), True),
            ({"failure_on": Busy}, Busy(), False),
            ({"failure_on": Busy, "ignore": ()}, Busy(), True),
            ({"failure_on": Busy, "ignore": ()}, ServiceDown(), False),
            ({"ignore": ServiceDown}, ServiceDown(), False),
            ({"ignore": ServiceDown}, Busy(), True),
        ],
    )
    def test_of_exceptions(self, clock, is_async, own, error, fails):
        """
        If a function has a judgement of its own, it is in place of what the
        breaker says, one by one; the rest is the breaker's own.
        """
        breaker = CircuitBreaker(threshold=1, ignore=Busy, clock=clock)
        call = called(is_async, circuit_protected(breaker, **own), fail)

        with pytest.raises(type(error)):
            call(error)

        assert fails is breaker.is_open

    @pytest.mark.parametrize("is_async", [False, True])
    @pytest.mark.parametrize(
        ("own", "result", "fails"),
        [
            ({}, 500, True),
            ({}, 404, False),
            ({"failure_when": lambda status: status == 404}, 404, True),
            ({"failure_when": lambda status: status == 404}, 500, False),
            ({"failure_when": None}, 500, False),
            ({"ignore": Busy}, 500, True),
        ],
    )
    def test_of_results(self, clock, is_async, own, result, fails):
        """
        If returned values are judged, the function's own judgement is asked,
        or else the breaker's; the value is returned all the same.
        """
        breaker = CircuitBreaker(
            threshold=1, failure_when=lambda status: status >= 500, clock=clock
        )
        call = called(is_async, circuit_protected(breaker, **own), lambda it: it)

        # The first call finds its way, the second one knows it.
        assert 200 == call(200)
        assert result == call(result)

        assert fails is breaker.is_open

    def test_follows_the_breaker(self, breaker):
        """
        If the breaker is told to judge otherwise, a function follows in what
        it has no judgement of its own for.
        """
        call = circuit_protected(breaker, failure_when=None)(fail)
        breaker.reconfigure(ignore=ServiceDown)
        with pytest.raises(ServiceDown):
            call(ServiceDown())
        assert not breaker.is_open

        breaker.reconfigure(ignore=())
        with pytest.raises(ServiceDown):
            call(ServiceDown())
        assert breaker.is_open

    @pytest.mark.parametrize("is_async", [False, True])
    def test_a_predicate_that_raises(self, half_open, is_async):
        """
        If a predicate raises, that propagates, and the call is ignored.
        """
        own = circuit_protected(half_open, failure_when=lambda it: fail(Busy()))
        call = called(is_async, own, lambda it: it)

        with pytest.raises(Busy):
            call(1)

        assert 1 == half_open.snapshot().ignored
        assert not half_open.is_open

    @pytest.mark.parametrize("is_async", [False, True])
    def test_half_open_judges_too(self, half_open, is_async):
        """
        If a probe returns what is a failure, the circuit opens again.
        """
        own = circuit_protected(half_open, failure_when=lambda it: it >= 500)
        call = called(is_async, own, lambda it: it)

        assert 500 == call(500)

        assert half_open.is_open


class TestGenerations:
    @pytest.mark.parametrize("is_async", [False, True])
    def test_a_late_result_moves_nothing(self, breaker, is_async):
        """
        If the circuit moved on while a call was out, however it ends belongs
        to the past.
        """

        def late(error):
            breaker.reset()
            if error is not None:
                raise error

        call = called(is_async, circuit_protected(breaker), late)
        # The first call finds its way, the second one knows it.
        call(None)

        with pytest.raises(ServiceDown):
            call(ServiceDown())

        assert not breaker.is_open

    @pytest.mark.parametrize("is_async", [False, True])
    def test_a_late_success_resets_no_count(self, clock, is_async):
        """
        If failures were counted since the circuit moved on, a success of a
        call from before does not take them back.
        """
        breaker = CircuitBreaker(threshold=2, clock=clock)
        moves = []

        def late():
            for move in moves:
                move()

        call = called(is_async, circuit_protected(breaker), late)
        call()
        moves += [breaker.reset, breaker.record_failure]

        call()

        assert 1 == breaker.snapshot().failures

    def test_a_generator_that_ends_late_resets_no_count(self, clock):
        """
        If failures were counted since the circuit moved on, a generator from
        before that comes to its end does not take them back.
        """
        breaker = CircuitBreaker(threshold=2, clock=clock)

        @circuit_protected(breaker)
        def late():
            yield 1
            breaker.reset()
            breaker.record_failure()

        assert [1] == list(late())
        assert 1 == breaker.snapshot().failures

    @pytest.mark.parametrize("judges", ["failure_on", "failure_when"])
    def test_a_late_call_that_cannot_be_judged_is_no_probe(self, clock, judges):
        """
        If a call from before cannot be judged, as its predicate raises, it is
        no probe that was ignored.
        """

        def cannot_tell(_):
            raise LookupError

        breaker = CircuitBreaker(threshold=1, cooldown=30.0, clock=clock)

        @circuit_protected(breaker, **{judges: cannot_tell})
        def late():
            breaker.record_failure()
            clock.advance(30.0)
            assert not breaker.is_open
            if judges == "failure_on":
                raise ServiceDown

        with pytest.raises(LookupError):
            late()

        assert "half_open" == breaker.snapshot().state.value
        assert 1 == breaker.snapshot().ignored


class TestCancellation:
    def test_is_ignored_and_frees_the_slot(self, half_open):
        """
        If a probe is cancelled, it counts neither way, and another may try.
        """

        @circuit_protected(half_open)
        async def fetch(event):
            await event.wait()

        async def main():
            task = asyncio.create_task(fetch(asyncio.Event()))
            await asyncio.sleep(0)
            assert half_open.is_open
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not half_open.is_open
            event = asyncio.Event()
            event.set()
            await fetch(event)

        asyncio.run(main())

        snapshot = half_open.snapshot()
        assert (CircuitState.CLOSED, 1) == (snapshot.state, snapshot.ignored)

    def test_is_ignored_while_closed(self, breaker):
        """
        If a call is cancelled while the circuit is closed, it stays closed.
        """

        @circuit_protected(breaker)
        async def fetch():
            await asyncio.Event().wait()

        async def main():
            for _ in range(2):
                task = asyncio.create_task(fetch())
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        asyncio.run(main())

        snapshot = breaker.snapshot()
        assert (CircuitState.CLOSED, 2) == (snapshot.state, snapshot.ignored)

    def test_while_waiting_gives_the_place_back(self, registry, clock):
        """
        If a task is cancelled while it waits for its turn, no token is taken,
        no permit either.
        """
        fetch = protected(
            "p", registry=registry, calls_per_second=0.1, threshold=1, clock=clock
        )(asyncio.sleep)

        async def main():
            await fetch(0)
            task = asyncio.create_task(fetch(0))
            await somebody_sleeps(clock)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())

        clock.advance(10)
        limiter, breaker = registry.limiter("p"), registry.breaker("p")
        assert (0, 1) == (limiter.snapshot().waiting, limiter.snapshot().available)
        assert (1, 0) == (breaker.snapshot().admitted, breaker.snapshot().ignored)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_interruptions_are_ignored(self, breaker, error):
        """
        If the program is being ended, that is no failure of the service.
        """
        call = circuit_protected(breaker)(fail)

        for _ in range(2):
            with pytest.raises(error):
                call(error())

        assert not breaker.is_open
        assert 2 == breaker.snapshot().ignored

    def test_ctrl_c_while_waiting_gives_the_place_back(self, registry, clock):
        """
        If Ctrl-C interrupts the wait of a thread, it does so at once, and the
        place is free.
        """
        function = protected(
            "p", registry=registry, calls_per_second=0.1, threshold=1, clock=clock
        )(len)
        function("")

        interrupted = threading.Event()

        def handler(*_):
            if not interrupted.is_set():
                interrupted.set()
                raise KeyboardInterrupt

        def interrupt():
            clock.wait_for_sleepers(1)
            # Again, because CPython does not see a signal that comes right
            # before it blocks.
            while not interrupted.wait(0.01):
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        before = signal.signal(signal.SIGINT, handler)
        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                function("")
            interrupter.join(10)
        finally:
            signal.signal(signal.SIGINT, before)

        assert 0 == registry.limiter("p").snapshot().waiting
        assert 1 == registry.breaker("p").snapshot().admitted


@pytest.mark.parametrize("how", ["protected", "stacked"])
class TestBoth:
    """
    @protected, and @circuit_protected directly over @rate_limited.
    """

    @pytest.fixture
    def both(self, how, registry, clock):
        def make(function, *, rate=0.1, **settings):
            registry.limiter("p", calls_per_second=rate, clock=clock)
            registry.breaker("p", clock=clock, **settings)
            if how == "protected":
                return protected("p", registry=registry)(function)
            limited = rate_limited("p", registry=registry)(function)
            return circuit_protected("p", registry=registry)(limited)

        return make

    def test_refused_after_the_wait_gives_the_token_back(self, both, registry, clock):
        """
        If the circuit opens while a call waits for its turn, the call is
        refused at its turn, and its token is there for the next one.
        """
        function = both(asyncio.sleep, threshold=1)

        async def main():
            await function(0)
            task = asyncio.create_task(function(0))
            await somebody_sleeps(clock)
            registry.breaker("p").force_open("test")
            clock.advance(10)
            with pytest.raises(CircuitOpenError):
                await task

        asyncio.run(main())

        assert 1 == registry.limiter("p").snapshot().available

    def test_refused_after_the_wait_in_a_thread(self, both, registry, clock):
        """
        If the waiting call is a thread's, it is the same.
        """
        function = both(len, threshold=1)
        function("")

        def open_it():
            clock.wait_for_sleepers(1)
            registry.breaker("p").force_open("test")
            clock.advance(10)

        opener = threading.Thread(target=open_it)
        opener.start()
        with pytest.raises(CircuitOpenError):
            function("")
        opener.join(10)

        assert 1 == registry.limiter("p").snapshot().available

    def test_lease_starts_after_the_wait(self, both, registry, clock):
        """
        If a probe has to wait for its turn longer than a lease lasts, it still
        has all of it.
        """
        function = both(len, threshold=1, cooldown=1.0, probe_timeout=5.0)
        function("")
        registry.breaker("p").record_failure()
        clock.advance(1)

        advancer = threading.Thread(target=advance_for, args=(clock, 9.0))
        advancer.start()
        function("")
        advancer.join(10)

        assert CircuitState.CLOSED is registry.breaker("p").snapshot().state

    def test_duration_starts_after_the_wait(self, both, registry, clock):
        """
        If a call waits for its turn, the wait does not make it slow.
        """
        function = both(len, threshold=1, slow_call_seconds=1.0)
        function("")

        advancer = threading.Thread(target=advance_for, args=(clock, 10.0))
        advancer.start()
        function("")
        advancer.join(10)

        assert 0 == registry.breaker("p").snapshot().failed

    def test_a_refusal_of_the_limiter_is_no_outcome(self, both, registry):
        """
        If the limiter refuses, no permit was taken.
        """
        function = both(len)
        registry.limiter("p").close("shutting down")

        with pytest.raises(RateLimitExceeded, match="shutting down"):
            function("")

        assert 0 == registry.breaker("p").snapshot().admitted

    def test_looking_at_the_circuit_takes_no_slot(self, both, registry, clock):
        """
        If a probe waits for its turn, the circuit has admitted nothing yet
        and reopens for nobody; refused at its turn it has moved nothing.
        """
        function = both(len, threshold=1, cooldown=5.0)
        breaker, limiter = registry.breaker("p"), registry.limiter("p")
        limiter.try_acquire()
        breaker.record_failure()
        clock.advance(5)
        before = breaker.snapshot()

        for _ in range(3):
            limiter.close("test")
            with pytest.raises(RateLimitExceeded):
                function("")
            limiter.reopen()
            after = breaker.snapshot()

            assert CircuitState.HALF_OPEN is after.state
            assert (before.admitted, 0) == (after.admitted, after.ignored)
            assert 0 == after.probes_out

        clock.advance(10)

        assert 0 == function("")
        assert CircuitState.CLOSED is breaker.snapshot().state


class TestOrder:
    def test_retry_circuit_rate_limit_function(self, registry, clock):
        """
        If a retry is outermost, each try asks the circuit, then waits for its
        turn, then calls; a retry stops at an open circuit, without a token.
        """
        happened = []

        def retry(function):
            @functools.wraps(function)
            def call(*args):
                for _ in range(5):
                    try:
                        return function(*args)
                    except ServiceDown as error:
                        happened.append(type(error).__name__)
                    except CircuitOpenError:
                        happened.append("open")
                raise ServiceDown

            return call

        @retry
        @circuit_protected("p", threshold=2, clock=clock, registry=registry)
        @rate_limited(
            "p", calls_per_second=0.1, burst=5, clock=clock, registry=registry
        )
        def function():
            happened.append("called")
            raise ServiceDown

        with pytest.raises(ServiceDown):
            function()

        assert 2 * ["called", "ServiceDown"] + 3 * ["open"] == happened
        assert 3 == registry.limiter("p").snapshot().available
        assert registry.limiter("p") is limiter_of(function)
        assert registry.breaker("p") is breaker_of(function)

    def test_stacked_is_one_mechanism(self, limiter, breaker):
        """
        If a circuit is directly over a rate limit, the function is called from
        one closure; each decorator is still there to be looked at.
        """
        frames = []

        @circuit_protected(breaker)
        @rate_limited(limiter)
        def function():
            frame = inspect.currentframe().f_back
            while frame.f_globals is not globals():
                frames.append(frame.f_code.co_name)
                frame = frame.f_back

        function()

        assert ["call"] == frames
        assert limiter is function.limiter is function.__wrapped__.limiter

    def test_a_rate_limit_over_a_circuit_keeps_its_place(self, limiter, breaker):
        """
        If the rate limit is outside, it is asked first, and an open circuit
        costs a token.
        """

        @rate_limited(limiter)
        @circuit_protected(breaker)
        def function():
            pass

        breaker.force_open("test")
        with pytest.raises(CircuitOpenError):
            function()

        assert 0 == limiter.snapshot().available
        assert (limiter, breaker) == (limiter_of(function), breaker_of(function))
        assert breaker is function.breaker

    def test_two_of_a_kind(self, clock):
        """
        If there are two limits or two circuits, both hold.
        """
        outer, inner = RateLimiter(clock=clock), RateLimiter(clock=clock)
        hull, core = CircuitBreaker(clock=clock), CircuitBreaker(clock=clock)

        @circuit_protected(hull)
        @circuit_protected(core)
        @rate_limited(outer)
        @rate_limited(inner)
        def function():
            pass

        function()

        for limiter in (outer, inner):
            assert 1 == limiter.snapshot().admitted
        for breaker in (hull, core):
            assert 1 == breaker.snapshot().admitted
        assert (outer, hull) == (limiter_of(function), breaker_of(function))


class TestLimiterOf:
    def test_looks_through_what_is_around(self, limiter, breaker):
        """
        If the function is bound, in a class or static method, in a partial or
        wrapped by others, what protects it is found.
        """

        class Client:
            @circuit_protected(breaker)
            @rate_limited(limiter)
            def get(self):
                pass

            @rate_limited(limiter)
            @classmethod
            def name(cls):
                pass

        @functools.wraps(Client.get)
        def wrapper():
            pass

        assert breaker is Client().get.breaker
        for function in (Client().get, functools.partial(Client.get), wrapper):
            assert limiter is limiter_of(function)
            assert breaker is breaker_of(function)
        assert limiter is limiter_of(Client.name)
        assert limiter is limiter_of(vars(Client)["name"])
        assert limiter is Client.name.limiter

    def test_there_may_be_none(self, limiter):
        """
        If nothing of the kind protects the function, that is a TypeError.
        """
        function = rate_limited(limiter)(len)

        with pytest.raises(TypeError, match="has no breaker"):
            breaker_of(function)
        with pytest.raises(TypeError, match="has no limiter"):
            limiter_of(circuit_protected(CircuitBreaker())(len))
        with pytest.raises(TypeError, match="has no limiter"):
            limiter_of(len)
        with pytest.raises(AttributeError, match="breaker"):
            _ = function.breaker
        with pytest.raises(AttributeError, match="limiter"):
            _ = circuit_protected(CircuitBreaker())(len).limiter

    def test_key_is_given_when_there_is_one(self, limiter):
        """
        If the function has one limiter per key, the key says which; else a key
        would mean nothing.
        """
        limiters = Keyed(lambda key: RateLimiter())
        keyed = rate_limited(limiters, key="a")(len)

        assert limiters["b"] is limiter_of(keyed, key="b")
        with pytest.raises(TypeError, match=r"say limiter_of\(function, key="):
            limiter_of(keyed)
        with pytest.raises(TypeError, match=r"limiter_of\(\) takes no key"):
            limiter_of(rate_limited(limiter)(len), key=None)


class TestManyThreads:
    @pytest.mark.parametrize("probes", [1, 3])
    def test_half_open_admits_as_many_as_there_are_probes(self, clock, probes):
        """
        If 32 threads call together after a cooldown, exactly as many as there
        are probes reach the function while those are out.
        """
        breaker = CircuitBreaker(
            threshold=1,
            cooldown=30.0,
            half_open_probes=probes,
            successes_to_close=probes,
            clock=clock,
        )
        breaker.record_failure()
        clock.advance(30.0)
        reached, refused = [], threading.Semaphore(0)
        done = threading.Event()

        @circuit_protected(breaker)
        def function():
            reached.append(threading.get_ident())
            assert done.wait(10)

        def call():
            try:
                function()
            except CircuitOpenError:
                refused.release()

        def finish():
            for _ in range(32 - probes):
                assert refused.acquire(timeout=10)
            done.set()

        finisher = threading.Thread(target=finish)
        finisher.start()
        together(32, call)
        finisher.join(10)

        assert probes == len(set(reached))
        assert CircuitState.CLOSED is breaker.snapshot().state

    def test_no_call_is_lost_or_counted_twice(self, clock):
        """
        If 32 threads call a function that now and then fails, every call is
        admitted and every failure counted once.
        """
        breaker = CircuitBreaker(threshold=10**6, clock=clock)
        call = circuit_protected(breaker)(lambda fails: 1 / (not fails))

        def calls():
            for number in range(50):
                try:
                    call(number % 5 == 0)
                except ZeroDivisionError:
                    assert number % 5 == 0

        together(32, calls)

        snapshot = breaker.snapshot()
        assert (1600, 320) == (snapshot.admitted, snapshot.failed)


def called(is_async, decorate, function):
    """
    Return *function* decorated, as a function or as a coroutine function.
    """
    if not is_async:
        return decorate(function)

    async def coroutine(*args):
        return function(*args)

    decorated_coroutine = decorate(coroutine)
    return lambda *args: asyncio.run(decorated_coroutine(*args))


def together(count, function):
    """
    Call *function* from *count* threads at once, and pass on what they raise.
    """
    barrier = threading.Barrier(count)
    errors = []

    def run():
        barrier.wait(10)
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors


def advance_for(clock, seconds):
    """
    Move *clock* once somebody sleeps by it.
    """
    clock.wait_for_sleepers(1)
    clock.advance(seconds)


async def somebody_sleeps(clock):
    """
    Let the loop go on until somebody waits for *clock* to be moved.
    """
    while not clock.sleepers:  # noqa: ASYNC110 -- the clock knows no events
        await asyncio.sleep(0)
