"""
Protect the requests of a client, whichever client that is.

A client's own file says what host a request goes to, which of its errors are
faults of that host, and what refusals are called there; and it tells an *exchange*
how one request went.
"""

# ruff: noqa: SLF001 -- a client's requests and their registry are one mechanism

from __future__ import annotations

import random
import time

from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    NamedTuple,
    TypeVar,
)

from switchgear import _registry
from switchgear._attempts import Trial, Turn, TurnAndTrial, Unjudged
from switchgear._caller import caller
from switchgear._definition import SHARED, kept, split
from switchgear._entry import DEFINABLE
from switchgear._failure import countersign
from switchgear._kinds import checked_function, checked_tokens
from switchgear._registry import Registry
from switchgear._validate import (
    fraction,
    nanoseconds,
    optional_seconds,
    required_name,
)
from switchgear._validate import seconds as checked_seconds
from switchgear.errors import (
    BurstExceeded,
    CallNotPermitted,
    CircuitOpenError,
    RateLimitExceeded,
)
from switchgear.events import CircuitState
from switchgear.http.hints import server_hint
from switchgear.http.meaning import Meaning, StatusError, meaning_of


R = TypeVar("R")


if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from typing import NoReturn, Unpack

    from switchgear._attempts import Attempt
    from switchgear._breaker import CircuitBreaker
    from switchgear._core.outcomes import Matcher
    from switchgear._definition import ProtectedDefinition
    from switchgear._limiter import RateLimiter
    from switchgear.http.hints import Hint

    class Definition(ProtectedDefinition, total=False):
        """
        Define a limiter and a breaker; what is no exception, *meaning* judges.
        """

        failure_on: Matcher
        ignore: Matcher

    class Options(Definition, Generic[R], total=False):
        """
        What :class:`ProtectedClient` takes beside a name.
        """

        key: Callable[[R], Hashable] | Literal["host"] | None
        name_resolver: Callable[[R], str | None] | None
        tokens: int | Callable[[R], int]
        timeout: float | None
        meaning: Callable[[int, Hint], Meaning]
        whole_body: bool
        max_pause: float
        pause_jitter: float
        registry: Registry | None


#: The longest a server may have its limiter paused, and how much longer than asked
#: that may be, so that not everybody comes back at once.
MAX_PAUSE: Final = 120.0
PAUSE_JITTER: Final = 0.1


class Client(NamedTuple):
    """
    Say what is peculiar to one HTTP client.
    """

    #: What its refusals are called.
    circuit_open: type[CircuitOpenError]
    rate_limited: type[RateLimitExceeded]
    burst_exceeded: type[BurstExceeded]
    #: The host of a request, with its port unless that is the usual one.
    host_of: Callable[[Any], str]
    #: Answers whether an error of a call says something about the host; if not it
    #: was made here.
    is_remote: Callable[[Exception], bool]


