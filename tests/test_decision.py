"""
The answer to "may I, now?".
"""

from __future__ import annotations

import copy
import math
import pickle

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from switchgear import RateLimiter
from switchgear._decision import ADMITTED, READY_MADE, Decision, to_seconds
from switchgear._validate import nanoseconds


YES = Decision(admitted=True, retry_after=0.0, remaining=3)
NO = Decision(admitted=False, retry_after=1.5, remaining=0)
NEVER_KNOWN = Decision(admitted=False, retry_after=None, remaining=0)


class TestDecision:
    def test_truth(self):
        """
        If it is admitted it is true, else false, though no tuple is empty.
        """
        assert YES
        assert not NO
        assert not NEVER_KNOWN

    def test_attributes(self):
        """
        If it is asked, it names all three parts.
        """
        assert (True, 0.0, 3) == (YES.admitted, YES.retry_after, YES.remaining)
        assert (False, 1.5, 0) == (NO.admitted, NO.retry_after, NO.remaining)
        assert NEVER_KNOWN.retry_after is None

    @pytest.mark.parametrize("name", ["admitted", "retry_after", "remaining", "extra"])
    def test_immutable(self, name):
        """
        If somebody assigns to an attribute, it is refused.
        """
        with pytest.raises(AttributeError):
            setattr(YES, name, 1)

    def test_repr(self):
        """
        If it is shown, the text makes an equal one.
        """
        text = "Decision(admitted=False, retry_after=1.5, remaining=0)"

        assert text == repr(NO)
        assert NO == eval(text)  # noqa: S307 -- written above

    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    @pytest.mark.parametrize("decision", [YES, NO, NEVER_KNOWN])
    def test_pickles(self, decision, protocol):
        """
        If it is pickled, what comes out is an equal decision.
        """
        again = pickle.loads(pickle.dumps(decision, protocol))

        assert decision == again
        assert isinstance(again, Decision)

    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy])
    def test_copies(self, again):
        """
        If it is copied, the copy is an equal decision.
        """
        assert YES == again(YES)
        assert isinstance(again(YES), Decision)

    def test_ready_made(self):
        """
        If it is looked up instead of built, it is what would have been built.
        """
        assert READY_MADE == len(ADMITTED)
        for remaining in (0, 1, READY_MADE - 1):
            assert Decision(True, 0.0, remaining) == ADMITTED[remaining]

    @pytest.mark.parametrize("burst", [READY_MADE, READY_MADE + 1, READY_MADE + 2])
    def test_not_ready_made(self, burst):
        """
        If more remain than are ready made, the answer is built.
        """
        decision = RateLimiter(1e-9, burst=burst).try_acquire()

        assert isinstance(decision, Decision)
        assert Decision(True, 0.0, burst - 1) == decision


class TestToSeconds:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [(0, 0.0), (1, 1e-9), (10**9, 1.0), (333_333_334, 0.333333334)],
    )
    def test_table(self, given, expected):
        """
        If nanoseconds have a natural float, that is it.
        """
        assert expected == to_seconds(given)

    @given(st.integers(0, 50 * 86_400 * 10**9))
    def test_goes_back_and_forth(self, given):
        """
        If it is less than fifty days, rounding gives the number back.
        """
        assert given == nanoseconds(to_seconds(given))

    @given(st.integers(0, 10**27))
    @example(5_649_960_845_552_312_419)  # the nearest float is shorter
    def test_never_shorter(self, given):
        """
        If it is longer than a float can tell, it is rounded up: waiting that
        long is enough; and no float less would be.
        """
        seconds = to_seconds(given)

        assert nanoseconds(seconds) >= given
        assert nanoseconds(math.nextafter(seconds, 0)) < given or (
            nanoseconds(seconds) == given
        )
