from __future__ import annotations

import signal

import pytest

from interruption import Interruption


@pytest.fixture
def interruption():
    """
    One that listens for Ctrl-C, until the test ends.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    interruption = Interruption()
    interruption.listen()
    yield interruption
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def interrupted(number):
    """
    Return whether a signal raises KeyboardInterrupt, which would end pytest.
    """
    try:
        signal.raise_signal(number)
    except KeyboardInterrupt:
        return True
    return False


class TestListen:
    def test_the_first_counts(self, interruption):
        """
        If Ctrl-C comes more than once, the first raises, and no other.
        """
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

        assert not interrupted(signal.SIGINT)
        assert not interrupted(signal.SIGTERM)

    def test_sigterm(self, interruption):
        """
        If SIGTERM comes, that is the same.
        """
        assert interrupted(signal.SIGTERM)
        assert not interrupted(signal.SIGINT)

    def test_not_any_more(self, interruption):
        """
        If what is left is short, neither interrupts it.
        """
        interruption.ignore()

        assert not interrupted(signal.SIGINT)
        assert not interrupted(signal.SIGTERM)

    def test_background_jobs(self):
        """
        If this is a background job, it goes on ignoring Ctrl-C.
        """
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        other = signal.getsignal(signal.SIGTERM)
        try:
            Interruption().listen()

            assert not interrupted(signal.SIGINT)
        finally:
            signal.signal(signal.SIGINT, before)
            signal.signal(signal.SIGTERM, other)


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
