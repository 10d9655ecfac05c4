from __future__ import annotations

import copy
import pickle

import pytest

from switchgear import errors
from switchgear.errors import (
    BurstExceeded,
    CallNotPermitted,
    CircuitOpenError,
    ConfigurationError,
    RateLimitExceeded,
    StoreError,
    SwitchgearError,
    UnknownNameError,
)
from switchgear.events import CircuitState


ERRORS = [
    SwitchgearError("something"),
    CallNotPermitted("no", name="images", retry_after=1.5),
    RateLimitExceeded(),
    RateLimitExceeded("images", 1.5, "12 are waiting"),
    RateLimitExceeded("images", None, "closed:\nshutting\r\ndown"),
    BurstExceeded("images", tokens=5, burst=2),
    CircuitOpenError("images", CircuitState.OPEN, 30.0, OSError("down")),
    CircuitOpenError(None, CircuitState.FORCED_OPEN),
    ConfigurationError(["limiters.images.burst: must be\nan int", "breakers: what?"]),
    UnknownNameError("limiter", "imges", ["images"]),
    StoreError("the store is away"),
]


class Picky(Exception):
    """
    Pickles, and then cannot be loaded: its arguments are its own.
    """

    def __init__(self, code, *, detail):
        super().__init__(f"{code}:\n{detail}")


class Mute(Exception):
    """
    Neither pickles nor says what it is.
    """

    def __str__(self):
        raise ValueError

    def __reduce__(self):
        raise ValueError


def facts(error):
    """
    Everything a handler may look at, comparable.
    """
    return type(error), str(error), {k: repr(v) for k, v in vars(error).items()}


class TestAll:
    def test_lists_what_is_public(self):
        """
        If an error is public, it is listed, in order.
        """
        public = {
            name
            for name, value in vars(errors).items()
            if isinstance(value, type) and issubclass(value, SwitchgearError)
        }

        assert sorted(public) == errors.__all__


class TestTree:
    @pytest.mark.parametrize(
        ("error", "bases"),
        [
            (CallNotPermitted, (SwitchgearError, Exception)),
            (RateLimitExceeded, (CallNotPermitted,)),
            (BurstExceeded, (CallNotPermitted,)),
            (CircuitOpenError, (CallNotPermitted,)),
            (ConfigurationError, (SwitchgearError, ValueError)),
            (UnknownNameError, (SwitchgearError, LookupError)),
            (StoreError, (SwitchgearError,)),
        ],
    )
    def test_errors_are_caught_by_their_bases(self, error, bases):
        """
        If a handler names a base of the documented tree, it catches the error.
        """
        for base in bases:
            assert issubclass(error, base)

    def test_not_yet_and_never_are_different_errors(self):
        """
        If a handler retries "not yet", "never" is not retried with it.
        """
        assert not issubclass(BurstExceeded, RateLimitExceeded)
        assert not issubclass(RateLimitExceeded, BurstExceeded)


class TestEveryError:
    @pytest.mark.parametrize("error", ERRORS, ids=repr)
    def test_survives_pickling(self, error):
        """
        If an error is pickled, type, message and attributes arrive.
        """
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            arrived = pickle.loads(pickle.dumps(error, protocol))

            assert facts(error) == facts(arrived)

    @pytest.mark.parametrize("error", ERRORS, ids=repr)
    def test_survives_copying(self, error):
        """
        If an error is copied, the copy says the same.
        """
        assert facts(error) == facts(copy.copy(error))
        assert facts(error) == facts(copy.deepcopy(error))

    @pytest.mark.parametrize("error", ERRORS, ids=repr)
    def test_message_is_one_line(self, error):
        """
        If an error is printed, it takes one line, whatever was put into it.
        """
        assert 1 == len(str(error).splitlines())


