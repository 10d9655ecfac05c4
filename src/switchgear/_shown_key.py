"""
Show any key in one short line.
"""

from __future__ import annotations

from binascii import crc32
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Hashable


#: How much of a key is shown at most, in characters.
_SHOWN = 80


def shown_key(key: Hashable) -> str:
    """
    Return *key* as names, logs and metrics show it: one line, cut if long.

    Control characters, brackets and backslashes are escaped; what is cut ends
    in a checksum, so that different keys keep different names.
    """
    text = key if isinstance(key, str) else _repr(key)
    shown = "".join(map(_escaped, text[: _SHOWN + 1]))
    if len(shown) <= _SHOWN:
        return shown
    tail = f"...{crc32(text.encode('utf-8', 'surrogatepass')):08x}"
    pieces, head = map(_escaped, text), ""
    while len(longer := head + next(pieces)) <= _SHOWN - len(tail):
        head = longer
    return head + tail


def _escaped(sign: str) -> str:
    if sign in "[]":
        return f"\\x{ord(sign):02x}"
    if sign.isprintable() and sign != "\\":
        return sign
    return sign.encode("unicode_escape").decode("ascii")


def _repr(key: Hashable) -> str:
    try:
        return repr(key)
    except Exception:  # noqa: BLE001 -- a name is no reason to fail
        return f"<{type(key).__name__}>"
