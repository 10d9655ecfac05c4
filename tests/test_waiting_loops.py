from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref

from functools import partial
from types import SimpleNamespace

import pytest

from interrupting import Stop, points, stop
from parties import (
    PATIENCE,
    LoopParty,
    Party,
    queued,
    settled,
    soon_enough,
    until,
)

from switchgear import RateLimiter, _waiting
from switchgear._core.place import Place, Status
from switchgear.errors import BurstExceeded, RateLimitExceeded
from switchgear.events import LoopBlocked, RateLimitWaited


#: Where nothing can be done about an interrupt from inside: in the first instruction
#: of what a loop calls, and where asyncio is about to tell a task.
OUTSIDE = frozenset({("call", "ring"), ("call", "call_soon")})

#: Made when there is no loop, and used by every one.
AT_IMPORT = RateLimiter(1000.0)


@pytest.fixture
def empty(clock):
    """
    A limiter of one token a second whose bucket is empty.
    """
    limiter = RateLimiter(1.0, clock=clock)
    limiter.wait()
    return limiter


async def started(*coroutines):
    """
    Start tasks, and let each come as far as it can.
    """
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    await settled()
    return tasks


def live_timers(loop):
    """
    The timers of *loop* that were not cancelled.
    """
    return [timer for timer in loop._scheduled if not timer.cancelled()]


class TestOrder:
    def test_guarantee_3_fifo_among_threads_and_tasks_of_two_loops(self, clock):
        """
        If threads, tasks of two loops and reservations of several weights
        queue, each is admitted at its own turn, in the order of arrival.
        """
        limiter = RateLimiter(1.0, burst=9, clock=clock)
        limiter.wait(9)
        start = clock.monotonic_ns()
        seen = []

        def note(event):
            seen.append((round(event.at - start / 1e9, 6), event.tokens))

        limiter.subscribe(note, RateLimitWaited)
        with LoopParty() as one, LoopParty() as other:
            parties = []
            for number, (loop, tokens) in enumerate(
                [(one, 2), (None, 9), (other, 1), (one, 4), (None, 3), (other, 5)]
            ):
                if loop is None:
                    parties.append(Party(limiter.wait, tokens))
                else:
                    parties.append(loop.start(limiter.wait_async(tokens)))
                clock.wait_for_sleepers(number + 1)
            reservation = limiter.reserve(6)

            clock.advance(40.0)

            for party in parties:
                outcome = (
                    party.outcome() if isinstance(party, Party) else party.result(9)
                )
                assert outcome is None

        assert 0.0 == reservation.delay
        assert [(2.0, 2), (11.0, 9), (12.0, 1), (16.0, 4), (19.0, 3), (24.0, 5)] == seen
        assert {} == limiter._crews

    def test_reservations_waited_for_in_another_order(self):
        """
        If the tasks of a loop wait on their reservations in the reverse
        order, each is admitted at its own turn nevertheless.
        """

        async def measure():
            limiter = RateLimiter(10.0)
            limiter.wait()
            waits = []
            limiter.subscribe(lambda event: waits.append(event.waited), RateLimitWaited)
            reservations = [limiter.reserve() for _ in range(3)]
            await asyncio.gather(*[one.wait_async() for one in reversed(reservations)])
            return max(abs(w - 0.1 * n) for n, w in enumerate(waits, start=1))

        assert soon_enough(lambda: asyncio.run(measure()), 0.03) < 0.03

    def test_guarantee_3_no_herd_among_tasks(self, monkeypatch):
        """
        If a hundred tasks of one loop queue, the first of them looks, and the
        loop has one timer for all.
        """
        ticks = []
        look = _waiting.Crew._look

        def counted(crew, slept=0):
            ticks.append(crew)
            return look(crew, slept)

        monkeypatch.setattr(_waiting.Crew, "_look", counted)

        async def main():
            limiter = RateLimiter(1000.0)
            limiter.wait()
            limiter.pause(0.2)
            tasks = await started(*[limiter.wait_async() for _ in range(100)])

            assert 1 == len(ticks)
            assert 1 == len(live_timers(asyncio.get_running_loop()))
            await asyncio.gather(*tasks)

        asyncio.run(main())


