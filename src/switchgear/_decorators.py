"""
Protect functions: ``@rate_limited``, ``@circuit_protected``, ``@protected``.

What a protected call does is in :mod:`switchgear._calls`; here is who stands
in for the function, and how its protection is found. The order that makes
sense, outermost first:

.. code-block:: text

    retry               each try goes through all of this again
      └─ circuit        an open one refuses at once, and costs no token
           └─ rate limit    waits for its turn, and for nothing else
                └─ function     the lease of a probe starts here
"""

# ruff: noqa: SLF001 -- a decorated call and its registry are one mechanism

from __future__ import annotations

from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

import wrapt

from switchgear import _registry, _validate
from switchgear._attempts import Circuit, Limit, Lookup, Own, verdicts
from switchgear._breaker import CircuitBreaker
from switchgear._caller import caller
from switchgear._calls import circuit_call, limited_call, protected_call
from switchgear._definition import split
from switchgear._entry import Cell
from switchgear._keyed import Keyed
from switchgear._kinds import checked_function, checked_tokens
from switchgear._limiter import RateLimiter
from switchgear._registry import Registry


if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Unpack

    from switchgear._core.outcomes import Matcher
    from switchgear._definition import (
        CircuitDefinition,
        LimiterDefinition,
        ProtectedDefinition,
    )
    from switchgear._kinds import Function

F = TypeVar("F", bound="Callable[..., Any] | classmethod[Any, Any, Any]")
T = TypeVar("T", RateLimiter, CircuitBreaker)

#: The judgement is left to the breaker.
OWN: Final = Own.BREAKER


if TYPE_CHECKING:

    class Decorator(Protocol):
        """
        Protect a function and leave its type as it is.
        """

        def __call__(self, function: F, /) -> F:
            """
            Return what stands in for *function*.
            """
            ...


def rate_limited(
    limiter_or_name: RateLimiter | Keyed[RateLimiter] | str,
    *,
    tokens: int | Callable[..., int] = 1,
    key: Hashable | Callable[..., Hashable] = None,
    timeout: float | None = None,
    registry: Registry | None = None,
    **definition: Unpack[LimiterDefinition],
) -> Decorator:
    """
    Make each call of a function wait for its turn.

    Works on functions, methods, static and class methods (inside or outside),
    coroutine functions, partials, callables and both kinds of generators,
    whose turn is awaited when the first item is asked for. Signature, type
    and documentation stay the function's own; ``.limiter`` is there at run
    time, :func:`limiter_of` is the typed way to it.

    Args:
        limiter_or_name: A limiter, the ``Keyed`` ones if *key* is given, or
            the name of one in *registry*, looked up when first called.
        tokens: How many a call takes: an int of at least 1, or a function of
            the arguments of the call, ``self`` included.
        key: Makes the named definition a template, with one limiter per key:
            a hashable value, or a function of the arguments of the call.
        timeout: How many seconds to wait at the most; 0 is now or refuse,
            None for ever.
        registry: Where the name is looked up; None for the default one.
        definition: Settings of :class:`RateLimiter`: the name is defined now,
            in code. All definitions of one name must be equal.

    Raises:
        TypeError, ValueError: If an argument is of the wrong type or out of
            its range; also when decorating what cannot be protected, such as
            a class or a property.
        ConfigurationError: If *definition* is not the one the name has.

    The call itself raises :class:`RateLimitExceeded` or
    :class:`BurstExceeded` if it is not made.

    .. versionadded:: 0.1.0
    """
    limit = Limit(
        _lookup(
            "rate_limited", RateLimiter, limiter_or_name, key, registry, definition
        ),
        checked_tokens(tokens),
        _validate.optional_seconds("timeout", timeout),
    )

    def decorate(function: F, /) -> F:
        return _protect("rate_limited", function, limit, None)

    return decorate


