"""
Named instances: defined once, found everywhere.
"""

from __future__ import annotations

import sys

from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from switchgear import _fork
from switchgear._breaker import CircuitBreaker
from switchgear._keyed import Keyed, shown_key
from switchgear._validate import required_name
from switchgear.errors import ConfigurationError, UnknownNameError


if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


def caller() -> str:
    """
    Return the place outside this library that is calling it: ``file:line``.
    """
    frame = sys._getframe(1)  # noqa: SLF001 -- the documented way is 100x slower
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("switchgear"):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Cell:
    """
    Stand for a named instance in one decorated function.

    ``cell.instance`` is read without a lock; while it is None, the function
    asks ``registry._resolve(cell)``, which fills it. The registry empties it
    when the name means something else.
    """

    __slots__ = (
        "__weakref__",
        "definition",
        "instance",
        "keyed",
        "kind",
        "name",
        "place",
    )

    def __init__(
        self,
        kind: str,
        name: str,
        definition: dict[str, Any],
        place: str,
        *,
        keyed: bool = False,
    ) -> None:
        self.kind = kind
        self.name = name
        self.definition = definition
        self.place = place
        self.keyed = keyed
        self.instance: Any = None


class _Entry:
    """
    Hold what is known under one name for one kind.
    """

    __slots__ = ("cells", "code", "instance", "kind", "name", "place", "template")

    def __init__(
        self, kind: str, name: str, code: dict[str, Any], place: str
    ) -> None:
        self.kind = kind
        self.name = name
        self.code = code
        self.place = place
        self.instance: Any = None
        self.template: Keyed[Any] | None = None
        self.cells: WeakSet[Cell] = WeakSet()


class Registry:
    """
    Hold named instances.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._entries: dict[tuple[str, str], _Entry] = {}
        _fork.track(self)

    def limiter(self, name: str, **definition: Any) -> Any:
        """
        Return the limiter called *name*; define it if a definition is given.
        """
        return self._instance("limiter", name, definition)

    def breaker(self, name: str, **definition: Any) -> CircuitBreaker:
        """
        Return the breaker called *name*; define it if a definition is given.
        """
        return self._instance("breaker", name, definition)

    def keyed_limiter(self, name: str, **definition: Any) -> Keyed[Any]:
        """
        Return one limiter per key, all defined alike.
        """
        return self._template("limiter", name, definition)

    def keyed_breaker(self, name: str, **definition: Any) -> Keyed[Any]:
        """
        Return one breaker per key, all defined alike.
        """
        return self._template("breaker", name, definition)

    def _instance(self, kind: str, name: str, definition: dict[str, Any]) -> Any:
        if definition:
            self._define(kind, name, definition, caller())
        return self._instance_of(self._entry(kind, name))

    def _template(
        self, kind: str, name: str, definition: dict[str, Any]
    ) -> Keyed[Any]:
        if definition:
            self._define(kind, name, definition, caller())
        return self._template_of(self._entry(kind, name))

    def _define(
        self, kind: str, name: str, definition: dict[str, Any], place: str
    ) -> None:
        required_name("name", name)
        _build(kind, name, definition)
        entry = _Entry(kind, name, definition, place)
        known = self._entries.setdefault((kind, name), entry)
        if known is not entry and known.code != definition:
            raise ConfigurationError(
                f"{kind}s.{name}: {definition!r} ({place}) is not"
                f" {known.code!r} ({known.place})"
            )

    def _entry(self, kind: str, name: str) -> _Entry:
        entry = self._entries.get((kind, name))
        if entry is None:
            raise UnknownNameError(kind, name)
        return entry

    def _instance_of(self, entry: _Entry) -> Any:
        if entry.instance is None:
            # Outside the lock: a racing creator's is dropped again.
            made = _build(entry.kind, entry.name, entry.code)
            with self._lock:
                if entry.instance is None:
                    entry.instance = made
        return entry.instance

    def _template_of(self, entry: _Entry) -> Keyed[Any]:
        if entry.template is None:

            def make(key: Hashable) -> Any:
                made = _build(entry.kind, None, entry.code)
                made._name = f"{entry.name}[{shown_key(key)}]"
                return made

            made = Keyed(make)
            with self._lock:
                if entry.template is None:
                    entry.template = made
        return entry.template

    def _resolve(self, cell: Cell) -> Any:
        """
        Fill *cell* and return its instance, or its ``Keyed`` for a template.
        """
        if cell.definition:
            self._define(cell.kind, cell.name, cell.definition, cell.place)
        while True:
            entry = self._entry(cell.kind, cell.name)
            made = self._template_of(entry) if cell.keyed else self._instance_of(entry)
            with self._lock:
                # Else it was removed meanwhile, and nobody would empty the cell.
                if self._entries.get((cell.kind, cell.name)) is entry:
                    entry.cells.add(cell)
                    cell.instance = made
                    return made

    def remove(self, name: str) -> None:
        """
        Forget *name*.
        """
        with self._lock:
            for kind in ("limiter", "breaker"):
                entry = self._entries.pop((kind, name), None)
                if entry is not None:
                    for cell in list(entry.cells):
                        cell.instance = None

    def _isolate(self) -> Callable[[], None]:
        """
        Start afresh, and return the function that brings everything back.
        """
        outer = self._swap({})

        def end() -> None:
            self._swap(outer)

        return end

    def _swap(
        self, entries: dict[tuple[str, str], _Entry]
    ) -> dict[tuple[str, str], _Entry]:
        with self._lock:
            before, self._entries = self._entries, entries
            for entry in before.values():
                for cell in list(entry.cells):
                    cell.instance = None
        return before

    def _after_fork(self) -> None:
        self._lock = RLock()


#: The default registry.
registry = Registry()


def _build(kind: str, name: str | None, definition: dict[str, Any]) -> Any:
    if kind == "breaker":
        return CircuitBreaker(name=name, **definition)
    from switchgear._limiter import RateLimiter  # noqa: PLC0415 -- landing soon

    return RateLimiter(name=name, **definition)