class TestLeaving:
    def test_guarantee_4_cancelled_waiters_give_back(self, clock, empty):
        """
        If tasks are cancelled in any order, those behind move up exactly.
        """

        async def main():
            tasks = await started(*[empty.wait_async() for _ in range(6)])
            for number in (3, 0, 4):
                tasks[number].cancel()
            await settled()

            assert 3 == empty.snapshot().waiting

            clock.advance(2.0)
            await settled()

            assert [True, True] == [tasks[n].done() for n in (1, 2)]
            assert not tasks[5].done()

            clock.advance(1.0)
            await tasks[5]

        asyncio.run(main())

        assert 4 == empty.snapshot().admitted
        assert {} == empty._crews
        assert 0 == clock.sleepers

    def test_guarantee_4_granted_but_not_yet_resumed(self, clock, empty):
        """
        If a task is cancelled after its turn came and before it ran, its token
        goes back, and the next one has it at once.
        """

        async def main():
            first, second = await started(empty.wait_async(), empty.wait_async())
            clock.advance(1.0)
            assert 2 == empty.snapshot().admitted

            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            await asyncio.wait_for(second, PATIENCE)

        asyncio.run(main())

        assert 2 == empty.snapshot().admitted
        assert 0 == empty.snapshot().available

    def test_guarantee_4_told_but_not_yet_resumed(self, clock, empty):
        """
        If a task is cancelled when the loop has told it already, and it just
        did not run yet, its token goes back as well.
        """

        async def main():
            (task,) = await started(empty.wait_async())
            crew = empty._crews[asyncio.get_running_loop()]
            (future,) = crew._futures.values()
            clock.advance(1.0)
            crew.ring()

            assert future.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())

        assert 1 == empty.snapshot().admitted
        assert 1 == empty.snapshot().available

    def test_guarantee_5_deadline_of_a_task(self, clock, empty):
        """
        If a pause pushes a task past its deadline, it is refused at that
        moment, consuming nothing.
        """

        async def main():
            tasks = await started(
                empty.wait_async(), empty.wait_async(timeout=2), empty.wait_async()
            )
            empty.pause(10.0)
            clock.advance_ns(1_999_999_999)
            await settled()

            assert not tasks[1].done()

            clock.advance_ns(1)
            with pytest.raises(RateLimitExceeded) as refused:
                await tasks[1]

            assert 10.0 == refused.value.retry_after
            clock.advance(9.0)
            await asyncio.gather(tasks[0], tasks[2])

        asyncio.run(main())

    @pytest.mark.parametrize("first", [True, False])
    def test_guarantee_5_deadline_on_the_machines_clock(self, first):
        """
        If a pause pushes a task past its deadline in real time, it is refused
        then, whether or not it is the first of its loop.
        """

        async def measure():
            limiter = RateLimiter(20.0)
            limiter.wait()
            others = [] if first else await started(limiter.wait_async())
            begun = time.monotonic()
            (task,) = await started(limiter.wait_async(timeout=0.15))
            limiter.pause(60.0)
            with pytest.raises(RateLimitExceeded):
                await task
            for other in others:
                other.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            assert 1 == limiter.snapshot().admitted
            assert 0 == limiter.snapshot().waiting
            return time.monotonic() - begun

        assert soon_enough(lambda: asyncio.run(measure()), 0.19) < 0.19

    def test_a_reservation_is_waited_for_once(self, empty):
        """
        If a task waits for a reservation already, another may not.
        """

        async def main():
            reservation = empty.reserve()
            (first,) = await started(reservation.wait_async())
            with pytest.raises(RuntimeError) as caught:
                await reservation.wait_async()
            first.cancel()
            return str(caught.value)

        assert "this reservation is being waited for already" == asyncio.run(main())

    def test_a_deadline_of_what_is_decided_already(self):
        """
        If a place is decided on before its deadline is looked at, no timer is
        set, and there is none to cancel.
        """

        class Desk:
            def _expire(self, place, sight, slept):
                return _waiting.NOTHING

        loop = asyncio.new_event_loop()
        _waiting.Deadline(Desk(), Place(1), loop).cancel()

        assert [] == loop._scheduled
        loop.close()

    def test_a_deadline_that_is_met_leaves_no_timer(self):
        """
        If a task is admitted in time, the timer of its deadline is forgotten.
        """

        async def main():
            limiter = RateLimiter(100.0)
            limiter.wait()
            await limiter.wait_async(timeout=30)

            assert [] == live_timers(asyncio.get_running_loop())

        asyncio.run(main())