def circuit_protected(
    breaker_or_name: CircuitBreaker | Keyed[CircuitBreaker] | str,
    *,
    key: Hashable | Callable[..., Hashable] = None,
    fallback: Callable[..., Any] | None = None,
    failure_on: Matcher | Own = OWN,
    failure_when: Callable[[Any], bool] | Own | None = OWN,
    ignore: Matcher | Own = OWN,
    registry: Registry | None = None,
    **definition: Unpack[CircuitDefinition],
) -> Decorator:
    """
    Refuse the calls of a function while its circuit is open, else judge them.

    Directly over :func:`rate_limited` the two work as one, as
    :func:`protected` does. Outermost first:

    .. code-block:: text

        retry               each try goes through all of this again
          └─ circuit        an open one refuses at once, and costs no token
               └─ rate limit    waits for its turn, and for nothing else
                    └─ function     the lease of a probe starts here

    Works on what :func:`rate_limited` works on. For a generator the guard
    spans the iteration, from the first item asked for: an error on the way is
    a failure, and closing early is a success. A plain function that returns a
    coroutine or a generator is judged by how that ends, if it did so when it
    first returned; one that returns anything else, a future say, is done then.

    Args:
        breaker_or_name: A breaker, the ``Keyed`` ones if *key* is given, or
            the name of one in *registry*, looked up when first called.
        key: Makes the named definition a template, with one breaker per key:
            a hashable value, or a function of the arguments of the call.
        fallback: ``fallback(exc, *args, **kwargs)`` answers calls that were
            *refused*, and no others. A coroutine function only for coroutine
            functions; for a generator it returns what to iterate over.
        failure_on: Which exceptions are failures, in place of what the
            breaker says.
        failure_when: Which returned values are, in place of what the breaker
            says; None for none. Not for generators, which return none.
        ignore: Which exceptions count neither way, in place of what the
            breaker says.
        registry: Where the name is looked up; None for the default one.
        definition: Settings of :class:`CircuitBreaker`: the name is defined
            now, in code. All definitions of one name must be equal.

    Raises:
        TypeError, ValueError: If an argument is of the wrong type or out of
            its range; also when decorating what cannot be protected, such as
            a class, a property, or a function with a coroutine function as
            *fallback*.
        ConfigurationError: If *definition* is not the one the name has.

    The call itself raises :class:`CircuitOpenError` if it is not made.

    .. versionadded:: 0.1.0
    """
    circuit = Circuit(
        _lookup(
            "circuit_protected",
            CircuitBreaker,
            breaker_or_name,
            key,
            registry,
            definition,
        ),
        verdicts(failure_on, ignore, failure_when),
        _checked_fallback(fallback),
    )

    def decorate(function: F, /) -> F:
        return _protect("circuit_protected", function, None, circuit)

    return decorate


def protected(
    name: str,
    *,
    tokens: int | Callable[..., int] = 1,
    key: Hashable | Callable[..., Hashable] = None,
    timeout: float | None = None,
    fallback: Callable[..., Any] | None = None,
    failure_on: Matcher | Own = OWN,
    failure_when: Callable[[Any], bool] | Own | None = OWN,
    ignore: Matcher | Own = OWN,
    registry: Registry | None = None,
    **definition: Unpack[ProtectedDefinition],
) -> Decorator:
    """
    Protect a function with the circuit and the limiter of one name.

    The circuit is looked at, the turn awaited, a permit taken, the call made:
    an open circuit costs no token, and neither the lease of a probe nor the
    duration of the call includes the wait. If the circuit opened meanwhile,
    the call is refused and its tokens are given back.

    Args:
        name: The name of both in *registry*, looked up when first called.
        tokens: As for :func:`rate_limited`.
        key: As for :func:`rate_limited`, for both.
        timeout: As for :func:`rate_limited`.
        fallback: As for :func:`circuit_protected`; answers refusals of both.
        failure_on: As for :func:`circuit_protected`.
        failure_when: As for :func:`circuit_protected`.
        ignore: As for :func:`circuit_protected`.
        registry: Where the name is looked up; None for the default one.
        definition: Settings of :class:`RateLimiter` and of
            :class:`CircuitBreaker`; *clock*, *max_keys* and *store* are for
            both. Each is defined only if there is a setting for it.

    Raises:
        TypeError, ValueError: As for the two others.
        ConfigurationError: If *definition* is not the one the name has.

    The call itself raises :class:`CircuitOpenError`,
    :class:`RateLimitExceeded` or :class:`BurstExceeded` if it is not made.

    .. versionadded:: 0.1.0
    """
    if not isinstance(name, str):
        raise TypeError(_not_taken("protected", "a name", name))
    for_limiter, for_breaker = split(definition)
    limit = Limit(
        _lookup("protected", RateLimiter, name, key, registry, for_limiter),
        checked_tokens(tokens),
        _validate.optional_seconds("timeout", timeout),
    )
    circuit = Circuit(
        _lookup("protected", CircuitBreaker, name, key, registry, for_breaker),
        verdicts(failure_on, ignore, failure_when),
        _checked_fallback(fallback),
    )

    def decorate(function: F, /) -> F:
        return _protect("protected", function, limit, circuit)

    return decorate


