"""
What a status means.
"""

from __future__ import annotations

import pickle

import pytest

from switchgear import SwitchgearError
from switchgear.http import Hint, Meaning, StatusError, meaning_of


NOTHING = Hint()
LATER = Hint(retry_after=5.0, header="retry-after")
EXHAUSTED = Hint(exhausted=True)


class TestMeaningOf:
    """
    ``meaning_of()``.
    """

    @pytest.mark.parametrize(
        ("status", "hint", "meaning"),
        [
            (429, NOTHING, Meaning.THROTTLED),
            (429, LATER, Meaning.THROTTLED),
            (403, NOTHING, Meaning.SUCCESS),
            (403, LATER, Meaning.THROTTLED),
            (403, EXHAUSTED, Meaning.THROTTLED),
            (407, NOTHING, Meaning.SUCCESS),
            (408, NOTHING, Meaning.FAILURE),
            (409, LATER, Meaning.SUCCESS),
            (499, NOTHING, Meaning.SUCCESS),
            (500, NOTHING, Meaning.FAILURE),
            (501, NOTHING, Meaning.SUCCESS),
            (502, NOTHING, Meaning.FAILURE),
            (503, LATER, Meaning.FAILURE),
            (504, NOTHING, Meaning.FAILURE),
            (505, NOTHING, Meaning.SUCCESS),
            (529, NOTHING, Meaning.FAILURE),
            (599, NOTHING, Meaning.FAILURE),
            (600, NOTHING, Meaning.SUCCESS),
            (200, NOTHING, Meaning.SUCCESS),
            (302, NOTHING, Meaning.SUCCESS),
        ],
    )
    def test_of_a_status(self, status, hint, meaning):
        """
        If nobody says otherwise, a status means what the field takes it to mean.
        """
        assert meaning_of(status, hint) is meaning


class TestStatusError:
    """
    :class:`switchgear.http.StatusError`.
    """

    def test_says_what_it_was(self):
        """
        If a response was a failure, its text and attributes say so in one line.
        """
        error = StatusError(503, 7.5)

        assert isinstance(error, SwitchgearError)
        assert str(error) == "the service answered with status 503; retry in 7.5 s"
        assert str(StatusError(500)) == "the service answered with status 500"

    def test_travels(self):
        """
        If it is pickled, it arrives as it was.
        """
        error = pickle.loads(pickle.dumps(StatusError(503, 7.5)))

        assert (error.status, error.retry_after) == (503, 7.5)