class TestLoops:
    def test_guarantee_7_wait_async_never_blocks_its_loop(self, clock, empty):
        """
        If tasks wait for a turn that does not come, the loop goes on.
        """

        async def main():
            tasks = await started(*[empty.wait_async() for _ in range(3)])
            ran = 0
            for _ in range(1000):
                await asyncio.sleep(0)
                ran += 1

            assert not any(task.done() for task in tasks)
            clock.advance(3.0)
            await asyncio.gather(*tasks)
            return ran

        assert 1000 == asyncio.run(main())

    def test_guarantee_7_made_at_import_time(self):
        """
        If a limiter was made when there was no loop, it works in any loop, one
        after the other and with threads.
        """

        async def main():
            await asyncio.gather(*[AT_IMPORT.wait_async() for _ in range(20)])

        before = AT_IMPORT.snapshot().admitted
        for _ in range(3):
            asyncio.run(main())
        Party(AT_IMPORT.wait).outcome()

        assert 61 == AT_IMPORT.snapshot().admitted - before
        assert {} == AT_IMPORT._crews

    def test_guarantee_7_sync_wait_behind_tasks_of_its_own_loop(self):
        """
        If a thread waits while its loop runs, behind tasks of that very loop,
        it is admitted in its turn, after them; the log says once that the loop
        was blocked.
        """
        limiter = RateLimiter(50.0)
        limiter.wait()
        blocked = []
        limiter.subscribe(blocked.append, LoopBlocked)

        async def main():
            tasks = await started(*[limiter.wait_async() for _ in range(3)])
            begun = time.monotonic()
            limiter.wait()
            elapsed = time.monotonic() - begun

            assert 5 == limiter.snapshot().admitted
            limiter.wait()
            await asyncio.gather(*tasks)
            return elapsed

        # Its turn is four intervals away. It finds the loop blocked then, and
        # serves those ahead one by one.
        assert soon_enough(lambda: asyncio.run(main()), 0.2) < 0.2
        assert 1 == len(blocked)

    def test_guarantee_7_says_so_on_another_clock_too(self, clock, empty):
        """
        If a thread whose loop runs waits on a manual clock, the log says so;
        a task, or a thread without a loop, is not mentioned.
        """
        blocked = []
        empty.subscribe(blocked.append, LoopBlocked)

        async def block():
            empty.wait()

        async def suspend():
            (task,) = await started(empty.wait_async())
            clock.advance(1.0)
            await task

        asyncio.run(suspend())
        thread = Party(empty.wait)
        clock.wait_for_sleepers(1)
        clock.advance(1.0)
        thread.outcome()

        assert [] == blocked

        party = Party(asyncio.run, block())
        clock.wait_for_sleepers(1)
        clock.advance(1.0)
        party.outcome()

        assert 1 == len(blocked)