class TestMessages:
    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (RateLimitExceeded(), "rate limiter: no token is free"),
            (
                RateLimitExceeded("images", 1 / 3),
                "rate limiter 'images': no token is free; retry in 0.333333 s",
            ),
            (
                BurstExceeded("images", tokens=5, burst=2),
                (
                    "rate limiter 'images': 5 tokens can never be admitted,"
                    " the burst is 2; ask for less or raise the burst"
                ),
            ),
            (
                CircuitOpenError("images", CircuitState.HALF_OPEN, 30.0),
                "circuit 'images' is half open: call refused; retry in 30 s",
            ),
            (
                CircuitOpenError(None, CircuitState.FORCED_OPEN),
                "circuit is forced open: call refused until an operator releases it",
            ),
            (ConfigurationError("a: b"), "a: b"),
            (ConfigurationError(iter(["a: b", "c: d"])), "a: b; c: d"),
            (
                UnknownNameError("limiter", "imges", ["images", "image"]),
                "no limiter is named 'imges'; did you mean 'images' or 'image'?",
            ),
            (
                UnknownNameError("breaker", "x"),
                "no breaker is named 'x'; define it first",
            ),
        ],
    )
    def test_message_says_what_to_do(self, error, message):
        """
        If an error is read, it says what happened and what to do about it.
        """
        assert message == str(error)


class TestAttributes:
    def test_rate_limit_exceeded_carries_what_a_handler_needs(self):
        """
        If a turn does not come in time, name, wait and reason are attributes.
        """
        error = RateLimitExceeded("images", 1.5, "closed")

        assert ("images", 1.5, "closed") == (
            error.name,
            error.retry_after,
            error.reason,
        )

    def test_burst_exceeded_has_no_retry_after(self):
        """
        If the answer is never, there is no time to retry after.
        """
        error = BurstExceeded("images", tokens=5, burst=2)

        assert ("images", None, 5, 2) == (
            error.name,
            error.retry_after,
            error.tokens,
            error.burst,
        )

    def test_configuration_error_lists_every_problem(self):
        """
        If a configuration has several problems, all of them are there.
        """
        assert ("a: b", "c: d") == ConfigurationError(["a: b", "c: d"]).problems
        assert ("a: b",) == ConfigurationError("a: b").problems

    def test_unknown_name_names_the_nearest(self):
        """
        If a name is unknown, the error carries it and what comes nearest.
        """
        error = UnknownNameError("limiter", "imges", ["images"])

        assert ("limiter", "imges", ("images",)) == (
            error.kind,
            error.name,
            error.nearest,
        )


class TestCircuitOpenError:
    def test_last_failure_is_the_cause(self):
        """
        If a call is refused, the failure seen last is its cause.
        """
        failure = OSError("down")

        error = CircuitOpenError("images", CircuitState.OPEN, 30.0, failure)

        assert failure is error.last_failure
        assert failure is error.__cause__

    def test_cause_survives_pickling(self):
        """
        If the failure can be pickled, it is the cause at the other end, too.
        """
        error = CircuitOpenError("images", CircuitState.OPEN, 30.0, OSError("down"))

        arrived = pickle.loads(pickle.dumps(error))

        assert isinstance(arrived.__cause__, OSError)
        assert arrived.last_failure is arrived.__cause__

    @pytest.mark.parametrize(
        ("failure", "text"),
        [
            (Picky(1, detail="no"), "Picky: 1: no"),
            (RuntimeError(lambda: None), "RuntimeError: <function"),
            (Mute(), "Mute, which cannot be shown"),
        ],
    )
    def test_failure_that_cannot_be_pickled_arrives_as_text(self, failure, text):
        """
        If the failure does not survive pickling, its text arrives instead.
        """
        error = CircuitOpenError("images", CircuitState.OPEN, 30.0, failure)

        arrived = pickle.loads(pickle.dumps(error))

        assert SwitchgearError is type(arrived.last_failure)
        assert str(arrived.last_failure).startswith(text)
        assert failure is error.last_failure
