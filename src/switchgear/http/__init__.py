"""
Protect HTTP clients, and listen to what servers say.

Each client has a module of its own, which alone imports it:
:mod:`switchgear.http.httpx2`, :mod:`switchgear.http.httpx`,
:mod:`switchgear.http.requests`, :mod:`switchgear.http.aiohttp`.
"""

from __future__ import annotations

from switchgear.http._protection import ProtectedClient
from switchgear.http.hints import Hint, server_hint
from switchgear.http.meaning import Meaning, StatusError, meaning_of


__all__ = [
    "Hint",
    "Meaning",
    "ProtectedClient",
    "StatusError",
    "meaning_of",
    "server_hint",
]