class TestOthers:
    """
    Guarantee 8: nobody holds up anybody else.
    """

    def test_guarantee_8_a_blocked_loop(self):
        """
        If a loop is blocked, a thread behind its task is admitted at its turn.
        """

        def measure():
            limiter = RateLimiter(20.0, burst=2)
            limiter.wait(2)
            begun = time.monotonic()
            with LoopParty() as party:
                task = party.start(limiter.wait_async())
                queued(limiter, 1)
                leave = party.block()
                limiter.wait()
                elapsed = time.monotonic() - begun
                leave()
                task.result(PATIENCE)
            return elapsed

        assert soon_enough(measure, 0.12) < 0.12

    def test_guarantee_8_a_blocked_loop_with_many_tasks(self):
        """
        If a blocked loop has many tasks ahead of a thread, and the bucket holds
        but one token, the thread serves them one by one once it knows: it waits
        twice as long at the most, not for ever longer.
        """

        def measure():
            limiter = RateLimiter(100.0)
            limiter.wait()
            with LoopParty() as party:
                tasks = [party.start(limiter.wait_async()) for _ in range(8)]
                queued(limiter, 8)
                leave = party.block()
                begun = time.monotonic()
                limiter.wait()
                elapsed = time.monotonic() - begun
                leave()
                for task in tasks:
                    task.result(PATIENCE)
            return elapsed

        # Looking anew at its own turn only would take 0.45 s.
        assert soon_enough(measure, 0.25) < 0.25

    def test_guarantee_8_a_stopped_loop(self):
        """
        If a loop was stopped, those behind its task are admitted at their turn,
        and the task goes on when the loop does.
        """

        def measure():
            limiter = RateLimiter(20.0, burst=2)
            limiter.wait(2)
            begun = time.monotonic()
            loop = asyncio.new_event_loop()
            (task,) = loop.run_until_complete(started(limiter.wait_async()))
            limiter.wait()
            elapsed = time.monotonic() - begun

            assert not task.done()
            loop.run_until_complete(task)
            loop.close()
            return elapsed

        assert soon_enough(measure, 0.12) < 0.12

    def test_guarantee_8_a_closed_loop(self, clock, empty):
        """
        If a loop was closed under its tasks, what is granted to the first of
        them goes to those behind at once, and none of its tasks holds a place.
        """
        loop = asyncio.new_event_loop()
        tasks = loop.run_until_complete(
            started(*[empty.wait_async() for _ in range(3)])
        )
        behind = Party(empty.wait)
        clock.wait_for_sleepers(4)
        loop.close()

        clock.advance(1.0)
        behind.outcome()

        assert 2 == empty.snapshot().admitted
        assert 0 == empty.snapshot().waiting
        assert {} == empty._crews
        for task in tasks:
            task._log_destroy_pending = False

    def test_guarantee_8_a_closed_loop_in_real_time(self):
        """
        If a loop was closed under its task, it costs those behind nothing,
        neither on being served nor on being timed anew.
        """

        def measure():
            limiter = RateLimiter(10.0)
            limiter.wait()
            loop = asyncio.new_event_loop()
            tasks = loop.run_until_complete(
                started(limiter.wait_async(), limiter.wait_async())
            )
            loop.close()
            behind = Party(limiter.wait)
            queued(limiter, 3)
            begun = time.monotonic()

            limiter.reconfigure(calls_per_second=20.0)
            behind.outcome()

            assert {} == limiter._crews
            for task in tasks:
                task._log_destroy_pending = False
            return time.monotonic() - begun

        assert soon_enough(measure, 0.09) < 0.09

    def test_guarantee_8_closed_at_the_very_moment(self, clock, empty, monkeypatch):
        """
        If a loop is closed while it is being called, that counts as closed.
        """
        loop = asyncio.new_event_loop()
        (task,) = loop.run_until_complete(started(empty.wait_async()))
        behind = Party(empty.wait)
        clock.wait_for_sleepers(2)
        loop.close()
        monkeypatch.setattr(loop, "is_closed", lambda: False)

        clock.advance(1.0)
        behind.outcome()

        assert 2 == empty.snapshot().admitted
        task._log_destroy_pending = False

    def test_guarantee_8_a_lost_wake_up(self, monkeypatch):
        """
        If no loop can be called from other threads, tasks find their turn by
        themselves, and threads theirs.
        """
        monkeypatch.setattr(_waiting.Crew, "summon", lambda _: True)
        monkeypatch.setattr(_waiting.ThreadWaiter, "wake", lambda *_: True)

        def measure():
            limiter = RateLimiter(40.0)
            limiter.wait()
            begun = time.monotonic()
            with LoopParty() as one, LoopParty() as other:
                tasks, threads = [], []
                for number in range(6):
                    if number % 3 == 2:
                        threads.append(Party(limiter.wait))
                    else:
                        loop = (one, other)[number % 3]
                        tasks.append(loop.start(limiter.wait_async()))
                    queued(limiter, number + 1)
                for task in tasks:
                    task.result(PATIENCE)
                for thread in threads:
                    thread.outcome()
            return time.monotonic() - begun

        assert soon_enough(measure, 0.22) < 0.22

    def test_guarantee_8_an_interrupted_tick(self):
        """
        If Ctrl-C interrupts a loop while it looks at the queue, its tasks are
        admitted when it runs again.
        """

        class Interrupting:
            armed = False

            def monotonic_ns(self):
                if self.armed:
                    self.armed = False
                    raise KeyboardInterrupt
                return time.monotonic_ns()

        clock = Interrupting()
        limiter = RateLimiter(100.0, clock=clock)
        limiter.wait()
        loop = asyncio.new_event_loop()
        tasks = loop.run_until_complete(
            started(limiter.wait_async(), limiter.wait_async())
        )

        clock.armed = True
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(asyncio.gather(*tasks))
        loop.run_until_complete(asyncio.wait_for(asyncio.gather(*tasks), PATIENCE))

        loop.close()
        assert 3 == limiter.snapshot().admitted

    def test_guarantee_8_interrupted_before_waking(self, monkeypatch):
        """
        If whoever granted a turn was interrupted before waking the task, its
        loop finds out when its own timer rings.
        """

        async def main():
            limiter = RateLimiter(20.0)
            limiter.wait()
            tasks = await started(limiter.wait_async(), limiter.wait_async())
            with monkeypatch.context() as patch:
                patch.setattr(_waiting.TaskWaiter, "wake", lambda *_: True)
                # Blocks the loop until both have their turn.
                until(lambda: 3 == limiter.snapshot().admitted)
            await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)

        asyncio.run(main())


