"""
Come in between: run something at the nth moment at which a handler could run.
"""

from __future__ import annotations

import gc
import sys

from switchgear import RateLimitExceeded


class Stop(BaseException):
    """
    Be raised where a KeyboardInterrupt could be.
    """


def interrupted(function, at, action, *, without=()):
    """
    Run *function*, and *action* at its call or return number *at*, where a
    signal handler may come in; answer whether there was such a point.

    Before a call into C one comes in only if a profiler is at work: who does not
    care leaves out *without* ``{"c_call"}``.
    """
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        if event in without or argument is sys.setprofile:
            return
        count += 1
        if count == at:
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
    return count >= at


def stop():
    raise Stop
