"""
The images that the demo's own servers hand out.
"""

from __future__ import annotations

import hashlib
import struct
import zlib


SIDE = 16


def png(number: int) -> bytes:
    """
    Return a picture of noise: the same bytes for the same *number* only.
    """
    noise = hashlib.shake_128(str(number).encode()).digest(SIDE * SIDE)
    # Before each row, how it is filtered: not at all.
    rows = b"".join(b"\0" + noise[at : at + SIDE] for at in range(0, len(noise), SIDE))
    # Width, height, 8 bits of grey; the only compression, filters, no interlace.
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