class TestOperating:
    def test_close_releases_tasks_of_several_loops(self, clock, empty):
        """
        If a limiter is closed, tasks of all loops and threads leave at once.
        """
        with LoopParty() as one, LoopParty() as other:
            tasks = [loop.start(empty.wait_async()) for loop in (one, other) * 3]
            thread = Party(empty.wait)
            clock.wait_for_sleepers(7)

            empty.close("over")

            for task in tasks:
                with pytest.raises(RateLimitExceeded, match="over"):
                    task.result(PATIENCE)
            with pytest.raises(RateLimitExceeded, match="over"):
                thread.outcome()

        assert {} == empty._crews

    def test_a_faster_rate_lets_tasks_go(self):
        """
        If the rate is raised from another thread, the tasks of a loop go at
        once, in order, 50 ms apart.
        """

        def measure():
            limiter = RateLimiter(0.1)
            limiter.wait()
            with LoopParty() as party:
                tasks = [party.start(limiter.wait_async()) for _ in range(4)]
                queued(limiter, 4)
                begun = time.monotonic()
                limiter.reconfigure(calls_per_second=20.0)
                for task in tasks:
                    task.result(PATIENCE)
                return time.monotonic() - begun

        assert soon_enough(measure, 0.24) < 0.24

    def test_refused_at_once(self, clock, empty):
        """
        If a task asks too much or cannot be in time, it is refused without
        being suspended, and leaves nothing behind.
        """

        async def main():
            with pytest.raises(BurstExceeded):
                await empty.wait_async(2)
            with pytest.raises(RateLimitExceeded):
                await empty.wait_async(timeout=0.5)

        asyncio.run(main())

        assert {} == empty._crews
        assert 0 == clock.sleepers

    def test_as_a_context(self, clock):
        """
        If a limiter or a reservation is entered in a loop, it is waited for.
        """
        limiter = RateLimiter(1.0, clock=clock)

        async def enter():
            async with limiter as entered:
                assert entered is limiter
            reservation = limiter.reserve()
            async with reservation as entered:
                assert entered is reservation
                assert 0.0 == reservation.delay

        async def main():
            (task,) = await started(enter())
            clock.advance(1.0)
            await task

        asyncio.run(main())

        assert 2 == limiter.snapshot().admitted