class ProtectedClient(Generic[R]):
    """
    Protect every request of an HTTP client: what all that do so have in common.

    Each request is looked at by the circuit, waits for its turn, and is judged by
    what comes back: see :class:`switchgear.http.Meaning`. Mistakes made here, such as
    an unsupported scheme or an exhausted pool, never count against a host. Each hop
    of a redirect is a request to its own host. Safe to share between threads and
    event loops, as far as the client is.

    Args:
        name: What limiter and breaker are called in *registry*, where they are
            looked up for each request; one of the two may be missing.
        key: Makes the named definitions templates with an instance per key:
            ``"host"``, a function of the request, or None for one instance for all.
        name_resolver: The name, from a request, in place of *name*; a request for
            which it returns None is not protected.
        tokens: How many a request takes: an int of at least 1, or a function of
            the request.
        timeout: How many seconds a request waits for its turn at the most; 0 is now
            or refuse, None for ever.
        meaning: What a response means, from its status and what its headers say.
            By default :func:`switchgear.http.meaning_of`.
        whole_body: Whether a call lasts until its response was read or closed, so
            that one that breaks off is a failure. False: until its headers are
            there, as befits streams without end.
        max_pause: The longest a server may have its limiter paused, or its circuit
            kept open, in seconds, jitter left aside; greater than zero. If it asks
            for more, requests that come until then are refused at once, and say as
            ``retry_after`` what it asked for.
        pause_jitter: By how much a pause may be longer than asked, 0 to 1: 0.1 is
            up to 10 %, so that not everybody comes back at once.
        registry: Where names are looked up; None for the default one.
        definition: Settings of :class:`switchgear.RateLimiter` and
            :class:`switchgear.CircuitBreaker`, as for
            :func:`switchgear.protected`: what *name* is defined as, in code. Of
            exceptions, *failure_on* and *ignore* judge those that may be the host's.

    Raises:
        TypeError, ValueError: If an argument is of the wrong type or out of its
            range.
        ConfigurationError: If *definition* is not the one the name has.

    A request that is not made raises what its client's own errors and one of
    :class:`switchgear.CircuitOpenError`, :class:`switchgear.RateLimitExceeded` and
    :class:`switchgear.BurstExceeded` have in common.

    .. versionadded:: 0.1.0
    """

    _client: ClassVar[Client]

    def __init__(
        self,
        name: str,
        *,
        key: Callable[[R], Hashable] | Literal["host"] | None = "host",
        name_resolver: Callable[[R], str | None] | None = None,
        tokens: int | Callable[[R], int] = 1,
        timeout: float | None = None,
        meaning: Callable[[int, Hint], Meaning] = meaning_of,
        whole_body: bool = True,
        max_pause: float = MAX_PAUSE,
        pause_jitter: float = PAUSE_JITTER,
        registry: Registry | None = None,
        **definition: Unpack[Definition],
    ) -> None:
        self._protection = Protection(
            self._client,
            name,
            key=key,
            name_resolver=name_resolver,
            tokens=tokens,
            timeout=timeout,
            meaning=meaning,
            whole_body=whole_body,
            max_pause=max_pause,
            pause_jitter=pause_jitter,
            registry=registry,
            definition=definition,
        )

    def __reduce__(self) -> NoReturn:
        msg = f"a {type(self).__name__} cannot be pickled or copied: make another one"
        raise TypeError(msg)


