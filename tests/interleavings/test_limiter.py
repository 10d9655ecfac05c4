from __future__ import annotations

import asyncio

import pytest

from explorer import Race
from explorer.clocks import MovedClock
from explorer.loops import in_loop
from explorer.scheduler import wait_until
from explorer.stand_ins import ScheduledTime
from linearizability import History, bucket

from switchgear import BurstExceeded, Rate, RateLimiter, RateLimitExceeded
from switchgear._waiting import ThreadWaiter
from switchgear.events import RateLimitWaited


SECOND = 10**9


def elapsed():
    """
    The virtual seconds since the race began.
    """
    return (ScheduledTime.monotonic_ns() - ScheduledTime.START) / 1e9


def after(arrivals, limiter, call):
    """
    Return *call* as it is made once so many have entered the queue.
    """

    def wait_and_call():
        wait_until(lambda: limiter._queue._entered >= arrivals)
        return call()

    return wait_and_call


def heard(limiter):
    """
    Return the list of all waits that end well from now on, in order.
    """
    waited = []
    limiter.subscribe(waited.append, RateLimitWaited)
    return waited


def granted_at(event):
    """
    The virtual seconds from the beginning of the race to the end of a wait.
    """
    return event.at - ScheduledTime.START / 1e9


def thread(limiter, *, timeout):
    """
    Return a call that waits, and answers whether it was admitted, and when.
    """

    def wait():
        try:
            limiter.wait(timeout=timeout)
        except RateLimitExceeded:
            return False, elapsed()
        return True, elapsed()

    return wait


def task(limiter, *, timeout):
    """
    Return the same for a task of a loop of its own.
    """

    async def wait():
        try:
            await limiter.wait_async(timeout=timeout)
        except RateLimitExceeded:
            return False, elapsed()
        return True, elapsed()

    return in_loop(wait)


def nobody_is_left(limiter, admitted):
    """
    Check that the queue is empty, and that so many were admitted.
    """
    snapshot = limiter.snapshot()
    assert (0, admitted) == (snapshot.waiting, snapshot.admitted)


class TestTryAcquire:
    @pytest.mark.parametrize(
        ("burst", "mine", "theirs"),
        [(1, [1], [1]), (3, [1, 1], [2]), (2, [1, 1], [1]), (5, [3], [2, 1])],
    )
    @pytest.mark.parametrize("several", [False, True])
    def test_two_threads(self, explored, burst, mine, theirs, several):
        """
        If two threads take tokens while no time passes, none is given twice, and
        none is refused that is there: by the short way, or by several rates.
        """

        def race():
            limiter, history = RateLimiter(1, burst=burst), History()
            if several:
                limiter = RateLimiter(
                    rates=[Rate(1, burst=burst), Rate(60, per=60, burst=burst)]
                )

            def admitted(tokens):
                return limiter.try_acquire(tokens).admitted

            def act(asked):
                for tokens in asked:
                    history.call(admitted, tokens)

            def check(outcomes):
                assert history.is_linearizable(bucket, burst), f"\n{history}"

            return Race([lambda: act(mine), lambda: act(theirs)], check)

        explored(race, limit=120)


