"""
Come in between: run something at the nth moment at which a handler could run.
"""

from __future__ import annotations

import gc
import inspect
import sys

from itertools import count
from pathlib import Path

from stress.stress_shared import IS_WITH_SAFE

import switchgear

from switchgear import RateLimitExceeded


#: What may be interrupted, and where it begins to call others. In the midst of these
#: nothing comes in: logging, for one, would keep its locks.
PACKAGE = str(Path(switchgear.__file__).parent)

#: Where an exception would leave a lock taken for ever: before it is let go, where
#: only a profiler comes in; and after it was taken, where it can in Python 3.14.
LEAVE_A_LOCK = {("c_call", "__exit__")}
if not IS_WITH_SAFE:
    LEAVE_A_LOCK.add(("c_return", "__enter__"))


class Stop(BaseException):
    """
    Be raised where a KeyboardInterrupt could be.
    """


def is_ours(frame):
    return frame is not None and frame.f_code.co_filename.startswith(PACKAGE)


def is_called(frame, event):
    """
    Answer whether *frame* is another's that ours has just called.
    """
    return event == "call" and is_ours(frame.f_back)


def is_left(frame, event):
    """
    Answer whether *frame* is a coroutine's that is suspended, if it does not end:
    nothing can come in between that and what it is left for.
    """
    return event == "return" and bool(frame.f_code.co_flags & inspect.CO_COROUTINE)


def interrupted(function, at, action, *, without=frozenset()):
    """
    Run *function*, and *action* at its call or return number *at*, where a
    signal handler may come in; answer whether there was such a point.

    Before a call into C one comes in only if a profiler is at work: who does not
    care leaves out *without* ``{"c_call"}``; or, of one function, ``{("call", name)}``.
    """
    seen = 0

    def profile(frame, event, argument):
        nonlocal seen
        if not (is_ours(frame) or is_called(frame, event)) or is_left(frame, event):
            return
        if not without.isdisjoint({event, (event, frame.f_code.co_name)}):
            return
        if (event, getattr(argument, "__name__", "")) in LEAVE_A_LOCK:
            return
        seen += 1
        if seen == at:
            sys.setprofile(None)
            action()

    # Whatever measures this run must not be measured.
    before = sys.getprofile()
    # What is freed meanwhile would be freed at another moment the next time.
    gc.disable()
    sys.setprofile(profile)
    try:
        function()
    except (Stop, RateLimitExceeded):
        pass
    finally:
        sys.setprofile(before)
        gc.enable()
    return seen >= at


def stop():
    raise Stop


class Point:
    """
    Be one of the points at which a handler may come in, and have it do so: once.
    """

    def __init__(self, number):
        self.number = number
        #: Whether there was such a point; None: nobody has tried.
        self.was_there = None

    def __call__(self, function, action, *, without=frozenset()):
        """
        Run *function*, and *action* at this point; answer whether there was one.
        """
        assert self.was_there is None, "tried twice"
        self.was_there = interrupted(function, self.number, action, without=without)
        return self.was_there


def points(least=10):
    """
    Go through all the points at which a handler may come in: the body of the loop
    makes anew what is interrupted, calls the :class:`Point`, and looks at what came
    of it. The last time round there is no such point any more.

    Fails if there were fewer than *least*: then something else was tried than meant.
    """
    for number in count(1):
        point = Point(number)
        yield point
        assert point.was_there is not None, "the body tried nothing"
        if not point.was_there:
            break
    assert number > least, f"only {number - 1} points"