class Protection:
    """
    Know what protects the requests of one client.

    Takes what :class:`ProtectedClient` does.
    """

    __slots__ = (
        "_client",
        "_definitions",
        "_home",
        "_key",
        "_max_pause",
        "_pause_jitter",
        "_place",
        "_resolver",
        "_timeout",
        "_tokens",
        "is_remote",
        "meaning",
        "name",
        "whole_body",
    )

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        key: Any,
        name_resolver: Any,
        tokens: Any,
        timeout: float | None,
        meaning: Any,
        whole_body: Any,
        max_pause: float,
        pause_jitter: float,
        registry: Any,
        definition: Any,
    ) -> None:
        self._client = client
        self.name = required_name("name", name)
        #: Which of the keyed ones, from a request; None: there is but one.
        self._key = client.host_of if key == "host" else _key(key)
        self._resolver = _optional("name_resolver", name_resolver)
        self._tokens = checked_tokens(tokens)
        self._timeout = optional_seconds("timeout", timeout)
        self.meaning = _function("meaning", meaning)
        if not isinstance(whole_body, bool):
            msg = f"whole_body must be a bool, not {whole_body!r}"
            raise TypeError(msg)
        self.whole_body = whole_body
        self._max_pause = checked_seconds("max_pause", max_pause, above=True)
        self._pause_jitter = fraction("pause_jitter", pause_jitter, above=False)
        home: Any = _registry.registry if registry is None else registry
        if not isinstance(home, Registry):
            msg = f"registry must be a Registry, not {registry!r}"
            raise TypeError(msg)
        self._home = home
        self.is_remote = client.is_remote
        if "failure_when" in definition:
            msg = "failure_when judges results of functions; say meaning for responses"
            raise TypeError(msg)
        if definition and not definition.keys() - SHARED:
            msg = (
                f"{', '.join(definition)}: of what? Say a setting of the limiter or of"
                " the breaker as well"
            )
            raise TypeError(msg)
        self._place = caller()
        #: What is defined here, by kind.
        self._definitions = {
            kind: kept(one)
            for kind, one in zip(DEFINABLE, split(definition), strict=True)
            if one.keys() - SHARED
        }
        for kind, one in self._definitions.items():
            # Whoever makes the client learns of a mistake, not its first call.
            home._define(kind, self.name, one, self._place)

    def exchange(self, request: Any) -> Exchange | None:
        """
        Return what is to be told of *request*; None if it is not protected.

        Raises:
            UnknownNameError: If neither a limiter nor a breaker has its name.
        """
        ask = self._resolver
        name = self.name
        if ask is not None:
            name = ask(request)
            if name is None:
                return None
            name = required_name("name_resolver", name)
        key = None if self._key is None else self._key(request)
        limiter = self._found("limiter", name, key)
        breaker = self._found("breaker", name, key)
        if limiter is None:
            if breaker is None:
                raise self._home._unknown(name, "limiter", "breaker")
            return Exchange(self, None, breaker, Trial(breaker, None))
        tokens = (
            self._tokens if isinstance(self._tokens, int) else self._tokens(request)
        )
        timeout = self._timeout
        if limiter._still_asked():
            # Nobody is to wait for what comes to an end before its time.
            timeout = 0.0
        attempt: Attempt
        if breaker is None:
            attempt = Turn(limiter, tokens, timeout)
        else:
            attempt = TurnAndTrial(breaker, None, limiter, tokens, timeout)
        return Exchange(self, limiter, breaker, attempt)

    def _found(self, kind: str, name: str, key: Hashable) -> Any:
        home = self._home
        if not home._knows(kind, name):
            definition = self._definitions.get(kind)
            if definition is None or name != self.name:
                return None
            # It was removed since, or was defined in a block that is over.
            home._define(kind, name, definition, self._place)
        if self._key is None:
            return home._instance(kind, name, {})
        return home._template(kind, name, {})[key]

    def pause(self, limiter: RateLimiter | None, asked: float) -> float:
        """
        Obey a server that asked for a pause; return how long that will be.
        """
        chance = random.random()  # noqa: S311 -- no secret
        length = min(asked, self._max_pause) * (1.0 + self._pause_jitter * chance)
        if limiter is not None:
            limiter._pause(length, asked)
        return length

    def refusal(
        self,
        limiter: RateLimiter | None,
        breaker: CircuitBreaker | None,
        refused: CallNotPermitted,
    ) -> CallNotPermitted:
        """
        Return *refused* as the client would say it.
        """
        client, name = self._client, refused.name
        if isinstance(refused, BurstExceeded):
            return client.burst_exceeded(
                name, tokens=refused.tokens, burst=refused.burst
            )
        retry_after = refused.retry_after
        if retry_after is not None and limiter is not None:
            # What the server said, not what it got.
            retry_after = max(retry_after, limiter._still_asked())
        if isinstance(refused, CircuitOpenError):
            failure = refused.last_failure
            if (
                isinstance(failure, StatusError)
                and breaker is not None
                and retry_after is not None
                and refused.state is CircuitState.OPEN
            ):
                left_ns = failure._asked_until_ns - breaker._now()
                retry_after = max(retry_after, left_ns / 1e9)
            error = client.circuit_open(
                name, refused.state, retry_after, refused.last_failure
            )
            countersign(error, refused)
            return error
        return client.rate_limited(name, retry_after, _reason(refused))


