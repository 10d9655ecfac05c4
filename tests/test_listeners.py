from __future__ import annotations

import functools
import gc
import logging
import os
import signal
import sys
import threading
import weakref

import pytest

from switchgear import _listeners, subscribe
from switchgear._listeners import EVERYWHERE, Outbox, Subscriptions
from switchgear.events import (
    CircuitClosed,
    CircuitEvent,
    CircuitState,
    Event,
    LimiterPaused,
    LimiterReopened,
)
from switchgear.testing import capture_events


PATIENCE = 20.0


def event(number):
    """
    An event that nobody but these tests understands by its time.
    """
    return LimiterReopened(at=float(number), limiter="images")


def numbers(events):
    return [int(one.at) for one in events]


@pytest.fixture
def outbox():
    """
    The outbox of one instance.
    """
    return Outbox()


@pytest.fixture
def told(outbox):
    """
    The events of that instance, as one listener hears of them.
    """
    events = []
    outbox.subscribe(events.append)
    return events


@pytest.fixture
def start():
    """
    A function that starts a thread, whose end the test waits for.
    """
    threads = []
    errors = []

    def run(function):
        def body():
            try:
                function()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=body, daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield run

    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert [] == errors


class TestSubscribe:
    def test_everywhere_means_every_instance(self):
        """
        If somebody subscribes to all instances, each tells them.
        """
        events = []
        unsubscribe = subscribe(events.append)
        for number in range(3):
            outbox = Outbox()
            outbox.put(event(number))
            outbox.deliver()
        unsubscribe()
        outbox.put(event(3))
        outbox.deliver()

        assert [0, 1, 2] == numbers(events)

    def test_types_choose_with_their_subclasses(self, outbox):
        """
        If types are named, they and their subclasses arrive, and nothing else.
        """
        events = []
        outbox.subscribe(events.append, LimiterPaused, CircuitEvent)
        closed = CircuitClosed(
            at=1.0, breaker=None, from_state=CircuitState.OPEN, reason="reset"
        )
        paused = LimiterPaused(at=2.0, limiter=None, paused_for=1.0)
        for one in (event(0), closed, event(1), paused):
            outbox.put(one)
        outbox.deliver()

        assert [closed, paused] == events

    def test_subscribed_twice_is_called_twice(self, outbox, told):
        """
        If a listener subscribes twice, ending one leaves the other.
        """
        end = outbox.subscribe(told.append)
        outbox.put(event(1))
        outbox.deliver()

        assert [1, 1] == numbers(told)

        end()
        end()
        outbox.put(event(2))
        outbox.deliver()

        assert [1, 1, 2] == numbers(told)

    @pytest.mark.parametrize("listener", [None, 5, "log"])
    def test_what_cannot_be_called_is_refused(self, listener):
        """
        If a listener is not callable, it is refused at once.
        """
        with pytest.raises(TypeError, match="listener must be callable, not "):
            subscribe(listener)

    def test_coroutine_function_is_refused(self):
        """
        If a listener would only return a coroutine or a generator, nobody
        would run it; it is refused at once, however it is dressed.
        """

        async def coroutine(event):
            pass

        async def agen(event):
            yield

        def gen(event):
            yield

        class Listener:
            async def __call__(self, event):
                pass

        for listener in (
            coroutine,
            agen,
            gen,
            functools.partial(coroutine, event=None),
            Listener(),
            Listener().__call__,
        ):
            with pytest.raises(TypeError, match="must be an ordinary function, not"):
                subscribe(listener)

    def test_class_may_be_a_listener(self, outbox):
        """
        If a class is subscribed, each event makes an instance; what those
        could do when called does not matter.
        """
        made = []

        class Record:
            def __init__(self, event):
                made.append(event)

            async def __call__(self):
                pass

        outbox.subscribe(Record)
        outbox.put(event(1))
        outbox.deliver()

        assert [1] == numbers(made)

    @pytest.mark.parametrize("kind", [int, "CircuitOpened", event(1), None, type])
    def test_what_is_no_event_class_is_refused(self, kind):
        """
        If one of the types is no event class, the subscription is refused.
        """
        before = EVERYWHERE._who

        with pytest.raises(TypeError, match="event_types must be event classes, not "):
            subscribe(print, Event, kind)
        assert before is EVERYWHERE._who

    def test_ended_subscription_keeps_nothing_alive(self, outbox):
        """
        If a subscription has ended, the listener can be collected.
        """

        class Listener:
            def __call__(self, event):
                pass

        listener = Listener()
        watch = weakref.ref(listener)
        end = outbox.subscribe(listener)
        outbox.wants(Event)
        end()
        del listener, end
        gc.collect()

        assert watch() is None


