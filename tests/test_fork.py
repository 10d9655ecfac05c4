from __future__ import annotations

import gc
import threading
import weakref

import pytest

from interrupting import Stop, points, stop

from switchgear import _fork


PATIENCE = 20.0


class Owner:
    """
    Own a lock that a forked child must not inherit held.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.told = 0

    def _after_fork(self):
        self.lock = threading.Lock()
        self.told += 1


@pytest.fixture
def owner():
    """
    An owner that is told in forked children.
    """
    owner = Owner()
    _fork.track(owner)
    return owner


@pytest.fixture
def late(owner, monkeypatch):
    """
    One that comes while those that are tracked, *owner* alone, are gone through.
    """
    late = Owner()

    class Changing:
        def __iter__(self):
            monkeypatch.setattr(_fork, "_tracked", [owner, late])
            yield owner
            raise RuntimeError("Set changed size during iteration")

    monkeypatch.setattr(_fork, "_tracked", Changing())
    return late


class TestTrack:
    def test_held_lock_is_replaced_in_the_child(self, owner, in_child):
        """
        If another thread holds a lock while the parent forks, the child has a
        lock of its own, and the parent keeps the held one.
        """
        held = threading.Event()
        leave = threading.Event()

        def hold():
            with owner.lock:
                held.set()
                assert leave.wait(PATIENCE)

        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        assert held.wait(PATIENCE)

        def child():
            with owner.lock:
                assert 1 == owner.told

        in_child(child)

        assert owner.lock.locked()
        assert 0 == owner.told

        leave.set()
        thread.join(PATIENCE)

    def test_tracking_keeps_nothing_alive(self):
        """
        If nobody else holds an owner, it is collected.
        """
        owner = Owner()
        _fork.track(owner)
        watch = weakref.ref(owner)
        del owner
        gc.collect()

        assert watch() is None

    def test_untracked_owners_are_left_to_their_container(self, owner, in_child):
        """
        If a container tells its own, the process does not tell them as well.
        """
        _fork.untrack(owner)
        _fork.untrack(owner)

        def child():
            assert 0 == owner.told

        in_child(child)


class TestTracked:
    def test_lists_who_is_tracked(self, owner):
        """
        If somebody asks, everybody who is tracked is in the list.
        """
        assert owner in _fork.tracked()

        _fork.untrack(owner)

        assert owner not in _fork.tracked()

    def test_looks_again_if_somebody_came_meanwhile(self, owner, late):
        """
        If another thread tracks somebody while the list is made, it is made
        once more.
        """
        assert [owner, late] == _fork.tracked()


class TestAfterForkInChild:
    def test_one_that_fails_does_not_keep_the_others_from_their_locks(self, owner):
        """
        If a thread was just making an object while another forked, that one
        may fail; all others are told, and the error is shown.
        """

        class HalfMade:
            def _after_fork(self):
                raise AttributeError("_lock")

        halves = [HalfMade(), HalfMade()]
        more = [Owner() for _ in range(8)]
        for one in (*halves, *more):
            _fork.track(one)
        try:
            with pytest.raises(ExceptionGroup, match="cannot be used") as caught:
                _fork._after_fork_in_child()
        finally:
            for one in halves:
                _fork.untrack(one)

        assert 2 == len(caught.value.exceptions)
        assert [1] * 9 == [one.told for one in (owner, *more)]

    def test_interrupted_all_have_their_locks(self, owner):
        """
        If Ctrl-C comes anywhere while they are told, all are told; and it comes out.
        """
        others = [Owner() for _ in range(3)]
        for one in others:
            _fork.track(one)
        heard = 0
        for come_in in points():
            before = [one.told for one in (owner, *others)]
            caught = []

            def tell(caught=caught):
                try:
                    _fork._after_fork_in_child()
                except BaseExceptionGroup as group:
                    caught.extend(group.exceptions)

            # Not at its very beginning: nothing of ours runs there yet.
            come_in(tell, stop, without={("call", "_after_fork_in_child")})
            told = [one.told for one in (owner, *others)]

            assert all(now > was for now, was in zip(told, before, strict=True))
            heard += [Stop] == [type(one) for one in caught]

        assert heard > 10

    def test_looks_again_if_somebody_comes_meanwhile(self, owner, late):
        """
        If a signal handler makes an object while they are listed, all are told.
        """
        _fork._after_fork_in_child()

        assert (1, 1) == (owner.told, late.told)
