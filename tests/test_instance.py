from __future__ import annotations

import copy
import pickle
import threading

import pytest

from switchgear._instance import Instance
from switchgear.events import LimiterPaused, LimiterReopened


PATIENCE = 20.0


class TestName:
    @pytest.mark.parametrize("name", [None, "images"])
    def test_name_is_the_one_given(self, name):
        """
        If an instance was given a name, or none, that is its name.
        """
        assert name == Instance(name).name

    @pytest.mark.parametrize("name", ["", "a[b]", "a\nb", 5])
    def test_bad_names_are_refused(self, name):
        """
        If a name could not stand in a log, no instance is made.
        """
        with pytest.raises((ValueError, TypeError), match=r"^name must"):
            Instance(name)


class TestSubscribe:
    def test_listener_hears_of_this_instance_alone(self):
        """
        If a listener subscribes to an instance, no other one tells it.
        """
        one, other = Instance("one"), Instance("other")
        told = []
        end = one.subscribe(told.append, LimiterPaused)
        for instance in (one, other):
            paused = LimiterPaused(at=1.0, limiter=instance.name, paused_for=1.0)
            with instance._lock:
                instance._outbox.put(paused)
                instance._outbox.put(LimiterReopened(at=1.0, limiter=instance.name))
            instance._outbox.deliver()
        end()

        assert ["one"] == [event.limiter for event in told]


class TestPickling:
    @pytest.mark.parametrize("name", [None, "images"])
    @pytest.mark.parametrize("act", [pickle.dumps, copy.copy, copy.deepcopy])
    def test_refuses_without_a_home(self, name, act):
        """
        If an instance is not of the default registry, it neither pickles nor
        copies, and says so.
        """
        with pytest.raises(TypeError, match=r"^Instance '.*' cannot be pickled or"):
            act(Instance(name))

    def test_goes_by_its_home(self):
        """
        If the registry says how to find an instance, that is what is pickled.
        """
        instance = Instance("images")
        instance._home = (str, ("images",))

        assert "images" == pickle.loads(pickle.dumps(instance))
        assert "images" == copy.copy(instance)


class TestFork:
    def test_child_has_a_lock_of_its_own(self, in_child):
        """
        If another thread holds the lock while the parent forks, the child can
        take it, and hears none of the parent's events.
        """
        instance = Instance("images")
        told = []
        instance.subscribe(told.append)
        instance._outbox.put(LimiterReopened(at=1.0, limiter="images"))
        held = threading.Event()
        leave = threading.Event()

        def hold():
            with instance._lock:
                held.set()
                assert leave.wait(PATIENCE)

        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        assert held.wait(PATIENCE)

        def child():
            with instance._lock:
                instance._outbox.put(LimiterReopened(at=2.0, limiter="images"))
            instance._outbox.deliver()

            assert [2.0] == [event.at for event in told]

        in_child(child)
        leave.set()
        thread.join(PATIENCE)
        instance._outbox.deliver()

        assert [1.0] == [event.at for event in told]
