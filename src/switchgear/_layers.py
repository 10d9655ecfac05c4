"""
What lies between the code and what is changed at run time, laid upon each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from switchgear import _environment


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from switchgear._config import Layer, Settings


#: Where what ``configure`` said is kept, among the paths of files.
MAPPING: Final = ""


class Said(NamedTuple):
    """
    Hold what one file, or the mapping, says.
    """

    #: How users call it: the path as they gave it.
    source: str
    layer: Layer


class Layers(NamedTuple):
    """
    Hold what lies between code and run time.
    """

    #: What each file, by its absolute path, and the mapping says, in the order
    #: they came.
    said: dict[str, Said]
    #: The same, merged.
    file: Layer
    #: The names in it are those of environment variables.
    environment: Layer

    def over(self, kind: str, name: str, code: dict[str, Any]) -> dict[str, Any]:
        """
        Return the definition of *name* with these layers over *code*.
        """
        file = self.file.get((kind, name), {})
        if not self.environment:
            return merged(kind, code, file) if file else code
        variables = self.environment.get((kind, _environment.normalised(name)), {})
        return merged(kind, code, file, variables)

    def know(self, kind: str, name: str) -> bool:
        """
        Answer whether there is a table for *name*, be it empty.
        """
        return (kind, name) in self.file or (
            (kind, _environment.normalised(name)) in self.environment
        )

    def described(self) -> str:
        """
        Say where they come from.
        """
        sources = [said.source for said in self.said.values()]
        return ", ".join([*sources, *(["environment"] if self.environment else [])])


NO_LAYERS = Layers({}, {}, {})


def layers_of(said: dict[str, Said]) -> tuple[Layers, list[str]]:
    """
    Return the layers that *said* and the environment make, and what is wrong there.
    """
    from os import environ

    file: Layer = {}
    for _, layer in said.values():
        for key, settings in layer.items():
            file[key] = merged(key[0], file.get(key, {}), settings)
    variables, problems = _environment.layer_of(environ)
    return Layers(said, file, variables), problems


def merged(kind: str, *layers: Settings) -> Settings:
    """
    Return what *layers*, the lowest first, come to: key by key, the topmost.

    A limiter's pace has two forms, *rates* and *calls_per_second* with *burst*.
    A higher layer that says the one displaces the other of all lower ones, for
    good; a *burst* alone says neither.
    """
    origins = _origins(kind, layers)
    return {key: layers[position][key] for key, position in origins.items()}


def sources(kind: str, *named_layers: tuple[str, Settings]) -> dict[str, str]:
    """
    Return the name of the layer that each key of :func:`merged` is from.
    """
    origins = _origins(kind, [settings for _, settings in named_layers])
    return {key: named_layers[position][0] for key, position in origins.items()}


def _origins(kind: str, layers: Iterable[Settings]) -> dict[str, int]:
    origins: dict[str, int] = {}
    for position, layer in enumerate(layers):
        given = dict.fromkeys(layer, position)
        if kind == "limiter":
            if layer.get("rates") is None:
                # What code may say where it says nothing.
                given.pop("rates", None)
            for key in _displaced(given):
                origins.pop(key, None)
        origins.update(given)
    return origins


def _displaced(given: Collection[str]) -> tuple[str, ...]:
    if "rates" in given:
        return "calls_per_second", "burst"
    return ("rates",) if "calls_per_second" in given else ()
