"""
What the status of a response means for whoever protects the calls.
"""

from __future__ import annotations

import enum

from typing import TYPE_CHECKING, Final

from switchgear.errors import SwitchgearError
from switchgear.http.hints import NOTHING


if TYPE_CHECKING:
    from typing import Any

    from switchgear.http.hints import Hint


class Meaning(enum.Enum):
    """
    Say what a response means for the circuit and the limiter of its host.

    .. versionadded:: 0.1.0
    """

    #: The service did its work, be it that it found fault with the request.
    SUCCESS = "success"
    #: The service failed: the circuit counts it. If the service said when to come
    #: back, the limiter is paused, and a circuit that opens stays open until then.
    FAILURE = "failure"
    #: The service is well, and was asked too often: the circuit ignores it. If the
    #: service said when to come back, the limiter is paused until then.
    THROTTLED = "throttled"
    #: It says nothing about the service.
    IGNORED = "ignored"


#: Errors of the server's status range that are answers: it does not do that.
_ANSWERS: Final = frozenset({501, 505})


def meaning_of(status: int, hint: Hint) -> Meaning:
    """
    Return what a response means, unless you know better.

    429 is *throttled*, and so is 403 that comes with a hint, as GitHub's does; 408
    and 500 to 599 are *failures*, but for 501 and 505, which say that the service
    does not do such things; all else is *success*.

    Args:
        status: The status of the response.
        hint: What :func:`server_hint` makes of its headers.

    .. versionadded:: 0.1.0
    """
    if status == 429 or (status == 403 and hint != NOTHING):  # noqa: PLR2004 -- statuses are numbers
        return Meaning.THROTTLED
    if status == 408 or (500 <= status < 600 and status not in _ANSWERS):  # noqa: PLR2004 -- as above
        return Meaning.FAILURE
    return Meaning.SUCCESS


class StatusError(SwitchgearError):
    """
    Stand for a response that was a failure.

    Not raised: the response goes to whoever asked for it. It is the
    ``last_failure`` and the ``__cause__`` of refusals.

    Args:
        status: The status of the response.
        retry_after: For how many seconds the service asked to be left alone, if it
            did.

    .. versionadded:: 0.1.0
    """

    status: int
    retry_after: float | None
    #: Until when it asked for that, in the time of the breaker that counted it.
    _asked_until_ns = 0

    def __init__(self, status: int, retry_after: float | None = None) -> None:
        hint = "" if retry_after is None else f"; retry in {retry_after:.6g} s"
        super().__init__(f"the service answered with status {status}{hint}")
        self.status = status
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.retry_after)
