"""
What lies between the code and what is changed at run time.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from switchgear import _config


#: Where what ``configure`` said is kept, among the paths of files.
MAPPING: Final = ""


class Said(NamedTuple):
    """
    Hold what one file, or the mapping, says.
    """

    #: How users call it: the path as they gave it.
    source: str
    layer: _config.Layer


class Layers(NamedTuple):
    """
    Hold what lies between code and run time.
    """

    #: What each file, by its absolute path, and the mapping says, in the order
    #: they came.
    said: dict[str, Said]
    #: The same, merged.
    file: _config.Layer
    #: The names in it are those of environment variables.
    environment: _config.Layer

    def over(self, kind: str, name: str, code: dict[str, Any]) -> dict[str, Any]:
        """
        Return the definition of *name* with these layers over *code*.
        """
        file = self.file.get((kind, name), {})
        if not self.environment:
            return _config.merged(kind, code, file) if file else code
        variables = self.environment.get((kind, _config.normalised(name)), {})
        return _config.merged(kind, code, file, variables)

    def know(self, kind: str, name: str) -> bool:
        """
        Answer whether there is a table for *name*, be it empty.
        """
        return (kind, name) in self.file or (
            (kind, _config.normalised(name)) in self.environment
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

    file: _config.Layer = {}
    for _, layer in said.values():
        for key, settings in layer.items():
            file[key] = _config.merged(key[0], file.get(key, {}), settings)
    variables, problems = _config.environment(environ)
    return Layers(said, file, variables), problems
