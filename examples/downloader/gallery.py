"""
Where the images go, each of them once.
"""

from __future__ import annotations

import hashlib
import mimetypes

from typing import TYPE_CHECKING

from bad_input import BadInputError

from switchgear import registry


if TYPE_CHECKING:
    from pathlib import Path

    import httpx2


class Gallery:
    """
    Store images in a folder, named after what is in them.

    Args:
        folder: Where. It must be there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = registry.unique("images")

    def add(self, response: httpx2.Response) -> bool:
        """
        Store the image in *response*; return whether it is a new one.

        Raises:
            BadInputError: If the folder does not take it.
        """
        digest = hashlib.sha256(response.content).hexdigest()
        # Of all who bring the same image at the same time, one is told True.
        if not self._seen.add(digest):
            return False
        name = digest[:32] + _suffix(response.headers.get("Content-Type", ""))
        try:
            (self._folder / name).write_bytes(response.content)
        except OSError as error:
            raise BadInputError.about(self._folder, error) from error
        return True


def _suffix(content_type: str) -> str:
    kind = content_type.partition(";")[0].strip().lower()
    return mimetypes.guess_extension(kind) or ".bin"