class TestReservation:
    def test_one_waiter_at_a_time(self, clock, empty):
        """
        If a second task, of the same loop or another, or a thread waits on a
        reservation, it gets RuntimeError, and the first keeps its place.
        """
        reservation = empty.reserve()

        async def main():
            (first,) = await started(reservation.wait_async())
            for second in (
                reservation.wait_async,
                lambda: asyncio.to_thread(reservation.wait),
                lambda: asyncio.to_thread(asyncio.run, reservation.wait_async()),
            ):
                with pytest.raises(RuntimeError, match="waited for already"):
                    await second()

            assert 1 == empty.snapshot().waiting
            clock.advance(1.0)
            await first

        asyncio.run(main())

        assert 2 == empty.snapshot().admitted

    def test_one_who_comes_before_the_first_is_told(self, monkeypatch):
        """
        If a second task comes to wait on a reservation after the limiter was closed,
        and before the first was told, the first is told all the same.
        """
        limiter = RateLimiter(0.001)
        limiter.try_acquire()
        ahead, reservation = limiter.reserve(), limiter.reserve()
        loops = [asyncio.new_event_loop() for _ in range(3)]
        told_first, told_next, of_the_second = loops
        tasks = [
            loop.run_until_complete(started(booking.wait_async()))[0]
            for loop, booking in ((told_first, ahead), (told_next, reservation))
        ]
        call, came = told_first.call_soon_threadsafe, []

        def come(callback):
            (second,) = of_the_second.run_until_complete(
                started(reservation.wait_async())
            )
            came.append(second.exception())
            call(callback)

        monkeypatch.setattr(told_first, "call_soon_threadsafe", come)
        limiter.close()

        assert [RateLimitExceeded] == [type(one) for one in came]
        for loop in loops:
            loop.run_until_complete(settled())
            loop.close()
        assert all(one.done() for one in tasks)
        assert all(isinstance(one.exception(), RateLimitExceeded) for one in tasks)

    def test_cancelled_by_another_thread(self, clock, empty):
        """
        If a reservation is cancelled while a task waits on it, that task is
        told at once.
        """
        reservation = empty.reserve()

        async def main():
            (task,) = await started(reservation.wait_async())

            assert await asyncio.to_thread(reservation.cancel)
            with pytest.raises(RateLimitExceeded, match="cancelled"):
                await asyncio.wait_for(task, PATIENCE)

        asyncio.run(main())

        assert {} == empty._crews

    def test_interrupted_wait_gives_the_place_back(self, clock, empty):
        """
        If a task is cancelled while it waits on a reservation, the place is
        given back.
        """
        reservation = empty.reserve()

        async def main():
            (task,) = await started(reservation.wait_async())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())

        assert 0 == empty.snapshot().waiting
        assert not reservation.cancel()

    def test_a_kept_reservation_keeps_no_loop(self):
        """
        If a reservation outlives the loop that waited on it, the loop does not
        live as long.
        """
        limiter = RateLimiter(100.0)
        limiter.wait()
        reservation = limiter.reserve()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(reservation.wait_async())
        loop.close()
        watch = weakref.ref(loop)
        del loop
        gc.collect()

        assert watch() is None
        assert reservation.settle(0)


class TestCrews:
    def test_nothing_is_left_when_nobody_waits(self):
        """
        If nobody waits any more, no crew, no timer and no loop is left.
        """
        limiter = RateLimiter(200.0)
        loops = []

        async def main():
            loop = asyncio.get_running_loop()
            tasks = await started(*[limiter.wait_async() for _ in range(6)])
            tasks[5].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

            limiter.pause(60.0)
            (task,) = await started(limiter.wait_async())
            assert 1 == len(live_timers(loop))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

            assert [] == live_timers(loop)
            limiter.reset()
            loops.append(weakref.ref(loop))

        for _ in range(2):
            asyncio.run(main())
            assert {} == limiter._crews
        gc.collect()

        assert [None, None] == [watch() for watch in loops]

    def test_closed_loops_are_forgotten(self, clock, empty):
        """
        If a loop was closed under tasks that will never run, the next loop
        that comes sweeps it out.
        """
        loop = asyncio.new_event_loop()
        (task,) = loop.run_until_complete(started(empty.wait_async()))
        clock.advance(1.0)
        loop.close()
        assert [loop] == list(empty._crews)
        task._log_destroy_pending = False

        async def main():
            (task,) = await started(empty.wait_async())
            clock.advance(1.0)
            await task

        asyncio.run(main())

        assert {} == empty._crews

    def test_tasks_that_are_collected_with_their_loop(self, clock, empty):
        """
        If a closed loop and its waiting task are collected, the place is given
        back, and nobody complains.
        """
        loop = asyncio.new_event_loop()
        (task,) = loop.run_until_complete(started(empty.wait_async()))
        loop.close()
        task._log_destroy_pending = False
        coroutine = task.get_coro()

        coroutine.close()

        assert 0 == empty.snapshot().waiting
        assert {} == empty._crews
        assert 0 == clock.sleepers

    def test_many_loops_come_and_go(self):
        """
        If loops in several threads come and go while others wait, everybody is
        served and nothing is left.
        """
        limiter = RateLimiter(2000.0, burst=5)
        barrier = threading.Barrier(4)

        async def main():
            await asyncio.gather(*[limiter.wait_async() for _ in range(10)])

        def work():
            barrier.wait(PATIENCE)
            for _ in range(5):
                asyncio.run(main())

        for party in [Party(work) for _ in range(4)]:
            party.outcome()

        assert 200 == limiter.snapshot().admitted
        assert {} == limiter._crews


