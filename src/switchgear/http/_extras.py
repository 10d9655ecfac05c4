"""
What to install if an optional package is missing.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """
    Have an import that fails in this block name the *extra* to install.
    """
    try:
        yield
    except ImportError as error:
        msg = f'{error}: pip install "switchgear[{extra}]"'
        raise type(error)(msg, name=error.name) from error
