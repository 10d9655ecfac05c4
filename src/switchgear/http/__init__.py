"""
Protect HTTP clients, and listen to what servers say.
"""

from __future__ import annotations

from switchgear.http.hints import Hint, server_hint


__all__ = ["Hint", "server_hint"]
