"""
Which instructions another thread can notice.

A thread that is stopped before one of these may see something else afterwards,
or have shown something else. Stopped before any other instruction (on local
variables, constants, the stack) it would do the same as if stopped before the
next of these, so that those stops are left out.
"""

from __future__ import annotations

import dis

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import switchgear


if TYPE_CHECKING:
    from types import CodeType


#: The code that is stopped: that of the package.
_OURS = str(Path(switchgear.__file__).parent)

#: What reads or writes an object that others may hold, or calls something.
#: Module globals count as constants: none is ever assigned again. So do the
#: cells of closures: none is shared by two threads and assigned by either.
_NOTICEABLE = (
    "CALL",
    "CONTAINS_OP",
    "DELETE_ATTR",
    "DELETE_SUBSCR",
    "FOR_ITER",
    "GET_ITER",
    "LOAD_ATTR",
    "LOAD_METHOD",
    "LOAD_SUPER_ATTR",
    "STORE_ATTR",
    "STORE_SLICE",
    "STORE_SUBSCR",
)


@cache
def offsets(code: CodeType) -> frozenset[int]:
    """
    Return where in *code* a thread is to be stopped; nowhere if it is not ours.
    """
    if not code.co_filename.startswith(_OURS):
        return frozenset()
    return frozenset(
        instruction.offset
        for instruction in dis.get_instructions(code)
        if instruction.opname.startswith(_NOTICEABLE)
        or instruction.opname == "BINARY_SUBSCR"
        # Python 3.14 has subscription among the binary operators.
        or (instruction.opname == "BINARY_OP" and instruction.argrepr == "[]")
    )


@cache
def mark(code: CodeType) -> int:
    """
    Return a number that stands for *code* in every process.
    """
    return crc32(f"{Path(code.co_filename).name}:{code.co_qualname}".encode())
