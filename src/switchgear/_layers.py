"""
What lies between the code and what is changed at run time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from switchgear import _config


class Layers(NamedTuple):
    """
    Hold what lies between code and run time.
    """

    #: What each file, and the mapping, says, in the order they came.
    tables: dict[str, Any]
    #: The same, checked and merged.
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
        return ", ".join([*self.tables, *(["environment"] if self.environment else [])])


NO_LAYERS = Layers({}, {}, {})


def layers_of(tables: dict[str, Any]) -> tuple[Layers, list[str]]:
    """
    Return the layers that *tables* and the environment make, and all problems.
    """
    from os import environ

    file: _config.Layer = {}
    variables, problems = _config.environment(environ)
    for source, one in tables.items():
        layer, more = _config.layer_of(one, source)
        problems = [*problems, *more]
        for key, settings in layer.items():
            file[key] = _config.merged(key[0], file.get(key, {}), settings)
    return Layers(tables, file, variables), problems
