"""
Call the scheduler before every step of the package that others could notice.

Through ``sys.monitoring`` where there is one. Trace functions do it elsewhere:
since Python 3.12 they are built on monitoring, and as threads set and unset
theirs, some code is told of no steps any more.
"""

from __future__ import annotations

import sys
import sysconfig

from _thread import get_ident
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from explorer.points import mark, offsets
from explorer.scheduler import Scheduler


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType


#: Whether threads have bytecode of their own.
IS_FREE = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

#: The code of the package that was run so far; where threads have bytecode of
#: their own, in which. The first run of each is not told of all its steps: what
#: came of it is not gone by.
_seen: set[tuple[CodeType, int]] = set()


def _is_ours(code: CodeType) -> bool:
    if not offsets(code):
        return False
    scheduler = Scheduler.current
    if scheduler is not None and scheduler.me() is not None:
        seen = (code, get_ident() if IS_FREE else 0)
        if seen not in _seen:
            _seen.add(seen)
            scheduler.is_cold = True
    return True


def _stop(code: CodeType, offset: int) -> None:
    scheduler = Scheduler.current
    if scheduler is not None and offset in offsets(code):
        party = scheduler.me()
        if party is not None:
            scheduler.point(party, mark(code) + offset)


if sys.version_info >= (3, 12):
    _EVENTS = sys.monitoring.events
    _TOOL = 4

    @contextmanager
    def stops() -> Iterator[None]:
        """
        Stop scheduled threads at every step until the block ends.
        """
        monitoring = sys.monitoring
        monitoring.use_tool_id(_TOOL, "explorer")
        monitoring.register_callback(_TOOL, _EVENTS.PY_START, _begin)
        monitoring.register_callback(_TOOL, _EVENTS.INSTRUCTION, _stop)
        monitoring.set_events(_TOOL, _EVENTS.PY_START)
        for code, _ in _seen:
            monitoring.set_local_events(_TOOL, code, _EVENTS.INSTRUCTION)
        monitoring.restart_events()
        try:
            yield
        finally:
            for code, _ in _seen:
                monitoring.set_local_events(_TOOL, code, 0)
            monitoring.set_events(_TOOL, 0)
            monitoring.free_tool_id(_TOOL)

    def traced(call: Callable[[], Any]) -> Callable[[], Any]:
        """
        Return *call* as it is to be run in a thread that is stopped.
        """
        return call

    def _begin(code: CodeType, offset: int) -> Any:
        scheduler = Scheduler.current
        if scheduler is None or scheduler.me() is None:
            # Perhaps it is run in a scheduled thread later.
            return None
        if _is_ours(code):
            sys.monitoring.set_local_events(_TOOL, code, _EVENTS.INSTRUCTION)
            if IS_FREE:
                return None
        return sys.monitoring.DISABLE

else:

    @contextmanager
    def stops() -> Iterator[None]:
        """
        Stop scheduled threads at every step until the block ends.
        """
        yield

    def traced(call: Callable[[], Any]) -> Callable[[], Any]:
        """
        Return *call* as it is to be run in a thread that is stopped.
        """

        def run() -> Any:
            sys.settrace(_enter)
            try:
                return call()
            finally:
                sys.settrace(None)

        return run

    def _enter(frame: FrameType, event: str, arg: Any) -> Any:
        if not _is_ours(frame.f_code):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return _step

    def _step(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "opcode":
            _stop(frame.f_code, frame.f_lasti)
        return _step