def limiter_of(function: Callable[..., Any], *, key: Hashable = ...) -> RateLimiter:
    """
    Return the limiter of a function decorated here.

    Looks through bound methods and through other decorators that tell what
    they wrap; the outermost limiter is returned.

    Args:
        function: What :func:`rate_limited` or :func:`protected` returned.
        key: Which one, for a function with one limiter per key.

    Raises:
        TypeError: If there is none, or one per key and no *key* is given, or
            the other way round.
        UnknownNameError: If its name is not defined.

    .. versionadded:: 0.1.0
    """
    return _instance_of(function, RateLimiter, key)


def breaker_of(function: Callable[..., Any], *, key: Hashable = ...) -> CircuitBreaker:
    """
    Return the breaker of a function decorated here.

    Looks through bound methods and through other decorators that tell what
    they wrap; the outermost breaker is returned.

    Args:
        function: What :func:`circuit_protected` or :func:`protected` returned.
        key: Which one, for a function with one breaker per key.

    Raises:
        TypeError: If there is none, or one per key and no *key* is given, or
            the other way round.
        UnknownNameError: If its name is not defined.

    .. versionadded:: 0.1.0
    """
    return _instance_of(function, CircuitBreaker, key)


# -- Who stands in for the function ----------------------------------------------


class Protected(wrapt.BaseObjectProxy[Any]):
    """
    Stand in for a function; be called, and in all else be the function.

    ``__call__`` is a *slot*: a call finds the closure there without a frame
    of ours, and without wrapt's own way, which costs twice as much. What is
    ours has names that begin with ``_self_``: others would be set on the
    user's function.
    """

    __slots__ = ("__call__", "_self_circuit", "_self_limit")

    if TYPE_CHECKING:
        # What mypy and pyright do not see in a slot.
        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def __init__(
        self,
        function: Function,
        call: Function,
        limit: Limit | None,
        circuit: Circuit | None,
    ) -> None:
        super().__init__(function)
        _set_call(self, call)
        self._self_limit = limit
        self._self_circuit = circuit

    @property
    def limiter(self) -> RateLimiter | Keyed[RateLimiter]:
        """
        The limiter, or the container of those per key.
        """
        if self._self_limit is None:
            # wrapt goes on to ask the function, which may have one.
            raise AttributeError(name="limiter", obj=self)
        return self._self_limit.lookup.held()

    @property
    def breaker(self) -> CircuitBreaker | Keyed[CircuitBreaker]:
        """
        The breaker, or the container of those per key.
        """
        if self._self_circuit is None:
            raise AttributeError(name="breaker", obj=self)
        return self._self_circuit.lookup.held()

    def __copy__(self) -> Protected:
        return self

    def __deepcopy__(self, memo: dict[int, Any], /) -> Protected:
        return self

    def __reduce__(self) -> str:
        """
        Pickle as functions do: by name.
        """
        name = getattr(self.__wrapped__, "__qualname__", None)
        if not isinstance(name, str):
            msg = f"{self!r} cannot be pickled: it has no qualified name"
            raise TypeError(msg)
        return name

    def __reduce_ex__(self, protocol: Any, /) -> str:
        return self.__reduce__()

    def __repr__(self) -> str:
        return f"<protected {self.__wrapped__!r}>"


class ProtectedFunction(Protected):
    """
    Stand in for what becomes a method when it is found in a class.
    """

    __slots__ = ()

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)


_set_call: Final = Protected.__dict__["__call__"].__set__


def _protect(
    decorator: str, function: F, limit: Limit | None, circuit: Circuit | None
) -> F:
    if isinstance(function, (classmethod, staticmethod)):
        # Ours goes inside: both make a method of what they hold.
        inside: Any = _protect(decorator, function.__func__, limit, circuit)
        return cast("F", type(function)(inside))
    _refuse_unprotectable(decorator, function)
    inner: Any = function
    target: Any = function
    if limit is None and isinstance(inner, Protected) and inner._self_circuit is None:
        # Directly over @rate_limited: one mechanism, not two.
        limit, target = inner._self_limit, inner.__wrapped__
    if circuit is None:
        call = limited_call(target, cast("Limit", limit))
    elif limit is None:
        call = circuit_call(target, circuit)
    else:
        call = protected_call(target, limit, circuit)
    made = ProtectedFunction if _becomes_method(function) else Protected
    return cast("F", made(inner, call, limit, circuit))


def _becomes_method(function: Any) -> bool:
    # Partials and callable objects do not, and bound methods are bound.
    return hasattr(type(function), "__get__") and not isinstance(function, MethodType)


