"""
Failures that are kept: their text, and what they would keep with them.
"""

from __future__ import annotations

from typing import Final

from switchgear.errors import CircuitOpenError


# How a refusal is recognised as one of a certain breaker.
_ISSUER: Final = "_issuer"

# How far the history of a failure is looked through.
_MAX_LINKS: Final = 100

# How much of an exception's text is kept.
_MAX_TEXT: Final = 200


def sign(refusal: CircuitOpenError, mark: object) -> None:
    """
    Note which breaker *refusal* is of. The note is not pickled.
    """
    refusal.__dict__[_ISSUER] = mark


def countersign(refusal: CircuitOpenError, other: CircuitOpenError) -> None:
    """
    Note that *refusal* is of the same breaker as *other*.
    """
    sign(refusal, other.__dict__.get(_ISSUER))


def unchain(error: BaseException, mark: object) -> None:
    """
    Take the last failure off those refusals *error* descends from.

    In ``except CircuitOpenError: ...; call again`` the next failure has the
    refusal as its context, whose cause is the failure before, and so on back
    to the first. Only refusals of the breaker with this *mark* are touched.
    """
    if (
        error.__context__ is None
        and error.__cause__ is None
        and not isinstance(error, BaseExceptionGroup)
    ):
        return
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo and len(seen) < _MAX_LINKS:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, CircuitOpenError) and one.__dict__.get(_ISSUER) is mark:
            one.__cause__ = one.last_failure = None
        todo += (one.__cause__, one.__context__)
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions


def text_of(error: BaseException | None) -> str | None:
    """
    Return *error* as one short line.
    """
    if error is None:
        return None
    title = type(error).__name__
    try:
        said = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 -- whatever a foreign __str__ raises
        return f"{title}, which cannot be shown"
    text = f"{title}: {said}" if said else title
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 3] + "..."
