import pytest

from interrupting import points, stop

from switchgear import AtomicCounter


@pytest.fixture
def counter():
    return AtomicCounter()


class TestPoints:
    def test_all_there_are(self, counter):
        """
        If a loop goes through the points of a call, a handler runs at each of them,
        and the last time round the call is left alone.
        """
        heard = []
        for come_in in points(2):
            was_there = come_in(counter.increment, lambda: heard.append(None))
            assert was_there is (come_in.number == len(heard))

        assert come_in.number == len(heard) + 1 == counter.value

    def test_what_is_raised_ends_the_call(self, counter):
        """
        If the handler raises, the call is not gone on with, and the loop is.
        """
        done = []

        def call():
            counter.increment()
            done.append(None)

        for come_in in points(2):
            come_in(call, stop)

        assert [None] == done

    def test_other_errors_come_out(self, counter):
        """
        If what is interrupted raises something else, that is not hidden.
        """
        with pytest.raises(TypeError):
            next(points())(counter.increment, lambda: counter.increment("one"))

    def test_fewer_than_meant(self, counter):
        """
        If there are fewer points than the loop is meant to see, it fails.
        """
        there = sum(come_in(counter.increment, stop) for come_in in points(2))
        for come_in in points(there):
            come_in(counter.increment, stop)

        with pytest.raises(AssertionError, match=f"only {there} points"):
            for come_in in points(there + 1):
                come_in(counter.increment, stop)

    def test_nobody_tries(self):
        """
        If the body of the loop tries nothing, it fails instead of going on for ever.
        """
        with pytest.raises(AssertionError, match="tried nothing"):
            for _ in points():
                pass

    def test_tried_twice(self, counter):
        """
        If a body tries its point twice, it fails: there would be only one answer.
        """
        come_in = next(points())
        come_in(counter.increment, stop)

        with pytest.raises(AssertionError, match="tried twice"):
            come_in(counter.increment, stop)
