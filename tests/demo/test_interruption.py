from __future__ import annotations

import signal

import pytest

from interruption import Interruption


@pytest.fixture
def interruption():
    """
    One that listens for Ctrl-C, until the test ends.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    interruption = Interruption()
    interruption.listen()
    yield interruption
    signal.signal(signal.SIGINT, before)


class TestListen:
    def test_the_first_counts(self, interruption):
        """
        If Ctrl-C comes more than once, the first raises, and no other.
        """
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

        signal.raise_signal(signal.SIGINT)

    def test_background_jobs(self):
        """
        If this is a background job, it goes on ignoring Ctrl-C.
        """
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            Interruption().listen()
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.signal(signal.SIGINT, before)


class TestPostponed:
    def test_it_comes_at_the_end(self, interruption):
        """
        If Ctrl-C comes inside the block, it raises at its end.
        """
        done = []
        with pytest.raises(KeyboardInterrupt), interruption.postponed():
            signal.raise_signal(signal.SIGINT)
            done.append("the rest")

        assert ["the rest"] == done

    def test_it_does_not_come_again(self, interruption):
        """
        If Ctrl-C came before the block, that is over.
        """
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

        with interruption.postponed():
            pass

    def test_afterwards(self, interruption):
        """
        If Ctrl-C comes after the block, it raises at once.
        """
        with interruption.postponed():
            pass

        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
