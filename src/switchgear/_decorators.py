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

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, cast

import wrapt

from switchgear import _registry, _validate
from switchgear._breaker import CircuitBreaker
from switchgear._calls import (
    Circuit,
    Kind,
    Limit,
    Lookup,
    Own,
    circuit_call,
    kind_of,
    limited_call,
    protected_call,
    verdicts,
)
from switchgear._keyed import Keyed
from switchgear._limiter import RateLimiter
from switchgear._registry import Cell, Registry, caller


if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from switchgear._calls import Function
    from switchgear._core.outcomes import Matcher


F = TypeVar("F", bound="Callable[..., Any] | classmethod[Any, Any, Any]")
T = TypeVar("T", RateLimiter, CircuitBreaker)

#: The judgement is left to the breaker.
OWN: Final = Own.BREAKER


class Decorator(Protocol):
    """
    Protect a function and leave its type as it is.
    """

    def __call__(self, function: F, /) -> F:
        """
        Return what stands in for *function*.
        """