class TestWants:
    def test_events_nobody_wants_are_not_wanted(self):
        """
        If nobody asked for an event, the instance need not build it.
        """
        subscriptions = Subscriptions()

        assert not subscriptions.wants(LimiterPaused)

        end = subscriptions.add(print, LimiterPaused)

        assert subscriptions.wants(LimiterPaused)
        assert not subscriptions.wants(LimiterReopened)

        end()

        assert not subscriptions.wants(LimiterPaused)

    def test_subscribers_of_one_and_of_all_count(self, outbox, monkeypatch):
        """
        If either the instance or all of them have a listener, events are built.
        """
        monkeypatch.setattr(_listeners, "EVERYWHERE", Subscriptions())

        assert not outbox.wants(LimiterPaused)

        end = outbox.subscribe(print, LimiterPaused)

        assert outbox.wants(LimiterPaused)
        assert not outbox.wants(LimiterReopened)

        end()

        assert not outbox.wants(LimiterPaused)

        _listeners.EVERYWHERE.add(print, LimiterPaused)

        assert outbox.wants(LimiterPaused)

    def test_listeners_of_the_instance_are_seen(self, outbox):
        """
        If somebody listens to the instance itself, that shows, until it ends.
        """
        assert not outbox.has_listeners()

        end = outbox.subscribe(print)

        assert outbox.has_listeners()

        end()

        assert not outbox.has_listeners()

    def test_the_log_wants_what_it_shows(self, outbox, caplog):
        """
        If nothing was subscribed, what the log does not show is not built,
        whenever its level changes; a listener of ours is told all the same.
        """
        caplog.set_level(logging.WARNING, "switchgear")

        assert not outbox.wants(LimiterReopened)

        caplog.set_level(logging.INFO, "switchgear")

        assert outbox.wants(LimiterReopened)

        caplog.set_level(logging.WARNING, "switchgear")

        assert not outbox.wants(LimiterReopened)

        with capture_events():
            assert outbox.wants(LimiterReopened)

    def test_answer_of_a_slow_reader_does_not_survive_a_change(self):
        """
        If a subscription comes while somebody works out that nobody wants an
        event, that answer is not kept.
        """
        subscriptions = Subscriptions()

        class Wanted(Event):
            pass

        end = []
        real = subscriptions._who

        class Who(tuple):
            __slots__ = ()

            def __iter__(self):
                # The reader has begun; now somebody subscribes.
                if not end:
                    end.append("soon")
                    end.append(subscriptions.add(print, Wanted))
                return iter(real)

        subscriptions._who = Who()
        subscriptions.wants(Wanted)

        assert subscriptions.wants(Wanted)