class Sleepless(asyncio.BaseEventLoop):
    """
    A loop that does not sleep: time jumps to its next timer.
    """

    def __init__(self):
        super().__init__()
        self._selector = self
        self.now = 0.0

    def time(self):
        return self.now

    def select(self, timeout):
        assert timeout is not None, "it sleeps for ever"
        self.now += timeout
        return []

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        pass


class TestInterruptions:
    """
    What a signal handler raises at any point.
    """

    @pytest.fixture
    def loop(self):
        loop = Sleepless()
        # Of what comes out of a timer.
        loop.set_exception_handler(lambda *_: None)
        yield loop
        loop.close()

    @pytest.fixture
    def clock(self, loop):
        """
        A clock without timers, with the time of the loop.
        """
        return SimpleNamespace(monotonic_ns=lambda: round(loop.now * 1e9))

    def waited_for(self, clock, *timeouts):
        """
        Return a limiter of one a second, and tasks that wait for it so long.
        """
        limiter = RateLimiter(1.0, clock=clock)
        limiter.try_acquire()
        waits = [limiter.wait_async(timeout=timeout) for timeout in timeouts]
        return limiter, started(*waits)

    def outcomes(self, loop, tasks, within):
        """
        Let *loop* run until all *tasks* are done, *within* so many seconds; return
        what became of them.
        """
        done, asleep = loop.run_until_complete(asyncio.wait(tasks, timeout=within))
        assert set() == asleep
        return [type(task.exception()) for task in done]

    def test_while_they_are_sent_away(self, loop, clock):
        """
        If closing is interrupted, the loop of those who wait is called all the same.
        """
        for come_in in points():
            limiter, waits = self.waited_for(clock, None, None)
            tasks = loop.run_until_complete(waits)
            come_in(limiter.close, stop)
            if limiter.snapshot().closed is None:
                limiter.close()
            assert [RateLimitExceeded] * 2 == self.outcomes(loop, tasks, 0.1)

    def woken(self, loop, tasks, within, come_in):
        """
        Let *tasks* wait as :meth:`outcomes`, and interrupt that; return what became
        of them.
        """
        outcomes = []

        def wait():
            outcomes.extend(self.outcomes(loop, tasks, within))

        come_in(wait, stop, without=OUTSIDE)
        return outcomes

    def test_while_one_gets_a_turn(self, loop, clock):
        """
        If a timer is interrupted, those behind get their turns all the same.
        """
        for come_in in points():
            limiter, waits = self.waited_for(clock, None, None)
            tasks = loop.run_until_complete(waits)
            outcomes = self.woken(loop, tasks, 2.1, come_in)
            assert 2 == len(outcomes)
            assert outcomes.count(Stop) <= 1
            assert {Stop, type(None)} >= set(outcomes)
            assert 0 == limiter.snapshot().waiting

    def test_while_one_is_late(self, loop, clock):
        """
        If the timer of a deadline is interrupted, it ends the wait all the same.
        """
        for come_in in points():
            limiter, waits = self.waited_for(clock, None, 2.0)
            first, behind = loop.run_until_complete(waits)
            limiter.pause(60.0)
            outcomes = self.woken(loop, [behind], 2.1, come_in)
            assert outcomes in ([RateLimitExceeded], [Stop])
            limiter.close()
            assert [RateLimitExceeded] == self.outcomes(loop, [first], 0.1)

    def come(self, loop, reservation, tasks):
        """
        Let one more task wait, for *reservation*, and put it to the other *tasks*.
        """
        tasks.extend(loop.run_until_complete(started(reservation.wait_async())))

    def test_while_the_first_comes_to_wait(self, loop, clock):
        """
        If the first task of a loop is interrupted as it comes to wait, that is what
        it ends with, or it waits on.
        """
        stopped = 0
        for come_in in points():
            limiter = RateLimiter(1.0, clock=clock)
            limiter.try_acquire()
            tasks = []
            come_in(partial(self.come, loop, limiter, tasks), stop)
            ended = [task for task in tasks if task.done()]
            assert {Stop} >= {type(task.exception()) for task in ended}
            assert len(tasks) - len(ended) == limiter.snapshot().waiting
            stopped += len(ended)
            limiter.close()
            self.outcomes(loop, tasks, 0.1)

        assert stopped > 10

    def test_while_one_comes_to_wait(self, loop):
        """
        If a task is interrupted as it comes to wait for its reservation, ahead of
        another, no trace of it is left in the loop.
        """
        for come_in in points():
            limiter = RateLimiter(0.001)
            limiter.try_acquire()
            first, behind = limiter.reserve(), limiter.reserve()
            tasks = []
            self.come(loop, behind, tasks)
            come_in(partial(self.come, loop, first, tasks), stop)
            if len(tasks) == 2 and tasks[1].done():
                crew = limiter._crews[loop]
                assert [behind._place] == list(crew._futures)
            limiter.close()
            self.outcomes(loop, tasks, 0.1)


