"""
What something is like, in the words of JSON.
"""

from __future__ import annotations

import enum

from typing import Any

from switchgear._counter import AtomicCounter
from switchgear._set import ThreadSafeSet


def state_of(thing: Any) -> Any:
    """
    Return the state of an instance, ready for ``json.dumps``.
    """
    if isinstance(thing, AtomicCounter):
        return thing.value
    if isinstance(thing, ThreadSafeSet):
        return {"size": len(thing), "max_size": thing.max_size}
    return plain(thing.snapshot())


def plain(value: Any) -> Any:
    """
    Return *value* as JSON knows it.
    """
    from dataclasses import fields, is_dataclass

    if is_dataclass(value):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return [plain(one) for one in value]
