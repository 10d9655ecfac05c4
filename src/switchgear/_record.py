"""
Declare frozen records that cost next to nothing to import.

``@dataclass(frozen=True, slots=True)`` compiles six functions for every class,
about half a millisecond each: a dozen events took longer to import than all
the rest. A record is a dataclass for whoever asks (``fields``, ``asdict``,
``replace``, pattern matching by keyword); its methods are shared.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any, NoReturn, TypeVar, dataclass_transform


T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[T]) -> type[T]:
    """
    Make a subclass of :class:`Record` a frozen, slotted, keyword-only dataclass.
    """
    made = dataclass(slots=True, kw_only=True, init=False, repr=False, eq=False)(cls)
    made._names = tuple(  # type: ignore[attr-defined]  # noqa: SLF001 -- Record's
        field.name
        for field in fields(made)  # type: ignore[arg-type]
    )
    return made


class Record:
    """
    Hold the methods that all records share.
    """

    __slots__ = ()

    _names: tuple[str, ...] = ()

    def __init__(self, **values: Any) -> None:
        if values.keys() != set(self._names):
            self._refuse(values)
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _refuse(self, values: dict[str, Any]) -> NoReturn:
        title = type(self).__name__
        for name in values:
            if name not in self._names:
                msg = f"{title}() has no field {name!r}"
                raise TypeError(msg)
        missing = [name for name in self._names if name not in values]
        msg = f"{title}() lacks {', '.join(map(repr, missing))}"
        raise TypeError(msg)

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self._names])

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names)
        return f"{type(self).__qualname__}({shown})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __setattr__(self, name: str, value: object) -> None:
        msg = f"cannot assign to field {name!r}"
        raise FrozenInstanceError(msg)

    def __delattr__(self, name: str) -> None:
        msg = f"cannot delete field {name!r}"
        raise FrozenInstanceError(msg)

    def __getstate__(self) -> tuple[Any, ...]:
        return self._values()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for name, value in zip(self._names, state, strict=True):
            object.__setattr__(self, name, value)