class TestOrder:
    def test_events_arrive_in_the_order_they_happened(self, outbox, told):
        """
        If several events are pending, they arrive first come, first told.
        """
        for number in range(5):
            outbox.put(event(number))
        outbox.deliver()
        outbox.deliver()

        assert [0, 1, 2, 3, 4] == numbers(told)

    def test_a_listeners_own_events_follow_after_it_returns(self, outbox):
        """
        If a listener sets off an event of the same instance, everybody hears
        of the first before anybody hears of the second.
        """
        log = []

        def first(one):
            log.append(("first", one.at))
            if one.at < 3:
                outbox.put(event(one.at + 1))
                outbox.deliver()
                log.append(("first returns", one.at))

        outbox.subscribe(first)
        outbox.subscribe(lambda one: log.append(("second", one.at)))
        outbox.put(event(1))
        outbox.deliver()

        assert [
            ("first", 1),
            ("first returns", 1),
            ("second", 1),
            ("first", 2),
            ("first returns", 2),
            ("second", 2),
            ("first", 3),
            ("second", 3),
        ] == log

    def test_events_are_delivered_one_at_a_time(self, outbox, start):
        """
        If another thread has an event while a listener runs, it does not wait:
        whoever is delivering takes the event along.
        """
        inside = threading.Event()
        leave = threading.Event()
        calls = []

        def listener(one):
            calls.append((threading.current_thread(), one.at))
            if one.at == 1:
                inside.set()
                assert leave.wait(PATIENCE)

        def deliver_first():
            outbox.put(event(1))
            outbox.deliver()

        outbox.subscribe(listener)
        courier = start(deliver_first)
        assert inside.wait(PATIENCE)
        outbox.put(event(2))
        outbox.deliver()

        assert [(courier, 1)] == calls

        leave.set()
        courier.join(PATIENCE)

        assert [(courier, 1), (courier, 2)] == calls

    def test_event_put_while_the_courier_leaves_is_not_left_behind(
        self, outbox, told, start
    ):
        """
        If an event comes exactly when the courier has seen that nothing is
        left, and is about to leave, it is delivered all the same.
        """
        leaving = threading.Event()
        go_on = threading.Event()
        gate = outbox._gate

        class Gate:
            """
            Stop the courier on its way out, behind the gate.
            """

            def __enter__(self):
                gate.acquire()

            def __exit__(self, *_):
                empty = not outbox._pending
                gate.release()
                if told and empty and not leaving.is_set():
                    leaving.set()
                    assert go_on.wait(PATIENCE)

        outbox._gate = Gate()
        outbox.put(event(1))
        courier = start(outbox.deliver)
        assert leaving.wait(PATIENCE)
        outbox.put(event(2))
        outbox.deliver()
        go_on.set()
        courier.join(PATIENCE)

        assert [1, 2] == numbers(told)

    def test_many_threads_lose_and_double_nothing(self, outbox, start):
        """
        If many threads put and deliver at once, each event arrives once, and
        those of one thread in their order.
        """
        lock = threading.RLock()
        barrier = threading.Barrier(8)
        running = []
        told = []

        def listener(one):
            running.append(one)
            assert [one] == running
            told.append(one)
            running.pop()

        def body(thread):
            barrier.wait(PATIENCE)
            for number in range(200):
                with lock:
                    outbox.put(event(thread * 1000 + number))
                outbox.deliver()

        outbox.subscribe(listener)
        threads = [start(functools.partial(body, thread)) for thread in range(8)]
        for thread in threads:
            thread.join(PATIENCE)

        assert 1600 == len(told)
        for thread in range(8):
            mine = [one for one in numbers(told) if one // 1000 == thread]
            assert sorted(mine) == mine
            assert 200 == len(set(mine))

    def test_nobodys_lock_is_held_while_a_listener_runs(self, outbox, start):
        """
        If a listener waits for another thread that uses the same outbox and
        subscribes meanwhile, neither waits for the other.
        """
        blocked = []

        def listener(one):
            if one.at == 1:
                other = start(use)
                other.join(5)
                blocked.append(other.is_alive())

        def use():
            outbox.put(event(2))
            outbox.deliver()
            outbox.subscribe(print)()
            subscribe(print)()
            outbox.wants(LimiterPaused)

        outbox.subscribe(listener)
        outbox.put(event(1))
        outbox.deliver()

        assert [False] == blocked


class TestSubscribingInside:
    def test_unsubscribing_within_a_listener_takes_effect_at_once(self, outbox):
        """
        If a listener ends its own subscription or another's, neither is called
        any more, not even for the event at hand.
        """
        log = []
        ends = {}

        def first(one):
            log.append(("first", one.at))
            ends["first"]()
            ends["second"]()

        ends["first"] = outbox.subscribe(first)
        ends["second"] = outbox.subscribe(lambda one: log.append(("second", one.at)))
        outbox.subscribe(lambda one: log.append(("third", one.at)))
        for number in (1, 2):
            outbox.put(event(number))
        outbox.deliver()

        assert [("first", 1), ("third", 1), ("third", 2)] == log

    def test_subscribing_within_a_listener_begins_with_the_next_event(self, outbox):
        """
        If a listener subscribes another, that one hears of the next event.
        """
        late = []

        def first(one):
            if not late:
                late.append("subscribed")
                outbox.subscribe(lambda one: late.append(one.at))

        outbox.subscribe(first)
        for number in (1, 2):
            outbox.put(event(number))
        outbox.deliver()

        assert ["subscribed", 2] == late

    def test_racing_first_subscribers_of_an_instance_are_both_kept(
        self, outbox, monkeypatch
    ):
        """
        If two subscribe to a fresh instance at once, both are told.
        """
        told = []
        real = _listeners.Subscriptions
        nested = []

        def made():
            # The other one comes exactly here.
            if not nested:
                nested.append(1)
                outbox.subscribe(told.append)
            return real()

        monkeypatch.setattr(_listeners, "Subscriptions", made)
        outbox.subscribe(told.append)
        outbox.put(event(1))
        outbox.deliver()

        assert [1, 1] == numbers(told)

    def test_signal_handler_may_subscribe_amid_a_subscription(self):
        """
        If a signal handler subscribes while the thread it interrupts does,
        both subscriptions hold.
        """
        nested = []

        class Interrupted(Subscriptions):
            __slots__ = ()

            def _change(self, change):
                def changed_amid_a_signal(who):
                    after = change(who)
                    if not nested:
                        nested.append("once")
                        self.add(print)
                    return after

                super()._change(changed_amid_a_signal)

        subscriptions = Interrupted()
        end = subscriptions.add(repr)

        assert [print, repr] == [one.listener for one in subscriptions._who]

        nested.clear()
        end()

        assert [print, print] == [one.listener for one in subscriptions._who]


class TestFailures:
    def test_errors_of_a_listener_are_logged_not_felt(self, outbox, told, caplog):
        """
        If a listener raises, the others are told all the same, and the log has
        the error.
        """

        class Failing:
            def __call__(self, one):
                raise ValueError("my own fault")

            def __repr__(self):
                raise ValueError("not even this")

        outbox.subscribe(Failing())
        late = []
        outbox.subscribe(late.append)
        outbox.put(event(1))
        outbox.put(event(2))
        with caplog.at_level(logging.ERROR, "switchgear"):
            outbox.deliver()

        assert [1, 2] == numbers(told) == numbers(late)
        assert 2 == len(caplog.records)
        record = caplog.records[0]
        assert (
            f"switchgear.listener_failed listener={__name__}.TestFailures"
            ".test_errors_of_a_listener_are_logged_not_felt.<locals>.Failing"
            " event_type=LimiterReopened"
        ) == record.getMessage()
        assert "my own fault" in str(record.exc_info[1])

    def test_interruption_of_a_listener_is_raised_after_the_rest(self, outbox, told):
        """
        If Ctrl-C comes while a listener runs, everybody is told everything,
        then the interruption goes on its way.
        """

        def interrupted(one):
            if one.at < 3:
                raise KeyboardInterrupt(int(one.at))

        late = []
        outbox.subscribe(interrupted)
        outbox.subscribe(late.append)
        end = subscribe(interrupted)
        for number in (1, 2, 3):
            outbox.put(event(number))
        try:
            with pytest.raises(KeyboardInterrupt) as caught:
                outbox.deliver()
        finally:
            end()

        assert (1,) == caught.value.args
        assert [1, 2, 3] == numbers(told) == numbers(late)

        outbox.put(event(4))
        outbox.deliver()

        assert [1, 2, 3, 4] == numbers(told)

    def test_interruption_between_listeners_is_raised_after_the_rest(
        self, outbox, told, monkeypatch
    ):
        """
        If Ctrl-C comes while no listener runs, it costs the event at hand at
        most; those behind it are delivered first.
        """

        class Interrupted(Subscriptions):
            __slots__ = ()

            def call(self, one):
                if one.at == 1:
                    raise KeyboardInterrupt
                return super().call(one)

        monkeypatch.setattr(_listeners, "EVERYWHERE", Interrupted())
        for number in (1, 2, 3):
            outbox.put(event(number))
        with pytest.raises(KeyboardInterrupt):
            outbox.deliver()

        assert [2, 3] == numbers(told)

    def test_interruption_anywhere_leaves_the_outbox_in_order(self):
        """
        If Ctrl-C comes at any line of a delivery, the outbox delivers on: at
        most the event at hand is lost, no other, and the order stays.
        """
        lines = 0
        interrupted_at = 0
        before = sys.gettrace()

        def trace(frame, what, _argument):
            nonlocal lines
            if frame.f_code.co_filename != _listeners.__file__:
                return None
            if what == "line":
                lines += 1
                if lines == interrupted_at:
                    raise KeyboardInterrupt
            return trace

        rounds = 0
        while True:
            outbox = Outbox()
            told = []
            outbox.subscribe(told.append)
            for number in range(3):
                outbox.put(event(number))
            lines = 0
            interrupted_at += 1
            sys.settrace(trace)
            try:
                outbox.deliver()
            except KeyboardInterrupt:
                rounds += 1
            else:
                break
            finally:
                sys.settrace(before)
            outbox.put(event(3))
            outbox.deliver()

            got = numbers(told)
            assert sorted(set(got)) == got, interrupted_at
            assert 3 in got, interrupted_at
            assert len(got) >= 3
            assert 0 == outbox._courier

        assert rounds > 30

    def test_signal_handler_may_deliver_amid_a_delivery(self, outbox, told):
        """
        If a signal handler has an event while the thread it interrupts is
        delivering, it returns at once, and the event follows.
        """
        if not hasattr(signal, "SIGUSR1"):
            pytest.skip("there are no user signals here")
        order = []

        def handler(*_):
            outbox.put(event(2))
            outbox.deliver()
            order.append("handler returned")

        def listener(one):
            if one.at == 1:
                signal.raise_signal(signal.SIGUSR1)
            order.append(one.at)

        outbox.subscribe(listener)
        before = signal.signal(signal.SIGUSR1, handler)
        try:
            outbox.put(event(1))
            outbox.deliver()
        finally:
            signal.signal(signal.SIGUSR1, before)

        assert ["handler returned", 1, 2] == order
        assert [1, 2] == numbers(told)


class TestMemory:
    def test_events_behind_a_listener_that_hangs_are_bounded(
        self, outbox, monkeypatch, caplog, start
    ):
        """
        If a listener does not return, the events behind it are bounded, and
        once it returns, the log says how many were dropped.
        """
        monkeypatch.setattr(_listeners, "MAX_PENDING", 5)
        inside = threading.Event()
        leave = threading.Event()
        told = []

        def listener(one):
            told.append(one)
            inside.set()
            assert leave.wait(PATIENCE)

        def deliver_first():
            outbox.put(event(0))
            outbox.deliver()

        outbox.subscribe(listener)
        courier = start(deliver_first)
        assert inside.wait(PATIENCE)
        for number in range(1, 9):
            outbox.put(event(number))
            outbox.deliver()

        assert 5 == len(outbox._pending)

        with caplog.at_level(logging.ERROR, "switchgear"):
            leave.set()
            courier.join(PATIENCE)

        assert [0, 1, 2, 3, 4, 5] == numbers(told)
        assert ["switchgear.events_dropped dropped=3"] == caplog.messages

        outbox.put(event(9))
        outbox.deliver()

        assert 1 == len(caplog.messages)
        assert [9] == numbers(told)[6:]

    def test_what_did_not_happen_is_not_dropped(
        self, outbox, told, monkeypatch, caplog
    ):
        """
        If there is no room for what then does not happen, nothing was dropped.
        """
        monkeypatch.setattr(_listeners, "MAX_PENDING", 1)
        outbox.put(event(0))
        room = outbox.room_for((event(1),))
        outbox.room_for((event(2),))
        room += (event(1),)

        with caplog.at_level(logging.ERROR, "switchgear"):
            outbox.deliver()

        assert [0] == numbers(told)
        assert ["switchgear.events_dropped dropped=1"] == caplog.messages


class TestFork:
    def test_room_that_was_asked_for_before_is_room_still(self, outbox, told):
        """
        If a signal handler forks while something is about to be told, the child
        tells it as well, and nothing that was pending in the parent.
        """
        outbox.put(event(0))
        room = outbox.room_for((event(1),))

        outbox.after_fork()
        room += (event(1),)
        outbox.deliver()

        assert [1] == numbers(told)

    def test_child_delivers_though_a_thread_of_the_parent_was_at_it(
        self, outbox, told, start, in_child
    ):
        """
        If the parent forks while another thread delivers and others hold the
        locks, the child has an outbox that works, and none of the parent's
        events.
        """
        inside = threading.Event()
        leave = threading.Event()

        def listener(one):
            inside.set()
            assert leave.wait(PATIENCE)

        def deliver_first():
            outbox.put(event(1))
            with outbox._gate, outbox._subscriptions._lock:
                held.set()
                assert leave.wait(PATIENCE)

        held = threading.Event()
        outbox.put(event(0))
        end = outbox.subscribe(listener)
        courier = start(outbox.deliver)
        assert inside.wait(PATIENCE)
        holder = start(deliver_first)
        assert held.wait(PATIENCE)

        def child():
            outbox.after_fork()
            outbox.subscribe(print)()
            end()
            outbox.put(event(5))
            outbox.deliver()

            assert [5] == numbers(told)[1:]

        in_child(child)
        leave.set()
        courier.join(PATIENCE)
        holder.join(PATIENCE)

    def test_instance_without_listeners_delivers_in_the_child(self, outbox):
        """
        If nobody subscribed to an instance, there is nothing more to replace.
        """
        outbox.put(event(1))
        outbox.after_fork()
        with capture_events() as captured:
            outbox.put(event(2))
            outbox.deliver()

        assert [2] == numbers(captured)

    def test_locks_of_subscribers_to_all_are_replaced(self, start, in_child):
        """
        If somebody was subscribing to all instances while the parent forked,
        the child can subscribe.
        """
        held = threading.Event()
        leave = threading.Event()

        def hold():
            with EVERYWHERE._lock:
                held.set()
                assert leave.wait(PATIENCE)

        start(hold)
        assert held.wait(PATIENCE)

        def child():
            subscribe(print)()

        in_child(child)
        leave.set()

    def test_forking_within_a_listener_keeps_the_order(self, outbox, in_child):
        """
        If a listener forks, it goes on delivering in the child: what it sets
        off there follows after it returns.
        """
        log = []

        def listener(one):
            log.append(one.at)
            if one.at == 1:
                pid = os.fork()
                if pid == 0:
                    outbox.after_fork()
                    outbox.put(event(3))
                    outbox.deliver()
                    log.append("returns")
                else:
                    os.waitpid(pid, 0)

        me = os.getpid()
        outbox.subscribe(listener)
        outbox.put(event(1))
        outbox.put(event(2))

        def body():
            parent = os.getpid()
            outbox.deliver()
            if os.getpid() == parent:
                assert [1, 2] == log
            else:
                ok = [1, "returns", 3] == log
                os._exit(0 if ok else 1)

        in_child(body)
        assert me == os.getpid()