class Exchange:
    """
    Be told how one request went. By one thread or task at a time.
    """

    __slots__ = ("_attempt", "_breaker", "_limiter", "_protection")

    def __init__(
        self,
        protection: Protection,
        limiter: RateLimiter | None,
        breaker: CircuitBreaker | None,
        attempt: Attempt,
    ) -> None:
        self._protection = protection
        self._breaker = breaker
        self._limiter = limiter
        self._attempt: Any = attempt

    def enter(self) -> None:
        """
        Return when the request may be made, or raise its refusal.
        """
        try:
            self._attempt.enter()
        except CallNotPermitted as refused:
            refusal = self._refusal(refused)
        else:
            return
        # Out here it has no context, which would keep the other one; and no name, which
        # would keep it in a cycle.
        try:
            raise refusal
        finally:
            del refusal

    async def enter_async(self) -> None:
        """
        Return when the request may be made, or raise its refusal.
        """
        try:
            await self._attempt.enter_async()
        except CallNotPermitted as refused:
            refusal = self._refusal(refused)
        else:
            return
        try:
            raise refusal
        finally:
            del refusal

    def _refusal(self, refused: CallNotPermitted) -> CallNotPermitted:
        return self._protection.refusal(self._limiter, self._breaker, refused)

    def raised(self, error: BaseException) -> None:
        """
        Note that the request, or reading its response, ended with *error*.
        """
        attempt = self._last_word()
        if isinstance(error, Exception) and not self._protection.is_remote(error):
            attempt.ignored()
        else:
            attempt.raised(error)

    def answered(self, status: int, headers: Mapping[str, str]) -> bool:
        """
        Note what came back; answer whether reading it is part of the call.

        If so, :meth:`raised` or :meth:`ended` is to follow.
        """
        protection = self._protection
        if status < 400 and protection.meaning is meaning_of:  # noqa: PLR2004 -- the first that is an error
            meaning, asked = Meaning.SUCCESS, None
        else:
            hint = server_hint(status, headers, time.time())
            asked = hint.retry_after
            try:
                meaning = protection.meaning(status, hint)
                if not isinstance(meaning, Meaning):
                    msg = f"meaning must return a Meaning, not {meaning!r}"
                    raise TypeError(msg)
            except BaseException:
                self._last_word().ignored()
                raise
        if meaning is Meaning.SUCCESS:
            # What follows 101 is no response.
            if protection.whole_body and status != 101:  # noqa: PLR2004 -- as above
                return True
            self.ended()
        elif meaning is Meaning.IGNORED:
            self._last_word().ignored()
        else:
            attempt, length = self._last_word(), None
            if asked is not None:
                length = protection.pause(self._limiter, asked)
            if meaning is Meaning.FAILURE:
                error = StatusError(status, asked)
                if asked is not None and self._breaker is not None:
                    error._asked_until_ns = self._breaker._now() + nanoseconds(asked)
                attempt.failed(error, length)
            else:
                attempt.ignored()
        return False

    def ended(self) -> None:
        """
        Note that the response was read, or closed by whoever did not want more.
        """
        self._last_word().ended()

    def _last_word(self) -> Any:
        attempt, self._attempt = self._attempt, _TOLD
        return attempt


#: Stands in for an attempt of which was told how it went.
_TOLD: Final = Unjudged()


def _reason(refused: CallNotPermitted) -> str:
    return refused.reason if isinstance(refused, RateLimitExceeded) else str(refused)


def _key(given: Any) -> Any:
    if given is not None and not callable(given):
        msg = f'key must be "host", a function of the request, or None, not {given!r}'
        raise TypeError(msg)
    return _optional("key", given)


def _function(name: str, given: Any) -> Any:
    if not callable(given):
        msg = f"{name} must be a function, not {given!r}"
        raise TypeError(msg)
    return checked_function(name, given)


def _optional(name: str, given: Any) -> Any:
    return None if given is None else _function(name, given)
