from __future__ import annotations

import threading

import pytest

from parties import Party

from switchgear import RateLimiter, _bypass, _listeners, protected
from switchgear._instance import Instance
from switchgear._listeners import Outbox
from switchgear._registry import registry
from switchgear.errors import CircuitOpenError, RateLimitExceeded, UnknownNameError
from switchgear.events import LimiterClosed, LimiterEvent, LimiterReopened
from switchgear.testing import (
    ManualClock,
    capture_events,
    disabled,
    isolated_registry,
)


PATIENCE = 20.0


class TestIsolatedRegistry:
    def test_names_start_afresh_inside_and_are_back_after(self):
        """
        If a test isolates the registry, names of before are unknown inside,
        and names of inside are unknown after; what was there is there again.
        """
        with isolated_registry() as outer:
            before = registry.counter("before")

            assert registry is outer

            with isolated_registry():
                assert "before" not in registry

                inside = registry.counter("before")
                registry.counter("inside")

                assert inside is not before

            assert before is registry.counter("before")
            assert "inside" not in registry

        assert "before" not in registry

    def test_a_block_may_end_before_those_within_it(self):
        """
        If blocks end out of order, as fixtures of different scopes do, each
        takes along what it held, and nothing is left in the end.
        """
        before = registry.names()
        with isolated_registry(clock=ManualClock()):
            outer, inner = isolated_registry(), isolated_registry()
            outer.__enter__()
            registry.limiter("of the outer", burst=3)
            inner.__enter__()
            registry.limiter("of the inner", burst=4)
            held = registry.limiter("of the outer")

            outer.__exit__(None, None, None)

            assert ("of the inner", "of the outer") == registry.names()
            assert held is registry.limiter("of the outer")
            registry.remove("of the outer")
            with pytest.raises(UnknownNameError):
                registry.limiter("of the outer")

            inner.__exit__(None, None, None)

            assert () == registry.names()

        assert before == registry.names()

    def test_names_defined_outside_are_found_inside_as_new_instances(self):
        """
        If a name was defined outside, it is found inside by its definition,
        as an instance of its own, however deep the blocks are.
        """
        with isolated_registry():
            outside = registry.limiter("images", calls_per_second=7, burst=3)
            outside.try_acquire(3)

            with isolated_registry(), isolated_registry():
                assert "images" not in registry

                inside = registry.limiter("images")

                assert 7.0 == inside.settings()["calls_per_second"]
                assert 3 == inside.snapshot().available
                assert inside is registry.limiter("images")

            assert outside is registry.limiter("images")

    def test_blocks_define_names_as_they_like(self):
        """
        If a block defines a name before it looks it up, or removes it, what
        was defined outside does not matter.
        """
        with isolated_registry():
            registry.limiter("images", calls_per_second=7)

            with isolated_registry():
                other = registry.limiter("images", calls_per_second=9)

                assert 9.0 == other.settings()["calls_per_second"]

                registry.remove("images")

                with pytest.raises(UnknownNameError):
                    registry.limiter("images")

            assert 7.0 == registry.limiter("images").settings()["calls_per_second"]

    def test_registry_is_restored_whatever_the_block_did(self):
        """
        If the block fails, the registry is as it was before.
        """
        with isolated_registry():
            before = registry.counter("before")
            with pytest.raises(ValueError, match="no"), isolated_registry():
                registry.counter("inside")
                raise ValueError("no")

            assert before is registry.counter("before")
            assert "inside" not in registry

    def test_a_clock_for_all_that_names_none(self):
        """
        If a block is given a clock, what is made inside goes by it: decorated
        functions, templates, names of before and of inside; but for what names
        a clock itself. Afterwards all is as it was.
        """
        clock, own = ManualClock(), ManualClock()

        with isolated_registry():

            @protected("images", threshold=1, cooldown=120.0, calls_per_second=1)
            def fail():
                raise TimeoutError

            registry.limiter("before", calls_per_second=1)
            with isolated_registry(clock=clock), isolated_registry():
                registry.limiter("own", calls_per_second=1, clock=own)
                limiters = [
                    registry.limiter("before"),
                    registry.keyed_limiter("before")["key"],
                    registry.limiter("inside", calls_per_second=1),
                ]
                with pytest.raises(TimeoutError):
                    fail()
                with pytest.raises(CircuitOpenError):
                    fail()
                clock.advance(120.0)
                with pytest.raises(TimeoutError):
                    fail()

                assert {clock} == {limiter._clock for limiter in limiters}
                assert own is registry.limiter("own")._clock

            for name in ("before", "after"):
                limiter = registry.limiter(name, calls_per_second=1)
                assert clock is not limiter._clock

    def test_definitions_agree_with_or_without_a_clock(self):
        """
        If a block is given a clock, that is no part of any definition.
        """
        with isolated_registry(clock=ManualClock()):
            first = registry.limiter("images", burst=2)

            assert first is registry.limiter("images", burst=2)
            assert registry.configure({"limiters": {"images": {"burst": 3}}}) == {
                "limiters.images.burst": (2, 3)
            }
            assert 3 == first.settings()["burst"]

    def test_who_still_waits_is_sent_away(self):
        """
        If a block ends while a thread waits in it, the thread is sent away: it
        would wait for ever on a clock that nobody moves any more.
        """
        clock = ManualClock()
        with isolated_registry(clock=clock):
            limiter = registry.limiter("images", calls_per_second=1)
            limiter.wait()
            waiter = Party(limiter.wait)
            clock.wait_for_sleepers(1)

        with pytest.raises(RateLimitExceeded, match="isolated registry"):
            waiter.outcome()