class TestWait:
    def test_two_threads(self, explored):
        """
        If two threads wait, both are served, one interval apart.
        """

        def race():
            limiter = RateLimiter(1, burst=1)
            limiter.try_acquire()

            def wait():
                limiter.wait()
                return elapsed()

            def check(outcomes):
                first, second = sorted(one.value for one in outcomes)
                assert first >= 1
                assert second >= 2
                nobody_is_left(limiter, 3)

            return Race([wait, wait], check)

        explored(race, limit=120)
        explored(race, every_step=False)

    def test_three_threads(self, explored):
        """
        If three wait, all are served.
        """

        def race():
            limiter = RateLimiter(1, burst=1)
            return Race([limiter.wait] * 3, lambda _: nobody_is_left(limiter, 3))

        explored(race, every_step=False, limit=150)

    def test_a_timeout_and_a_turn(self, explored):
        """
        If a wait may end at the very moment of its turn, it is admitted if its
        turn comes within its time, however late anybody looks; refused at once
        if not; and who is behind is served.
        """

        def race():
            limiter = RateLimiter(1, burst=2)
            limiter.try_acquire(2)
            waited = heard(limiter)

            def check(outcomes):
                refusal = outcomes[0].error
                nobody_is_left(limiter, 3 if refusal is None else 2)
                if refusal is not None:
                    assert refusal.retry_after > 1
                turn = 0
                for event in waited:
                    turn += event.tokens
                    assert granted_at(event) >= turn
                    if event.tokens == 1:
                        arrived = granted_at(event) - event.waited
                        assert turn <= arrived + 1

            return Race(
                [lambda: limiter.wait(timeout=1), lambda: limiter.wait(2)],
                check,
                tolerates=(RateLimitExceeded,),
            )

        explored(race, limit=120)
        explored(race, every_step=False)

    @pytest.mark.parametrize("wait_in", [thread, task])
    def test_a_pause_beyond_the_deadline(self, explored, wait_in):
        """
        If a pause pushes a turn past the deadline, the wait is refused at the
        deadline, to the nanosecond; if the turn comes first, it is admitted then.
        """

        def race():
            limiter = RateLimiter(1, burst=1)
            limiter.try_acquire()

            def check(outcomes):
                (admitted, ended), _ = (one.value for one in outcomes)
                # At once if the pause was there before.
                assert ended in ({1} if admitted else {0, 1.5})
                nobody_is_left(limiter, 1 + admitted)

            return Race(
                [wait_in(limiter, timeout=1.5), lambda: limiter.pause(3)], check
            )

        explored(race, limit=120)
        explored(race, every_step=False)

    def test_a_deadline_that_nobody_looks_at(self, explored):
        """
        If a pause pushes a turn past the deadline, and nobody looks before the
        pause is over, the wait is refused all the same; who is behind is served.
        """

        def race():
            limiter = RateLimiter(1, burst=2)
            limiter.try_acquire(2)
            waited = heard(limiter)

            def pause():
                limiter.pause(3)
                limiter.wait(2)

            def check(outcomes):
                admitted, _ = outcomes[0].value
                for event in waited:
                    granted = granted_at(event)
                    if event.tokens == 2:
                        assert granted >= 3
                    else:
                        # Before the pause, or it came late in it.
                        assert granted == 1 or granted - event.waited >= 1.5
                nobody_is_left(limiter, 2 + admitted)

            return Race([thread(limiter, timeout=1.5), pause], check)

        explored(race, limit=120)
        explored(race, every_step=False)

    def test_first_come_first_served(self, explored):
        """
        If threads and tasks come one after the other, they are served in that
        order, each when there is enough for all before it and for itself.
        """

        def race():
            limiter = RateLimiter(1, burst=3)
            limiter.try_acquire(3)
            waited = heard(limiter)

            def check(outcomes):
                assert [1, 2, 3] == [event.tokens for event in waited]
                first, second, third = map(granted_at, waited)
                assert first >= 1
                assert second >= 3
                assert third >= 6
                nobody_is_left(limiter, 4)

            return Race(
                [
                    lambda: limiter.wait(1),
                    after(1, limiter, in_loop(lambda: limiter.wait_async(2))),
                    after(2, limiter, lambda: limiter.wait(3)),
                ],
                check,
            )

        explored(race, limit=120)
        explored(race, every_step=False, limit=150)

    def test_nobody_takes_the_turn_of_who_waits(self, explored):
        """
        If somebody asks for the only token there is while another waits for two,
        it is the waiter's.
        """

        def race():
            limiter = RateLimiter(1, burst=2)
            limiter.try_acquire(2)

            def ask():
                ThreadWaiter().sleep(SECOND)
                return bool(limiter.try_acquire()), elapsed()

            def check(outcomes):
                admitted, asked_at = outcomes[1].value
                # Two are there after two seconds, the next after three.
                assert not admitted or asked_at >= 3
                nobody_is_left(limiter, 2 + admitted)

            return Race(
                [lambda: limiter.wait(2), after(1, limiter, ask)],
                check,
            )

        explored(race, limit=120)
        explored(race, every_step=False)

    def test_a_pause_meanwhile(self, explored):
        """
        If the limiter is paused while somebody waits, nobody is lost, and nobody
        who came to wait after it goes before its end.
        """

        def race():
            limiter = RateLimiter(1, burst=1)
            limiter.try_acquire()

            def pause():
                limiter.pause(3)
                limiter.wait()
                return elapsed()

            def check(outcomes):
                assert outcomes[1].value >= 3
                nobody_is_left(limiter, 3)

            return Race([limiter.wait, pause], check)

        explored(race, limit=120)
        explored(race, every_step=False)

    @pytest.mark.parametrize(
        "change",
        [
            {"calls_per_second": 10},
            {"calls_per_second": 0.1},
            {"burst": 3},
            {"rates": [Rate(1), Rate(2)]},
        ],
    )
    def test_other_settings_meanwhile(self, explored, change):
        """
        If settings change while two wait, both are served.
        """

        def race():
            limiter = RateLimiter(1, burst=1)
            limiter.try_acquire()
            return Race(
                [
                    limiter.wait,
                    limiter.wait,
                    lambda: limiter.reconfigure(**change),
                ],
                lambda _: nobody_is_left(limiter, 3),
            )

        explored(race, every_step=False, limit=120)

    def test_a_burst_below_a_waiter(self, explored):
        """
        If the burst falls below what somebody waits for, it is sent away at
        once or was served; who is behind is served.
        """

        def race():
            limiter = RateLimiter(1, burst=3)
            limiter.try_acquire(3)

            def check(outcomes):
                sent_away = isinstance(outcomes[0].error, BurstExceeded)
                nobody_is_left(limiter, 2 + (not sent_away))

            return Race(
                [
                    lambda: limiter.wait(3),
                    limiter.wait,
                    lambda: limiter.reconfigure(burst=2),
                ],
                check,
                tolerates=(BurstExceeded,),
            )

        explored(race, every_step=False, limit=150)

    def test_close_meanwhile(self, explored):
        """
        If the limiter is closed while two wait, each was admitted or is sent
        away; nobody waits for ever.
        """

        def race():
            limiter = RateLimiter(1, burst=1)

            def check(outcomes):
                gone = sum(one.error is not None for one in outcomes)
                nobody_is_left(limiter, 2 - gone)

            return Race(
                [limiter.wait, limiter.wait, lambda: limiter.close("over")],
                check,
                tolerates=(RateLimitExceeded,),
            )

        explored(race, every_step=False, limit=150)

    def test_close_and_reopen(self, explored):
        """
        If it is closed and opened again, at every step in between a thread that
        waits is served or sent away.
        """

        def race():
            limiter = RateLimiter(1, burst=1)
            limiter.try_acquire()

            def again():
                limiter.close()
                limiter.reopen()

            def check(outcomes):
                nobody_is_left(limiter, 1 + (outcomes[0].error is None))

            return Race([limiter.wait, again], check, tolerates=(RateLimitExceeded,))

        explored(race, limit=120)
        explored(race, every_step=False)