def _refuse_unprotectable(decorator: str, function: Any) -> None:
    if isinstance(function, type):
        msg = (
            f"@{decorator} cannot protect a class: {function!r}; decorate its"
            " methods, or a function that makes instances"
        )
        raise TypeError(msg)
    if isinstance(function, property):
        msg = (
            f"@{decorator} cannot protect a property: {function!r}; decorate the"
            f" function, with @{decorator} under @property"
        )
        raise TypeError(msg)
    if not callable(function):
        msg = f"@{decorator} can only protect what can be called, not {function!r}"
        raise TypeError(msg)


# -- What its arguments mean ---------------------------------------------------


def _lookup(
    decorator: str,
    kind: type[T],
    given: T | Keyed[T] | str,
    key: Hashable | Callable[..., Hashable],
    registry: Registry | None,
    definition: Any,
) -> Lookup[T]:
    """
    Return what finds the instance of *kind*, by name or because it is given.
    """
    key_of = _checked_key(key)
    if isinstance(given, str):
        return _lookup_by_name(kind, given, key_of, registry, definition)
    wanted = kind if key_of is None else Keyed
    if not isinstance(given, wanted):
        each = "a" if key_of is None else "a Keyed, each a"
        taken = f"{each} {kind.__name__}, or a name"
        raise TypeError(_not_taken(decorator, taken, given))
    if definition or registry is not None:
        surplus = ", ".join(definition) or "registry"
        msg = f"{decorator}() takes {surplus} with a name, not with {given!r}"
        raise TypeError(msg)
    cell = Cell(_KINDS[kind], "", {}, "", keyed=key_of is not None)
    cell.instance = given
    # Full for ever: no registry knows this cell.
    return Lookup(cell, _registry.registry._resolve, key_of)


def _lookup_by_name(
    kind: type[T],
    name: str,
    key_of: Callable[..., Hashable] | None,
    registry: Registry | None,
    definition: Any,
) -> Lookup[T]:
    _validate.required_name("name", name)
    home = _registry.registry if registry is None else registry
    if not isinstance(home, Registry):
        msg = f"registry must be a Registry, not {registry!r}"
        raise TypeError(msg)
    cell = Cell(_KINDS[kind], name, definition, caller(), keyed=key_of is not None)
    if definition:
        # Whoever imports the module learns of a mistake, not the first caller.
        home._define(cell.kind, name, cell.definition, cell.place)
    return Lookup(cell, home._resolve, key_of)


#: What the registry calls them.
_KINDS: Final[dict[type, str]] = {RateLimiter: "limiter", CircuitBreaker: "breaker"}


def _not_taken(decorator: str, taken: str, given: Any) -> str:
    hint = f"; was it @{decorator} without parentheses?" if callable(given) else ""
    return f"{decorator}() takes {taken}, not {given!r}{hint}"


def _checked_key(key: Any) -> Callable[..., Hashable] | None:
    if key is None:
        return None
    if callable(key):
        return checked_function("key", key)
    try:
        hash(key)
    except TypeError:
        msg = f"key must be hashable, or a function of the arguments, not {key!r}"
        raise TypeError(msg) from None
    return lambda *_, **__: key


def _checked_fallback(fallback: Any) -> Any:
    if fallback is not None and not callable(fallback):
        msg = f"fallback must be a function(exc, *args, **kwargs), not {fallback!r}"
        raise TypeError(msg)
    return fallback


# -- What protects a function --------------------------------------------------


def _instance_of(function: Any, kind: type[T], key: Hashable) -> T:
    name = _KINDS[kind]
    lookup: Lookup[T] | None = _lookup_of(function, kind)
    if lookup is None:
        msg = f"{function!r} has no {name}: it was not decorated with one"
        raise TypeError(msg)
    if lookup.key is None:
        if key is not ...:
            msg = f"{function!r} has one {name} for all calls: {name}_of() takes no key"
            raise TypeError(msg)
        return cast("T", lookup.held())
    if key is ...:
        msg = f"{function!r} has one {name} per key: say {name}_of(function, key=...)"
        raise TypeError(msg)
    return cast("Keyed[T]", lookup.held())[key]


def _lookup_of(function: Any, kind: type[T]) -> Any:
    """
    Walk inwards to the first function that is protected by one of *kind*.
    """
    while function is not None:
        if isinstance(function, Protected):
            stand_in: Protected = function
            limit, circuit = stand_in._self_limit, stand_in._self_circuit
            part = {"limiter": limit, "breaker": circuit}[_KINDS[kind]]
            if part is not None:
                return part.lookup
        function = _inside(function)
    return None


def _inside(function: Any) -> Any:
    if isinstance(function, partial):
        return function.func
    # First what a bound method is of: it answers for that with the rest.
    return getattr(function, "__func__", None) or getattr(function, "__wrapped__", None)
