"""
What is to be downloaded, and the file it may be read from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import httpx2

from bad_input import BadInputError, shown


if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


@dataclass(frozen=True, slots=True)
class Address:
    """
    Say where an image is, and what has been tried to get it.

    Attributes:
        url: Where it is.
        host: Which limiter and which breaker its calls go through.
        failures: How many calls of it failed.
        refusals: How often its circuit refused to have it called.
    """

    url: httpx2.URL
    host: str
    failures: int = 0
    refusals: int = 0

    @classmethod
    def of(cls, url: str | httpx2.URL) -> Self:
        """
        Return the address of *url*.

        Raises:
            ValueError: If it cannot be called.
        """
        try:
            parsed = httpx2.URL(url)
            # What the resolver will ask for.
            parsed.raw_host.decode("ascii").encode("idna")
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise ValueError(str(error)) from error
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            msg = "not an http:// or https:// address"
            raise ValueError(msg)
        port = 80 if parsed.port is None else parsed.port
        if "%" in parsed.host or not 0 < port <= _MAX_PORT:
            msg = "there can be no such host or port"
            raise ValueError(msg)
        return cls(parsed, parsed.netloc.decode("ascii"))

    def failed(self) -> Self:
        """
        Return the same with a failure more.
        """
        return replace(self, failures=self.failures + 1)

    def refused(self) -> Self:
        """
        Return the same with a refusal more.
        """
        return replace(self, refusals=self.refusals + 1)

    def moved(self, url: httpx2.URL) -> Self:
        """
        Return where it has moved to; to have been sent there is a failure.

        Raises:
            ValueError: If it cannot be called there.
        """
        return replace(self.of(url), failures=self.failures + 1)

    def __str__(self) -> str:
        # A password is nobody's business.
        return str(self.url.copy_with(username=None, password=None))


_MAX_PORT = 65535


def read_addresses(path: Path) -> list[Address]:
    """
    Return the addresses in a file, each of them once.

    Raises:
        BadInputError: If it cannot be read, or a line of it makes no sense.
    """
    addresses: dict[httpx2.URL, Address] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                address = Address.of(text)
            except ValueError as error:
                msg = f"{shown(path)}:{number}: {shown(text)}: {shown(error)}"
                raise BadInputError(msg) from error
            addresses.setdefault(address.url, address)
    if not addresses:
        msg = f"{shown(path)}: no address in it"
        raise BadInputError(msg)
    return list(addresses.values())


def _text(path: Path) -> str:
    try:
        # Some editors begin a file with a mark.
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        msg = f"{shown(path)}:{line}: not UTF-8: byte 0x{error.object[error.start]:02x}"
        raise BadInputError(msg) from error
    except (OSError, ValueError) as error:
        raise BadInputError.about(path, error) from error