class Loop:
    """
    Be a loop that notes what it is to do later.
    """

    def __init__(self):
        self.later = []
        self.soon = 0

    def is_closed(self):
        return False

    def create_future(self):
        return asyncio.Future(loop=asyncio.get_running_loop())

    def call_soon_threadsafe(self, function):
        self.soon += 1

    def call_later(self, seconds, function, *arguments):
        self.later.append((seconds, function, arguments))
        return self

    def cancel(self):
        pass


class Desk:
    """
    Be a limiter that notes who looks, and lets them sleep for so long.
    """

    def __init__(self, *answers):
        self.answers = list(answers)
        self.slept = []
        self.during = lambda: None

    def _look(self, place, slept=0):
        self.slept.append(slept)
        self.during()
        return self.answers.pop(0)

    def _expire(self, place, sight, slept):
        self.slept.append(slept)
        return self.answers.pop(0)

    def _dismiss(self, crew):
        pass


class TestCrew:
    """
    :class:`_waiting.Crew`, by itself.
    """

    def waiting(self, desk):
        loop = Loop()
        crew = _waiting.Crew(loop, desk)
        place = Place(1, object())
        place.status = Status.QUEUED
        crew.add(place)
        return loop, crew

    def test_looks_again_after_what_it_slept(self):
        """
        If its timer rings, the limiter is told how long that was set to.
        """

        async def main():
            desk = Desk(5_000, 0, 7_000)
            loop, crew = self.waiting(desk)
            crew.ring()
            (seconds, ring, arguments), *_ = loop.later
            assert (seconds, arguments) == (5e-6, (5_000,))

            ring(*arguments)

            # Once more after it was told that somebody was decided on.
            assert desk.slept == [0, 5_000, 0]
            assert loop.later[-1][0] == 7e-6

        asyncio.run(main())

    def test_is_called_once(self):
        """
        If many are decided on, one call is enough; and none while it looks.
        """

        async def main():
            desk = Desk(5_000)
            loop, crew = self.waiting(desk)
            crew.summon()
            crew.summon()
            assert loop.soon == 1

            desk.during = crew.summon
            crew.ring()
            assert loop.soon == 1

            crew.summon()
            assert loop.soon == 2

        asyncio.run(main())


class TestDeadline:
    """
    :class:`_waiting.Deadline`, by itself.
    """

    def test_rings_when_it_was_told_to(self):
        """
        If the limiter says when a place will be late, it looks again then.
        """
        loop = Loop()
        desk = Desk(_waiting.Sight(50, 100, 4_100), _waiting.NOTHING)
        _waiting.Deadline(desk, Place(1), loop)
        ((seconds, ring, arguments),) = loop.later
        assert (seconds, arguments) == (4e-6, (4_000,))

        ring(*arguments)

        assert desk.slept == [0, 4_000]
        assert len(loop.later) == 1