class TestReserve:
    def test_cancelled_while_somebody_waits(self, explored):
        """
        If a reservation is cancelled, whoever is behind moves up, and nothing is
        minted: with the one it gave back no more go than the rate allows.
        """

        def race():
            limiter = RateLimiter(1, burst=1)
            limiter.try_acquire()
            reservation = limiter.reserve()

            def wait():
                limiter.wait()
                return elapsed()

            def check(outcomes):
                served = outcomes[1].value
                assert served >= (1 if outcomes[0].value else 2), served
                # After its turn it was admitted, and cost nothing in the end.
                before_its_turn = limiter.snapshot().admitted == 2
                assert outcomes[0].value or not before_its_turn
                nobody_is_left(limiter, 2 if before_its_turn else 3)

            return Race([reservation.cancel, wait], check)

        explored(race, limit=120)
        explored(race, every_step=False)

    def test_waited_for_and_cancelled(self, explored):
        """
        If a reservation is cancelled by one thread while another waits on it, the
        wait ends either way, and who is behind is served.
        """

        def race():
            limiter = RateLimiter(1, burst=1)
            limiter.try_acquire()
            reservation = limiter.reserve()

            def check(outcomes):
                nobody_is_left(limiter, 2 + (outcomes[1].error is None))

            return Race(
                [reservation.cancel, reservation.wait, limiter.wait],
                check,
                tolerates=(RuntimeError, RateLimitExceeded),
            )

        explored(race, every_step=False, limit=150)


