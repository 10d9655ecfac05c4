"""
The judgement of calls.
"""

from __future__ import annotations

import asyncio
import re

import pytest

from switchgear._core.outcomes import Judge, Outcome, is_cancellation
from switchgear.errors import BurstExceeded, CircuitOpenError, RateLimitExceeded
from switchgear.events import CircuitState


FAILURE, IGNORED, SUCCESS = Outcome.FAILURE, Outcome.IGNORED, Outcome.SUCCESS


class Unlucky(Exception):
    pass


class TestOfException:
    @pytest.mark.parametrize(
        "error",
        [
            asyncio.CancelledError(),
            KeyboardInterrupt(),
            SystemExit(),
            GeneratorExit(),
            BaseExceptionGroup("", [KeyboardInterrupt()]),
        ],
    )
    def test_what_is_no_exception_is_ignored_first(self, error):
        """
        If it is no ``Exception``, it is ignored, whatever *failure_on* says.
        """
        judge = Judge(failure_on=BaseException)

        assert judge.of_exception(error) is IGNORED

    @pytest.mark.parametrize(
        "error",
        [
            CircuitOpenError("b", CircuitState.OPEN, 1.0),
            RateLimitExceeded("l", 1.0),
            BurstExceeded("l", tokens=2, burst=1),
        ],
    )
    def test_a_refusal_of_ours_is_ignored_before_failure_on(self, error):
        """
        If it is a ``CallNotPermitted``, it is ignored: no call was made.
        """
        judge = Judge(failure_on=(type(error), Exception))

        assert judge.of_exception(error) is IGNORED

    def test_it_says_what_it_was_made_of(self):
        """
        If another is to differ in one thing, the others can be asked for.
        """
        judge = Judge(
            failure_on=OSError, ignore=(KeyError, callable), failure_when=callable
        )

        assert OSError is judge.failure_on
        assert (KeyError, callable) == judge.ignore
        assert callable is judge.failure_when

    def test_ignore_goes_before_failure_on(self):
        """
        If both match, the exception is ignored.
        """
        judge = Judge(failure_on=LookupError, ignore=KeyError)

        assert judge.of_exception(KeyError()) is IGNORED
        assert judge.of_exception(IndexError()) is FAILURE

    def test_anything_else_is_a_success(self):
        """
        If neither matches, the service answered.
        """
        assert Judge(failure_on=OSError).of_exception(ValueError()) is SUCCESS

    def test_every_exception_is_a_failure_by_default(self):
        """
        If nothing was said, every ``Exception`` is a failure.
        """
        assert Judge().of_exception(Unlucky()) is FAILURE

    @pytest.mark.parametrize(
        ("matcher", "matches"),
        [
            (Unlucky, True),
            (OSError, False),
            (lambda error: error.args == (1,), True),
            (lambda error: error.args == (2,), False),
            ((OSError, lambda error: error.args == (1,)), True),
            ((OSError, Unlucky), True),
            ((lambda error: False, OSError), False),
            ((), False),
        ],
    )
    def test_matchers_are_types_predicates_or_tuples_of_these(self, matcher, matches):
        """
        If any part of a matcher fits, it matches, for both settings alike.
        """
        error = Unlucky(1)

        assert (FAILURE if matches else SUCCESS) is Judge(matcher).of_exception(error)
        assert (IGNORED if matches else FAILURE) is Judge(
            Exception, matcher
        ).of_exception(error)

    def test_a_predicate_that_raises_is_heard(self):
        """
        If a predicate raises, its exception comes out.
        """
        judge = Judge(failure_on=lambda error: error.status >= 500)

        with pytest.raises(AttributeError, match="status"):
            judge.of_exception(Unlucky())


class TestOfResult:
    def test_a_result_is_judged_by_failure_when(self):
        """
        If *failure_when* says so, a returned value is a failure.
        """
        judge = Judge(failure_when=lambda status: status >= 500)

        assert judge.of_result(503) is FAILURE
        assert judge.of_result(200) is SUCCESS

    def test_any_result_is_a_success_without_it(self):
        """
        If there is no *failure_when*, what returns has succeeded.
        """
        assert Judge().of_result(None) is SUCCESS


class TestBadArguments:
    @pytest.mark.parametrize("name", ["failure_on", "ignore"])
    @pytest.mark.parametrize(
        "value", [None, 1, "OSError", [OSError], (OSError, 1), int]
    )
    def test_what_is_no_matcher_is_refused(self, name, value):
        """
        If a matcher is neither type, predicate nor tuple, the error says so.
        """
        with pytest.raises(
            TypeError, match=f"^{name} must be an exception type, a predicate"
        ):
            Judge(**{name: value})

    @pytest.mark.parametrize("value", [1, OSError, (len,)])
    def test_failure_when_is_a_function(self, value):
        """
        If *failure_when* is no function, the error names it and the value.
        """
        with pytest.raises(
            TypeError,
            match=re.escape(
                f"failure_when must be a function of the result, not {value!r}"
            ),
        ):
            Judge(failure_when=value)

    @pytest.mark.parametrize("name", ["failure_on", "ignore", "failure_when"])
    def test_a_coroutine_function_is_no_predicate(self, name):
        """
        If a predicate is a coroutine function, it is refused: all it returns
        is true.
        """

        async def predicate(error):
            return False

        class Callable:
            async def __call__(self, error):
                return False

        for one in (predicate, Callable()):
            with pytest.raises(TypeError, match=f"^{name} must be no coroutine"):
                Judge(**{name: one})


class TestIsCancellation:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (asyncio.CancelledError(), True),
            (KeyboardInterrupt(), False),
            (SystemExit(), False),
            (GeneratorExit(), False),
            (TimeoutError(), False),
        ],
    )
    def test_only_frameworks_cancel(self, error, expected):
        """
        If it is neither an ``Exception`` nor the interpreter's own, somebody
        cancelled the call.
        """
        assert expected is is_cancellation(error)
