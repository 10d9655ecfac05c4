"""
Declare frozen records that cost next to nothing to import.

``@dataclass(frozen=True, slots=True)`` compiles six functions for every class,
about half a millisecond each: a dozen events took longer to import than all
the rest. The methods of records are shared, and their fields are described for
the ``dataclasses`` module when somebody asks: ``fields``, ``asdict`` and
``replace`` work as for any dataclass.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar, dataclass_transform


T = TypeVar("T", bound=type)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: T) -> T:
    """
    Make a subclass of :class:`Record` a frozen, slotted, keyword-only dataclass.
    """
    contents = dict(vars(cls))
    own = tuple(contents.get("__annotations__", ()))
    # Slots are for new classes only; what belongs to the old one stays there.
    contents.pop("__dict__", None)
    contents.pop("__weakref__", None)
    contents["__slots__"] = own
    base: Any = cls
    contents["_names"] = (*base._names, *own)  # noqa: SLF001 -- its own
    # One for each: a subclass would find what its base has cached.
    contents["__dataclass_fields__"] = _Fields()
    made: Any = type(cls)(cls.__name__, cls.__bases__, contents)
    finished: T = made
    return finished


class _Fields:
    """
    Describe the fields of a record to the ``dataclasses`` module, when asked.
    """

    __slots__ = ()

    def __get__(self, instance: object, owner: type[Record]) -> Any:
        from dataclasses import make_dataclass

        types: dict[str, Any] = {}
        for cls in reversed(owner.__mro__[: -len(Record.__mro__)]):
            types |= cls.__annotations__
        made: Any = make_dataclass(owner.__name__, types.items(), kw_only=True)
        owner.__dataclass_fields__ = made.__dataclass_fields__
        return made.__dataclass_fields__


class Record:
    """
    Hold the methods that all records share.
    """

    __slots__ = ()

    __dataclass_fields__: Any
    _names: tuple[str, ...] = ()

    def __init__(self, **values: Any) -> None:
        if values.keys() != set(self._names):
            self._refuse(values)
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self.__post_init__()

    def __post_init__(self) -> None:
        """
        Check the values, in a subclass.
        """

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
        from dataclasses import FrozenInstanceError

        msg = f"cannot assign to field {name!r}"
        raise FrozenInstanceError(msg)

    def __delattr__(self, name: str) -> None:
        from dataclasses import FrozenInstanceError

        msg = f"cannot delete field {name!r}"
        raise FrozenInstanceError(msg)

    def __getstate__(self) -> tuple[Any, ...]:
        return self._values()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for name, value in zip(self._names, state, strict=True):
            object.__setattr__(self, name, value)
