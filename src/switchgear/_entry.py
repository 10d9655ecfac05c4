"""
What is known under one name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias
from weakref import WeakSet

from switchgear._definition import build, kept
from switchgear.errors import ConfigurationError


if TYPE_CHECKING:
    from switchgear._keyed import Keyed


#: The kinds that are defined by settings.
DEFINABLE: Final = ("limiter", "breaker")


class Cell:
    """
    Stand for a named instance in one decorated function.

    ``cell.instance`` is read without a lock; while it is None, the function
    asks ``registry._resolve(cell)``, which fills it. The registry empties it
    when the name comes to mean something else.

    Args:
        kind: ``"limiter"`` or ``"breaker"``.
        name: The name it is looked up by.
        definition: What the decorator defines it to be; empty for a look-up.
        place: Where that was written.
        keyed: Whether the container of keyed instances is meant.
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
        self.definition = kept(definition)
        self.place = place
        self.keyed = keyed
        self.instance: Any = None


class Entry:
    """
    Hold what is known under one name for one kind.

    Settings come in layers, merged key by key: code, then file, then
    environment, then run time. The registry keeps the two in the middle, for
    all names; the instances themselves keep the topmost.
    """

    __slots__ = (
        "cells",
        "code",
        "instance",
        "kind",
        "name",
        "place",
        "settings",
        "template",
    )

    def __init__(
        self,
        kind: str,
        name: str,
        code: dict[str, Any],
        settings: dict[str, Any],
        place: str,
    ) -> None:
        self.kind = kind
        self.name = name
        #: The lowest layer, as written, and where.
        self.code = code
        self.place = place
        #: The same, validated, with defaults: what definitions are compared by.
        self.settings = settings
        self.instance: Any = None
        self.template: Keyed[Any] | None = None
        self.cells: WeakSet[Cell] = WeakSet()

    @property
    def definable(self) -> bool:
        """
        Whether it is a limiter or breaker.
        """
        return self.kind in DEFINABLE

    def things(self) -> list[Any]:
        """
        Return what was made under this name; a template sees to its instances.
        """
        made = self.instance, self.template
        return [thing for thing in made if thing is not None]

    def objections(self, definition: dict[str, Any]) -> list[str]:
        """
        Return why *definition*, and what lives going on with it, make no sense.
        """
        try:
            pattern = build(self.kind, None, definition)
            for thing in self.things():
                thing._check_like(pattern)  # noqa: SLF001 -- ours
        except (TypeError, ValueError) as error:
            return [f"{self.kind}s.{self.name}: {error}"]
        return []

    def check_agreement(self, other: Entry) -> None:
        """
        Raise ConfigurationError if *other* defines the name differently.
        """
        ours, theirs = self.settings, other.settings
        keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        if keys:
            raise ConfigurationError(
                f"{self.kind}s.{self.name}.{key}: {theirs.get(key)!r} ({other.place})"
                f" is not {ours.get(key)!r} ({self.place})"
                for key in keys
            )

    def send_away(self) -> None:
        """
        Let nothing that was made under this name travel by it any more.
        """
        for thing in self.things():
            thing._home = None  # noqa: SLF001 -- ours
        # After the template: what it makes from now on has no home.
        if self.template is not None:
            for thing in self.template._instances():  # noqa: SLF001 -- ours
                thing._home = None  # noqa: SLF001 -- ours

    def empty_cells(self) -> None:
        """
        Have every decorated function look the name up again.
        """
        for cell in list(self.cells):
            cell.instance = None
        self.cells.clear()


Entries: TypeAlias = dict[tuple[str, str], Entry]