class TestClocks:
    @pytest.mark.parametrize("every_step", [True, False])
    def test_moved_from_timer_to_timer(self, explored, every_step):
        """
        If a clock is moved as soon as a timer is set, no turn is missed: those
        behind are not delayed by who is slow to set a timer.
        """

        def race():
            clock, done = MovedClock(), []
            limiter = RateLimiter(1, burst=1, clock=clock)
            limiter.try_acquire()
            began = clock.now_ns

            def wait():
                limiter.wait()
                done.append(clock.now_ns)

            def move():
                clock.jump_on(lambda: len(done) == 2)

            def check(outcomes):
                assert 2 * SECOND == clock.now_ns - began
                assert [] == clock.timers
                nobody_is_left(limiter, 3)

            return Race([wait, wait, move], check)

        explored(race, every_step=every_step, limit=150)

    def test_set_anew_by_several(self, explored):
        """
        If the turn comes nearer while a thread sets its timer, it is admitted at
        the nearer one.
        """

        def race():
            clock, done, waited = MovedClock(), [], []
            limiter = RateLimiter(0.25, burst=1, clock=clock)
            limiter.subscribe(
                lambda event: waited.append(event.waited), RateLimitWaited
            )
            limiter.try_acquire()

            def wait():
                limiter.wait()
                done.append(True)

            def hurry():
                limiter.reconfigure(calls_per_second=1)
                clock.jump_on(lambda: bool(done))

            def check(outcomes):
                assert waited in ([], [1.0])
                assert [] == clock.timers
                nobody_is_left(limiter, 2)

            return Race([wait, hurry], check)

        explored(race, limit=150)


class TestLoops:
    def test_a_thread_and_tasks_of_two_loops(self, explored):
        """
        If a thread and tasks of two loops wait, all are served.
        """

        def race():
            limiter = RateLimiter(1, burst=1)
            return Race(
                [
                    in_loop(limiter.wait_async),
                    in_loop(limiter.wait_async),
                    limiter.wait,
                ],
                lambda _: nobody_is_left(limiter, 3),
            )

        explored(race, every_step=False, limit=150)

    def test_the_first_is_cancelled(self, explored):
        """
        If the task at the head is cancelled at any moment, around its turn too,
        it was admitted or gave its turn back, and the thread behind is served.
        """

        def race():
            limiter = RateLimiter(1, burst=1)
            limiter.try_acquire()

            async def cancelled():
                task = asyncio.create_task(limiter.wait_async())
                await asyncio.sleep(1)
                task.cancel()
                return bool((await asyncio.gather(task, return_exceptions=True))[0])

            def check(outcomes):
                was_cancelled = outcomes[0].value
                nobody_is_left(limiter, 2 if was_cancelled else 3)

            return Race([in_loop(cancelled), limiter.wait], check)

        explored(race, limit=120)
        explored(race, every_step=False)

    def test_two_tasks_come_for_one_reservation_that_is_closed(self, explored):
        """
        If tasks of two loops come to wait for one reservation while the limiter is
        closed, whoever waits is told, the other was told before.
        """

        def race():
            limiter = RateLimiter(0.001, burst=1)
            limiter.try_acquire()
            reservation = limiter.reserve()
            ended = []

            async def wait():
                try:
                    await reservation.wait_async()
                finally:
                    ended.append(elapsed())

            def close():
                limiter.close()
                return elapsed()

            def check(outcomes):
                # Nobody slept on until its turn.
                assert max(ended) <= outcomes[2].value

            return Race(
                [in_loop(wait), in_loop(wait), close],
                check,
                tolerates=(RuntimeError, RateLimitExceeded),
            )

        explored(race, every_step=False, limit=400)

    def test_a_loop_that_closes_as_another_tells_it(self, explored):
        """
        If somebody else serves a task, and its loop has gone on by itself and is
        closed before it is told, the turn that was taken does not go back.
        """

        def race():
            limiter = RateLimiter(1, burst=1)
            limiter.try_acquire()

            def look():
                ThreadWaiter().sleep(SECOND)
                limiter.snapshot()

            return Race(
                [look, in_loop(limiter.wait_async)],
                lambda _: nobody_is_left(limiter, 2),
            )

        explored(race, preemptions=1, limit=400)

    def test_a_blocked_loop_delays_nobody_else(self, explored):
        """
        If a loop is blocked when the turn of its task comes, a thread behind is
        served without it.
        """

        def race():
            limiter = RateLimiter(1, burst=1)
            limiter.try_acquire()
            thread_is_through = ThreadWaiter()

            async def blocked():
                task = asyncio.create_task(limiter.wait_async())
                await asyncio.sleep(0)
                # Blocks the loop; if the thread needed it, nobody could go on.
                thread_is_through._baton.acquire()
                await task

            def wait():
                limiter.wait()
                thread_is_through.wake(None)

            return Race([in_loop(blocked), wait], lambda _: nobody_is_left(limiter, 3))

        explored(race, every_step=False)
