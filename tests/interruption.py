"""
Come in between: run something at the nth moment at which a handler could run.
"""

from __future__ import annotations

import sys

from switchgear import RateLimitExceeded


class Stop(BaseException):
    """
    Be raised where a KeyboardInterrupt could be.
    """


def interrupted(function, at, action):
    """
    Run *function*, and *action* at its call or return number *at*, where a
    signal handler may come in; answer whether there was such a point.
    """
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += argument is not sys.setprofile
        if count == at:
            sys.setprofile(None)
            action()

    # Whatever measures this run must not be measured.
    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function()
    except (Stop, RateLimitExceeded):
        pass
    finally:
        sys.setprofile(before)
    return count >= at


def stop():
    raise Stop