class TestCaptureEvents:
    def test_events_are_collected_inside_only(self):
        """
        If something happens within the block, it is in the list, which stays.
        """
        outbox = Outbox()
        happened = [LimiterReopened(at=float(at), limiter="images") for at in range(3)]
        outbox.put(happened[0])
        outbox.deliver()
        with capture_events() as captured:
            outbox.put(happened[1])
            outbox.deliver()

            assert [happened[1]] == captured

        outbox.put(happened[2])
        outbox.deliver()

        assert [happened[1]] == captured

    def test_types_choose(self):
        """
        If types are named, only they and their subclasses are collected.
        """
        outbox = Outbox()
        reopened = LimiterReopened(at=1.0, limiter="images")
        closed = LimiterClosed(at=2.0, limiter="images", reason="", waiting=0)
        with (
            capture_events(LimiterClosed) as some,
            capture_events(LimiterEvent) as all_of_them,
        ):
            outbox.put(reopened)
            outbox.put(closed)
            outbox.deliver()

        assert [closed] == some
        assert [reopened, closed] == all_of_them

    def test_subscription_ends_whatever_the_block_did(self):
        """
        If the block fails, nobody listens any more.
        """
        before = _listeners.EVERYWHERE._who
        with pytest.raises(ValueError, match="no"), capture_events():
            raise ValueError("no")

        assert before == _listeners.EVERYWHERE._who

    def test_what_is_no_event_class_is_refused(self):
        """
        If a type is no event class, that is said at once.
        """
        with pytest.raises(TypeError, match="event_types must be"):
            capture_events(int).__enter__()


class TestDisabled:
    def test_protection_is_off_inside_only(self):
        """
        If blocks nest or fail, protection is back when the last one ends.
        """
        assert 0 == _bypass.active

        with disabled():
            assert 1 == _bypass.active

            with pytest.raises(ValueError, match="no"), disabled():
                assert 2 == _bypass.active
                raise ValueError("no")

            assert 1 == _bypass.active
        assert 0 == _bypass.active

    def test_instances_take_notice_when_protection_goes_off_and_on(self):
        """
        If a block opens or closes, every limiter and breaker is told.
        """
        told = []

        class Noticing(Instance):
            __slots__ = ()

            def _note_bypass(self):
                told.append(_bypass.active)

        instance = Noticing("images")
        with disabled():
            assert [1] == told

        assert [1, 0] == told
        assert "images" == instance.name

    def test_one_that_takes_no_notice_keeps_no_other_from_it(self):
        """
        If instances raise as a block opens and closes, all are told all the same.
        """
        told = []

        class Raising(Instance):
            __slots__ = ()

            def _note_bypass(self):
                told.append(self.name)
                raise OSError(self.name)

        instances = [Raising(name) for name in ("a", "b", "c")]
        with pytest.raises(OSError, match=r"a|b|c"), disabled():
            pytest.fail("it was not raised")

        assert ["a", "a", "b", "b", "c", "c"] == sorted(told)
        assert 3 == len(instances)

    def test_protection_is_back_whatever_is_raised(self, failing_clock):
        """
        If a clock raises as a block opens or closes, protection is on afterwards.
        """
        broken = RateLimiter(1, clock=failing_clock)
        others = [RateLimiter(1, clock=ManualClock()) for _ in range(20)]
        for limiter in others:
            limiter.wait()

        failing_clock.is_broken = True
        with pytest.raises(OSError, match="no time"), disabled():
            pytest.fail("not all were told")

        assert 0 == _bypass.active
        assert not any(limiter.try_acquire() for limiter in others)

        failing_clock.is_broken = False
        with pytest.raises(OSError, match="no time"), disabled():
            assert all(limiter.try_acquire() for limiter in [broken, *others])
            failing_clock.is_broken = True

        assert 0 == _bypass.active
        assert not any(limiter.try_acquire() for limiter in others)

    def test_blocks_of_several_threads_overlap(self):
        """
        If threads open and close blocks at once, none is lost from the count.
        """
        barrier = threading.Barrier(5)

        def body():
            for _ in range(300):
                with disabled():
                    assert _bypass.active
            barrier.wait(PATIENCE)
            with disabled():
                barrier.wait(PATIENCE)
                barrier.wait(PATIENCE)

        threads = [threading.Thread(target=body, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        barrier.wait(PATIENCE)
        barrier.wait(PATIENCE)

        assert 4 == _bypass.active

        barrier.wait(PATIENCE)
        for thread in threads:
            thread.join(PATIENCE)

        assert 0 == _bypass.active

    def test_child_can_open_a_block_though_the_parent_was_at_it(self, in_child):
        """
        If the parent forks while a thread opens a block, the child can open one.
        """
        from switchgear.testing import _isolation

        held = threading.Event()
        leave = threading.Event()

        def hold():
            with _isolation._depth._lock:
                held.set()
                assert leave.wait(PATIENCE)

        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        assert held.wait(PATIENCE)

        def child():
            with disabled():
                assert _bypass.active

        in_child(child)
        leave.set()
        thread.join(PATIENCE)
