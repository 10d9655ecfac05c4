"""
The queue, against a naive one that keeps levels in fractions.
"""

from __future__ import annotations

import copy
import itertools
import math

from fractions import Fraction

import pytest

from hypothesis import example, given, settings
from hypothesis import strategies as st
from interrupting import points, stop

from switchgear import Rate
from switchgear._core.place import Place, Status
from switchgear._core.queue import SLACK, Queue
from switchgear._core.rooms import Room
from switchgear._core.token_bucket import Bucket, budget_of


SECOND = 10**9
MS = 10**6
FOREVER = 1 << 90

#: Rates at which turns are whole nanoseconds, and others.
ROUND = [
    [Rate(1, burst=3)],
    [Rate(10, burst=1)],
    [Rate(10, burst=2, counts="calls")],
    [Rate(10, burst=3), Rate(1, burst=5)],
    [Rate(1, burst=3), Rate(10, burst=4)],
    [Rate(2, burst=2, counts="calls"), Rate(5, burst=4)],
]
ODD = [
    [Rate(3)],
    [Rate(3, burst=4)],
    [Rate(123456.789, burst=2)],
    [Rate(1e9, burst=3)],
    [Rate(1, per=30 * 86_400, burst=2)],
    [Rate(1e-9)],
]
ODD_PAIRS = [
    [Rate(3, burst=3), Rate(7, burst=5)],
    [Rate(7, burst=2, counts="calls"), Rate(3, burst=4)],
    [Rate(60, per=60, burst=2, counts="calls"), Rate(90_000, per=60, burst=9_000)],
]

#: How long until the next step: none, fractions of a token, or long.
PAUSES = st.one_of(
    st.just(0), st.integers(0, 3_000).map(lambda ms: ms * MS), st.integers(0, SECOND)
)
ROUND_PAUSES = st.integers(0, 3_000).map(lambda ms: ms * MS)
TOKENS = st.integers(1, 4)


class Naive:
    """
    Do the same with levels in fractions of tokens, one grant after the other.

    Whoever waits is granted at the exact moment at which enough is there; it
    shows at the next whole nanosecond.
    """

    def __init__(self, rates):
        self.rates = rates
        self.levels = [Fraction(rate.burst) for rate in rates]
        self.paces = [
            Fraction(repr(rate.limit)) / Fraction(repr(rate.per)) / SECOND
            for rate in rates
        ]
        self.at = Fraction(0)
        self.paused_until = 0
        self.waiting = []
        self.granted = {}

    def flow(self, moment):
        self.levels = [
            min(level + (moment - self.at) * pace, Fraction(rate.burst))
            for level, pace, rate in zip(
                self.levels, self.paces, self.rates, strict=True
            )
        ]
        self.at = Fraction(moment)

    def moment_for(self, asks):
        moments = [self.at, Fraction(self.paused_until)]
        for level, pace, rate in zip(self.levels, self.paces, self.rates, strict=True):
            lacking = (1 if rate.counts == "calls" else asks) - level
            moments.append(self.at + max(lacking, 0) / pace)
        return max(moments)

    def charge(self, tokens, calls=1):
        self.levels = [
            level - (calls if rate.counts == "calls" else tokens)
            for level, rate in zip(self.levels, self.rates, strict=True)
        ]

    def advance(self, now):
        while self.waiting:
            name, asks, owes = self.waiting[0]
            moment = self.moment_for(asks)
            if math.ceil(moment) > now:
                break
            self.flow(moment)
            self.charge(asks + owes)
            self.granted[name] = math.ceil(moment)
            del self.waiting[0]
        if self.at < now:
            self.flow(now)

    def fits(self, tokens):
        return all(r.counts == "calls" or tokens <= r.burst for r in self.rates)

    def take(self, tokens):
        free = not self.waiting and self.moment_for(tokens) <= self.at
        if free:
            self.charge(tokens)
        return free

    def turn_of(self, name):
        later = copy.deepcopy(self)
        later.advance(FOREVER)
        return later.granted[name]

    def turn(self, tokens):
        later = copy.deepcopy(self)
        later.waiting.append(("newcomer", tokens, 0))
        return later.turn_of("newcomer")


def queue_of(*rates, now=0):
    """
    Return a queue with full buckets.
    """
    return Queue(budget_of(rates), now)


def drained(*rates):
    """
    Return a queue with empty buckets.
    """
    queue = queue_of(*rates)
    for line in queue.budget.lines:
        for _ in range(line.burst if line.per_call else 1):
            queue.take(0, queue.budget.largest if not line.per_call else 1)
    return queue


def enter(queue, now, tokens=1, *, waiter=None, deadline=None):
    """
    Put a new place into the queue.
    """
    place = Place(tokens, waiter)
    if deadline is not None:
        place.deadline = deadline
    queue.enter(now, place, queue.budget)
    return place


def booked(queue, now, tokens=1):
    """
    Take tokens that can be given back.
    """
    place = Place(tokens)

    assert queue.take(now, tokens, place)

    return place


def serve_on_time(queue, now):
    """
    Serve everybody at their turn, up to *now*.
    """
    while (first := queue.first()) is not None:
        turn = queue.turn_of(first)
        if turn > now:
            break

        assert first in queue.serve(turn)
    queue.serve(now)


def levels(queue, now):
    """
    Return the exact levels, in tokens.
    """
    return [
        Fraction(min(line.capacity, now * line.ticks - state), line.cost)
        for line, state in zip(
            queue.budget.lines, queue.budget.split(queue.state), strict=True
        )
    ]


def check(queue):
    """
    Assert that a queue agrees with itself.
    """
    places = list(queue.places)

    assert all(place.status is Status.QUEUED for place in places)
    assert len(places) == queue.waiting
    assert sum(place.asks + place.owes for place in places) == queue.queued_tokens
    assert sum(place.waiter is not None for place in places) == queue._attended
    front = queue.front()
    waiting = [place for place in places if place.waiter is not None]
    if waiting:
        assert (waiting[0], queue.turn_of(waiting[0])) == front
    else:
        assert front is None


def steps(pauses):
    """
    Make lists of steps: how long after the one before, what, how many.
    """
    return st.lists(
        st.tuples(
            pauses,
            st.sampled_from(
                ["take", "reserve", "wait", "cancel", "pause", "settle", "join"]
            ),
            TOKENS,
            st.integers(0, 8),
        ),
        max_size=25,
    )


class TestProjection:
    """
    When it is whose turn, if everybody is served in time.
    """

    def run(self, rates, plan):  # noqa: C901 -- a branch for each verb
        queue, naive, now = queue_of(*rates), Naive(rates), 0
        places = []
        for name, (pause, verb, tokens, which) in enumerate(plan):
            now += pause
            serve_on_time(queue, now)
            naive.advance(now)
            queued = [(n, p) for n, p in places if p.status is Status.QUEUED]
            unsettled = [(n, p) for n, p in queued if p.settled is None]
            fits = naive.fits(tokens)

            assert fits is queue.budget.fits(tokens)
            if verb == "pause":
                queue.pause(now + which * 100 * MS)
                naive.paused_until = max(naive.paused_until, now + which * 100 * MS)
            elif verb == "take" and fits:
                assert naive.turn(tokens) == queue.turn(now, tokens)
                assert naive.take(tokens) is queue.take(now, tokens)
            elif verb in {"reserve", "wait"} and fits:
                assert naive.turn(tokens) == queue.turn(now, tokens)
                waiter = object() if verb == "wait" else None
                places.append((name, enter(queue, now, tokens, waiter=waiter)))
                naive.waiting.append((name, tokens, 0))
            elif verb == "cancel" and queued:
                gone, place = queued[which % len(queued)]

                assert queue.leave(now, place)

                naive.waiting = [w for w in naive.waiting if w[0] != gone]
            elif verb == "join" and queued:
                queue.attend(now, queued[which % len(queued)][1], object())
            elif verb == "settle" and unsettled:
                one, place = unsettled[which % len(unsettled)]

                assert queue.settle(now, place, which)

                asks = min(which, place.tokens)
                naive.waiting = [
                    (one, asks, which - asks) if w[0] == one else w
                    for w in naive.waiting
                ]
            serve_on_time(queue, now)
            naive.advance(now)
            check(queue)
            for number, place in places:
                if place.status is Status.QUEUED:
                    assert naive.turn_of(number) == queue.turn_of(place)
                elif place.status is Status.GRANTED:
                    assert naive.granted[number] == place.turned

            assert naive.levels == levels(queue, now)
        serve_on_time(queue, FOREVER)

    @given(st.sampled_from(ROUND), steps(ROUND_PAUSES))
    def test_turns_are_when_they_were_said_to_be(self, rates, plan):
        """
        If everybody is served in time, each is granted when a naive queue
        says, whatever is taken, reserved, cancelled, paused or settled; so
        says every projection.
        """
        self.run(rates, plan)

    @given(st.sampled_from(ODD), steps(PAUSES))
    def test_odd_rates(self, rates, plan):
        """
        If the rate is odd, the same is true to the nanosecond.
        """
        self.run(rates, plan)

    @given(st.sampled_from(ODD_PAIRS), steps(PAUSES))
    def test_odd_pairs(self, rates, plan):
        """
        If several odd rates decide together, everybody is granted when the
        projection of the last change said.
        """
        queue, now, expected = queue_of(*rates), 0, {}
        for pause, verb, tokens, which in plan:
            now += pause
            serve_on_time(queue, now)
            if verb == "pause":
                queue.pause(now + which * MS)
            elif verb == "cancel" and queue.first() is not None:
                place = list(queue.places)[which % len(queue.places)]
                queue.leave(now, place)
                del expected[place]
            elif queue.budget.fits(tokens):
                turn = queue.turn(now, tokens)
                if not queue.take(now, tokens):
                    waiter = object() if verb == "wait" else None
                    place = enter(queue, now, tokens, waiter=waiter)
                    expected[place] = turn

                    assert turn == queue.turn_of(place)
            if verb in {"pause", "cancel"}:
                serve_on_time(queue, now)
                for place in queue.places:
                    expected[place] = queue.turn_of(place)
            for place in [p for p in expected if p.status is Status.GRANTED]:
                if verb not in {"pause", "cancel"}:
                    assert expected[place] == place.turned
                del expected[place]
            check(queue)

    def test_late_service_of_the_unattended_changes_nothing(self):
        """
        If nobody comes for a while, unattended places are charged as if
        somebody had come at each turn.
        """
        late, timely = drained(Rate(1, burst=2)), drained(Rate(1, burst=2))
        for queue in (late, timely):
            for tokens in (1, 2, 1):
                enter(queue, 0, tokens)
        serve_on_time(timely, 100 * SECOND)

        granted = late.serve(100 * SECOND)

        assert [SECOND, 3 * SECOND, 4 * SECOND] == [p.turned for p in granted]
        assert timely.state == late.state

    def test_late_service_is_credited_two_milliseconds(self):
        """
        If a waiter is served late, those behind it lose what is more than two
        milliseconds.
        """
        for late, lost in (
            (0, 0),
            (2 * MS, 0),
            (3 * MS, MS),
            (SECOND, SECOND - 2 * MS),
        ):
            for rates in ([Rate(10)], [Rate(10), Rate(10)]):
                queue = drained(*rates)
                for _ in range(3):
                    enter(queue, 0, waiter=object())
                last = list(queue.places)[-1]
                queue.turn(0, 1)
                queue.serve(100 * MS + late)

                assert 300 * MS + lost == queue.turn_of(last)
                assert 400 * MS + lost == queue.turn(100 * MS + late, 1)

    @pytest.mark.parametrize("waiters", [1, 2, 7, 40])
    @pytest.mark.parametrize("burst", [1, 2, 10])
    @pytest.mark.parametrize("rate", [0.3, 1.0, 7.0, 333.3, 5000.0])
    def test_late_service_within_the_slack_loses_nothing(self, rate, burst, waiters):
        """
        If so many always wait, each coming back as soon as it is served, turns
        are when the rate says, to the nanosecond, though each is served late by
        just under two milliseconds, or by less if all would be gone by then.
        """
        queue, interval = drained(Rate(rate, burst=burst)), SECOND / Fraction(str(rate))
        latest = min(2 * MS, math.floor(waiters * interval)) - 1
        lateness = itertools.cycle([latest, 0, latest // 3])
        for _ in range(waiters):
            enter(queue, 0, waiter=object())
        served = 0
        while served < 500:
            turn = queue.turn_of(queue.first())

            assert math.ceil((served + 1) * interval) == turn

            now = turn + next(lateness)
            for _ in queue.serve(now):
                served += 1
                enter(queue, now, waiter=object())

    def test_several_odd_rates_do_not_drift(self):
        """
        If a thousand wait for two odd rates and are served in time, the last
        one is when a thousand tokens have flowed in.
        """
        queue = drained(Rate(3), Rate(3))
        places = [enter(queue, 0, waiter=object()) for _ in range(1_000)]
        serve_on_time(queue, FOREVER)

        assert math.ceil(Fraction(1_000 * SECOND, 3)) == places[-1].turned

    def test_pause_only_extends(self):
        """
        If a pause is shorter than the one before, it changes nothing.
        """
        queue = queue_of(Rate(1))
        queue.pause(5 * SECOND)
        queue.pause(2 * SECOND)

        assert 5 * SECOND == queue.turn(0, 1)
        assert not queue.take(5 * SECOND - 1, 1)
        assert queue.take(5 * SECOND, 1)


class TestBound:
    """
    Guarantee 1, with everything happening at any time.
    """

    @settings(max_examples=200)
    @given(
        st.lists(
            st.builds(
                Rate,
                st.sampled_from([1, 3, 50, 123456.789]),
                burst=st.sampled_from([1, 2, 5]),
            ),
            min_size=1,
            max_size=3,
        ),
        st.lists(
            st.tuples(
                st.one_of(
                    st.just(0), st.integers(0, 5 * MS), st.integers(0, 2 * SECOND)
                ),
                st.sampled_from(
                    [
                        "take",
                        "book",
                        "reserve",
                        "wait",
                        "cancel",
                        "pause",
                        "settle",
                        "undo",
                        "configure",
                    ]
                ),
                TOKENS,
                st.integers(0, 8),
            ),
            max_size=40,
        ),
    )
    def test_in_any_window(self, rates, plan):  # noqa: C901, PLR0912 -- as above
        """
        If anything is taken, queued, cancelled, served late, paused, settled
        and reconfigured, no window sees more than
        ``burst + rate * (t + 2 ms)``, for the largest of both; what was
        really given back does not count.
        """
        queue = queue_of(rates[0])
        burst = max(rate.burst for rate in rates)
        pace = max(Naive([rate]).paces[0] for rate in rates)
        now, log, net = 0, [], {}

        def note(place, moment):
            if place.status is not Status.GRANTED:
                # Sent away.
                return
            # Who is granted behind others is granted after them.
            moment = max([moment] + [at for at, _ in log])
            log.append((moment, place))
            net[place] = Fraction(place.asks)

        for pause, verb, tokens, which in plan:
            now += pause
            for place in queue.serve(now):
                note(place, place.turned)
            granted = [p for p in net if p.status is Status.GRANTED]
            place = Place(tokens, object() if verb == "wait" else None)
            fits = queue.budget.fits(tokens)
            before = levels(queue, now)[0]
            if verb in {"take", "book"} and fits:
                if queue.take(now, tokens, place if verb == "book" else None):
                    note(place, now)
            elif verb in {"reserve", "wait"} and fits:
                queue.enter(now, place, queue.budget)
            elif verb == "cancel" and queue.places:
                queue.leave(now, list(queue.places)[which % len(queue.places)])
            elif verb == "pause":
                queue.pause(now + which * 10 * MS)
            elif verb in {"settle", "undo"} and granted:
                place = granted[which % len(granted)]
                if verb == "settle":
                    queue.settle(now, place, which)
                else:
                    queue.undo(now, place)
                net[place] -= max(0, levels(queue, now)[0] - before)
            elif verb == "configure":
                queue.reconfigure(now, Bucket(rates[which % len(rates)]))
            for place in queue.serve(now):
                note(place, place.turned)

        for first in range(len(log)):
            taken = Fraction(0)
            for at, place in log[first:]:
                taken += net[place]
                length = at - log[first][0]

                assert taken <= burst + pace * (length + SLACK)

    @pytest.mark.parametrize("rates", [[Rate(10, burst=2)], [Rate(10, burst=2)] * 2])
    def test_a_stall_is_not_made_up(self, rates):
        """
        If all waiters oversleep by seconds, the burst goes at once, and what
        has flowed in since counts no more than two milliseconds.
        """
        queue = drained(*rates)
        for _ in range(20):
            enter(queue, 0, waiter=object())

        assert 2 == len(queue.serve(3 * SECOND))
        assert 0 == len(queue.serve(3 * SECOND + 97 * MS))
        assert 1 == len(queue.serve(3 * SECOND + 98 * MS))

    @given(
        st.lists(st.tuples(st.integers(0, 50 * MS), TOKENS), min_size=1, max_size=30)
    )
    def test_fifo(self, arrivals):
        """
        If places of any weight queue, they are granted in the order they came.
        """
        queue, now = drained(Rate(50, burst=4)), 0
        entered, granted = [], []
        for pause, tokens in arrivals:
            now += pause
            granted += queue.serve(now)
            waiter = object() if tokens % 2 else None
            entered.append(enter(queue, now, tokens, waiter=waiter))
        while queue.places:
            granted += queue.serve(queue.turn_of(queue.first()))

        assert entered == granted

    def test_a_large_request_holds_back_small_ones(self):
        """
        If a large request is first, tokens that would do for a small one wait
        for it.
        """
        queue = drained(Rate(1, burst=5))
        large, small = enter(queue, 0, 5), enter(queue, 0, 1)

        assert [] == queue.serve(3 * SECOND)
        assert not queue.take(3 * SECOND, 1)
        assert 0 == queue.takeable(3 * SECOND)
        assert [large] == queue.serve(5 * SECOND)
        assert [small] == queue.serve(6 * SECOND)


class TestRetryAfter:
    """
    Guarantee 2.
    """

    @given(st.sampled_from(ROUND + ODD + ODD_PAIRS), steps(PAUSES), TOKENS)
    def test_exact(self, rates, plan, tokens):
        """
        If nobody else asks, asking again at the turn is enough, and a
        nanosecond earlier is not, whatever happened before.
        """
        results = []
        for earlier in (1, 0):
            queue, now = queue_of(*rates), 0
            for pause, verb, many, which in plan:
                now += pause
                serve_on_time(queue, now)
                place = Place(many, object() if verb == "wait" else None)
                if verb == "pause":
                    queue.pause(now + which * 100 * MS)
                elif verb == "cancel" and queue.places:
                    queue.leave(now, list(queue.places)[which % len(queue.places)])
                elif verb == "settle" and queue.places:
                    queue.settle(now, list(queue.places)[-1], which)
                elif queue.budget.fits(many) and not queue.take(now, many, place):
                    queue.enter(now, place, queue.budget)
                serve_on_time(queue, now)
            if not queue.budget.fits(tokens):
                return
            turn = queue.turn(now, tokens) - earlier
            if turn < now:
                return
            serve_on_time(queue, turn)
            results.append(queue.take(turn, tokens))

        assert [False, True] == results

    @pytest.mark.parametrize("rates", ODD + ODD_PAIRS, ids=repr)
    def test_odd_rates(self, rates):
        """
        If the bucket is empty, the refusal at an odd rate is exact.
        """
        queue = queue_of(*rates)
        while queue.take(0, 1):
            pass

        turn = queue.turn(0, 1)

        assert not queue.take(turn - 1, 1)
        assert queue.take(turn, 1)


class TestLeave:
    """
    Guarantee 4, before the turn.
    """

    @given(st.sampled_from(ROUND + ODD + ODD_PAIRS), st.data())
    def test_in_any_order_as_if_never_there(self, rates, data):
        """
        If places leave at once, in any order, everybody else is where they
        were had those never come.
        """
        queue, alone = queue_of(*rates), queue_of(*rates)
        largest = min(queue.budget.largest, 4)
        for _ in range(3):
            assert alone.take(0, 1) is queue.take(0, 1)
        plan = data.draw(
            st.lists(st.tuples(st.integers(1, largest), st.booleans()), min_size=1)
        )
        leavers, pairs = [], []
        for tokens, stays in plan:
            if stays:
                pairs.append((enter(queue, 0, tokens), enter(alone, 0, tokens)))
            else:
                leavers.append(enter(queue, 0, tokens))
        for place in data.draw(st.permutations(leavers)):
            assert queue.leave(0, place)
            check(queue)

        assert alone.state == queue.state
        assert alone.turn(0, 1) == queue.turn(0, 1)
        for one, other in pairs:
            assert alone.turn_of(other) == queue.turn_of(one)

        queue.serve(FOREVER)
        alone.serve(FOREVER)

        assert alone.state == queue.state

    @given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=8), st.data())
    def test_the_last_one_at_any_time(self, ahead, data):
        """
        If the last of the queue leaves at any time before its turn, nothing
        says that it was there.
        """
        queue, alone = drained(Rate(3, burst=3)), drained(Rate(3, burst=3))
        for tokens, waits in ahead:
            waiter = object() if waits else None
            enter(queue, 0, tokens, waiter=waiter)
            enter(alone, 0, tokens, waiter=waiter)
        last = enter(queue, 0, 2)
        when = data.draw(st.integers(0, queue.turn_of(last) - 1))
        serve_on_time(queue, when)
        serve_on_time(alone, when)
        queue.leave(when, last)
        serve_on_time(queue, FOREVER)
        serve_on_time(alone, FOREVER)

        assert alone.state == queue.state
        assert alone.admitted == queue.admitted

    def test_those_behind_move_up(self):
        """
        If the first leaves, the next has the tokens that were kept for it, not
        before now.
        """
        queue = drained(Rate(1, burst=5))
        large, small = enter(queue, 0, 5), enter(queue, 0, 1)
        queue.leave(3 * SECOND, large)

        assert [small] == queue.serve(3 * SECOND)
        assert 3 * SECOND == small.turned
        assert 2 == queue.available(3 * SECOND)

    def test_twice(self):
        """
        If a place leaves twice, only the first time counts.
        """
        queue = drained(Rate(1))
        place = enter(queue, 0)

        assert queue.leave(0, place)
        assert not queue.leave(0, place)
        assert 0 == queue.queued_tokens

    def test_a_place_that_was_granted_does_not_leave(self):
        """
        If a place was granted, leaving changes nothing.
        """
        queue = queue_of(Rate(1))
        place = booked(queue, 0)

        assert not queue.leave(0, place)
        assert Status.GRANTED is place.status


class TestDeadline:
    """
    Guarantee 5: who is late.
    """

    @pytest.mark.parametrize("rates", [[Rate(1)], [Rate(1), Rate(2)]], ids=len)
    def test_deadline_before_the_turn(self, rates):
        """
        If the deadline came before the turn and nobody looked, the place is
        late and charged nothing; those behind move up to that moment.
        """
        queue = drained(*rates)
        late = enter(queue, 0, waiter=object(), deadline=3 * SECOND)
        behind = enter(queue, 0)
        queue.pause(4 * SECOND)

        decided = queue.serve(10 * SECOND)

        assert [late, behind] == decided
        assert [Status.LATE, Status.GRANTED] == [place.status for place in decided]
        assert 4 * SECOND == behind.turned
        assert 2 == queue.admitted

    def test_turn_at_the_deadline(self):
        """
        If the turn comes at the deadline itself, it is in time, however late
        somebody looks.
        """
        queue = drained(Rate(1))
        place = enter(queue, 0, waiter=object(), deadline=SECOND)

        assert [place] == queue.serve(7 * SECOND)
        assert Status.GRANTED is place.status


class TestSettle:
    def test_less_goes_back(self):
        """
        If it costs less than booked, the difference is there again.
        """
        queue = queue_of(Rate(1, burst=5))
        place = booked(queue, 0, 4)

        assert queue.settle(0, place, 1)
        assert 4 == queue.available(0)

    def test_more_becomes_debt(self):
        """
        If it costs more than booked, the difference is owed.
        """
        queue = queue_of(Rate(1, burst=5))
        place = booked(queue, 0, 4)

        assert queue.settle(0, place, 9)
        assert -4 == queue.available(0)

    @pytest.mark.parametrize(("actual", "tokens"), [(0, 50), (10, 40), (70, -20)])
    def test_calls_are_left_alone(self, actual, tokens):
        """
        If a rate counts calls, settling does not change it.
        """
        queue = queue_of(Rate(1, burst=3, counts="calls"), Rate(1, burst=50))
        place = booked(queue, 0, 30)
        queue.settle(0, place, actual)

        assert [2, tokens] == levels(queue, 0)

    def test_the_first_decides(self):
        """
        If it is settled twice, the second time changes nothing.
        """
        queue = queue_of(Rate(1, burst=5))
        place = booked(queue, 0, 4)

        assert queue.settle(0, place, 4)
        assert not queue.settle(0, place, 0)
        assert 1 == queue.available(0)

    @pytest.mark.parametrize("rates", [[Rate(1, burst=5)], [Rate(1, burst=5)] * 2])
    def test_before_the_turn_less(self, rates):
        """
        If it is settled to less before its turn, it asks for less: its turn
        and those behind it come earlier, and nothing goes back then.
        """
        queue = drained(*rates)
        first, second = enter(queue, 0, 5), enter(queue, 0, 1)

        assert 6 * SECOND == queue.turn_of(second)
        assert queue.settle(0, first, 2)
        assert not queue.settle(0, first, 5)
        assert 2 * SECOND == queue.turn_of(first)
        assert 3 * SECOND == queue.turn_of(second)
        assert 4 * SECOND == queue.turn(0, 1)

        queue.serve(3 * SECOND)

        assert [2 * SECOND, 3 * SECOND] == [first.turned, second.turned]
        assert not queue.settle(3 * SECOND, first, 5)
        assert 0 == queue.available(3 * SECOND)

    @pytest.mark.parametrize("rates", [[Rate(1, burst=5)], [Rate(1, burst=5)] * 2])
    def test_before_the_turn_more(self, rates):
        """
        If it is settled to more before its turn, the turn stays, and those
        behind it wait for the debt, too.
        """
        queue = drained(*rates)
        first, second = enter(queue, 0, 2), enter(queue, 0, 1)
        queue.turn(0, 1)

        assert queue.settle(0, first, 7)
        assert 2 * SECOND == queue.turn_of(first)
        assert 8 * SECOND == queue.turn_of(second)
        assert 9 * SECOND == queue.turn(0, 1)

        queue.serve(2 * SECOND)

        assert -5 == queue.available(2 * SECOND)
        assert 8 * SECOND == queue.turn_of(second)
        assert 9 * SECOND == queue.turn(2 * SECOND, 1)

    def test_before_the_turn_more_and_gone(self):
        """
        If one that was settled to more leaves, its debt leaves with it.
        """
        queue = drained(Rate(1, burst=5))
        first, second = enter(queue, 0, 2), enter(queue, 0, 1)
        queue.settle(0, first, 7)
        queue.leave(0, first)
        check(queue)

        assert SECOND == queue.turn_of(second)
        assert 2 * SECOND == queue.turn(0, 1)

    def test_before_the_turn_the_first_is_due_now(self):
        """
        If the first is settled to what is there already, it is due now and
        not earlier.
        """
        queue = drained(Rate(1, burst=5))
        place = enter(queue, 0, 5)
        queue.settle(3 * SECOND, place, 1)

        assert [place] == queue.serve(3 * SECOND)
        assert 3 * SECOND == place.turned
        assert 2 == queue.available(3 * SECOND)

    def test_more_after_a_long_time(self):
        """
        If it costs more than booked, and the bucket has long been full, the
        difference is taken from a full one.
        """
        queue = queue_of(Rate(1, burst=5))
        place = booked(queue, 0, 1)
        queue.settle(60 * SECOND, place, 4)

        assert 2 == queue.available(60 * SECOND)

    def test_gone(self):
        """
        If a place left, it cannot be settled.
        """
        queue = drained(Rate(1))
        place = enter(queue, 0)
        queue.leave(0, place)

        assert not queue.settle(0, place, 0)

    def test_undo_gives_the_call_back(self):
        """
        If a grant is undone, tokens and call are there again, and it was not
        admitted; once more changes nothing.
        """
        queue = queue_of(Rate(1, burst=3, counts="calls"), Rate(1, burst=50))
        place = booked(queue, 0, 30)
        queue.undo(0, place)
        queue.undo(0, place)

        assert [3, 50] == levels(queue, 0)
        assert 0 == queue.admitted
        assert Status.LEFT is place.status
        assert not queue.settle(0, place, 0)

    def test_undo_after_settling(self):
        """
        If it was settled before, undoing does not give back again.
        """
        queue = queue_of(Rate(1, burst=5))
        place = booked(queue, 0, 4)
        queue.settle(0, place, 3)
        queue.undo(0, place)

        assert 2 == queue.available(0)

    def test_undo_after_settling_before_the_turn(self):
        """
        If it was settled before its turn, it costs what it was charged then.
        """
        queue = drained(Rate(1, burst=5))
        place = enter(queue, 0, 4)
        queue.settle(0, place, 2)
        queue.serve(2 * SECOND)
        queue.undo(2 * SECOND, place)

        assert 0 == queue.available(2 * SECOND)

    @pytest.mark.parametrize("leaves", [False, True])
    def test_of_one_that_is_not_first_moves_nobody_ahead(self, leaves):
        """
        If somebody in the queue settles or leaves late, the turn of those
        ahead, which has come meanwhile, stays when it was.
        """
        queue = drained(Rate(1, burst=3))
        ahead, behind = enter(queue, 0), enter(queue, 0, 2)
        if leaves:
            queue.leave(5 * SECOND, behind)
        else:
            queue.settle(5 * SECOND, behind, 1)
        queue.serve(5 * SECOND)

        assert SECOND == ahead.turned


class TestGiveBack:
    """
    Guarantee 4, after the turn.
    """

    RATES = st.builds(Rate, st.sampled_from([1, 3, 50]), burst=st.integers(2, 6))

    @settings(max_examples=300)
    @given(
        st.lists(st.lists(RATES, min_size=1, max_size=2), min_size=1, max_size=3),
        st.lists(
            st.tuples(
                st.sampled_from([0, 0, 10, 300, 1000, 4000]).map(lambda ms: ms * MS),
                st.sampled_from(["book", "book", "settle", "undo", "configure"]),
                st.integers(1, 6),
                st.integers(0, 3),
            ),
            min_size=4,
            max_size=25,
        ),
        st.integers(0, 3),
    )
    @example(
        [[Rate(1, burst=5)]],
        [(0, "book", 2, 0), (4 * SECOND, "book", 5, 0), (0, "undo", 1, 0)],
        0,
    )
    @example(
        [[Rate(1, burst=3)]],
        [
            (0, "book", 1, 0),
            (0, "book", 1, 0),
            (10 * MS, "book", 1, 0),
            (0, "settle", 1, 0),
            (0, "undo", 1, 1),
        ],
        0,
    )
    def test_never_fuller_than_if_it_had_not_been_booked(  # noqa: C901 -- as above
        self, configs, plan, victim
    ):
        """
        If a booking is settled or undone, the bucket is at no time fuller than
        in the same story without it, among any other bookings and
        reconfigurations.
        """
        queue, without = queue_of(*configs[0]), queue_of(*configs[0])
        now, pairs = 0, []
        for pause, verb, tokens, which in plan:
            now += pause
            if verb == "configure":
                rates = configs[which % len(configs)]
                queue.reconfigure(now, budget_of(rates))
                without.reconfigure(now, budget_of(rates))
            elif verb == "book":
                place = Place(tokens)
                if queue.budget.fits(tokens) and queue.take(now, tokens, place):
                    twin = None
                    if len(pairs) != victim:
                        twin = Place(tokens)

                        assert without.take(now, tokens, twin)
                    pairs.append((place, twin))
            elif pairs:
                place, twin = pairs[which % len(pairs)]
                actual = min(which, place.tokens)
                if verb == "settle":
                    queue.settle(now, place, actual)
                    if twin is not None:
                        without.settle(now, twin, actual)
                else:
                    queue.undo(now, place)
                    if twin is not None:
                        without.undo(now, twin)
            for have, would_have in zip(
                levels(queue, now), levels(without, now), strict=True
            ):
                assert have <= would_have

    @pytest.mark.parametrize(
        ("after", "expected"), [(0, 5), (2, 5), (3, 5), (4, 5), (60, 5)]
    )
    def test_what_was_lost_is_not_given_back(self, after, expected):
        """
        If the bucket has been filling up since, no more goes back than fits.
        """
        queue = queue_of(Rate(1, burst=5))
        place = booked(queue, 0, 5)
        queue.undo(after * SECOND, place)

        assert expected == queue.available(after * SECOND)

    def test_what_overflowed_meanwhile_is_lost(self):
        """
        If the bucket was full between the booking and its return, and was
        charged again, what would have overflowed does not come back.
        """
        queue = queue_of(Rate(1, burst=5))
        place = booked(queue, 0, 2)

        assert queue.take(SECOND, 4)

        queue.undo(SECOND, place)

        # Never booked: full at 0, 1 at 1. Booked: one of two fits back.
        assert 1 == queue.available(SECOND)

    def test_returns_share_the_room(self):
        """
        If several go back, what one fills is not there for the other.
        """
        queue = queue_of(Rate(1, burst=4))
        places = [booked(queue, 0, 2), booked(queue, 0, 2)]
        queue.undo(3 * SECOND, places[0])
        queue.take(3 * SECOND, 4)
        queue.undo(3 * SECOND, places[1])

        assert 0 == queue.available(3 * SECOND)

    def test_what_overflowed_after_its_turn_is_lost(self):
        """
        If it queued for its tokens, what would have overflowed after its turn
        does not come back either.
        """
        queue = drained(Rate(1, burst=3))
        place = enter(queue, 0, 2)
        queue.serve(2 * SECOND)

        assert queue.take(6 * SECOND, 3)

        queue.undo(6 * SECOND, place)

        assert 0 == queue.available(6 * SECOND)

    def test_what_overflowed_since_another_queued_is_lost(self):
        """
        If another queued and was granted since, what would have overflowed
        after that does not come back.
        """
        queue = queue_of(Rate(1, burst=3))
        place = booked(queue, 0, 1)
        queue.take(0, 2)
        other = enter(queue, 0, 1)
        queue.serve(SECOND)

        assert other.status is Status.GRANTED
        assert queue.take(5 * SECOND, 3)

        queue.undo(5 * SECOND, place)

        assert 0 == queue.available(5 * SECOND)

    @pytest.mark.parametrize("few", [1, 64])
    @pytest.mark.parametrize("queued", [False, True])
    @pytest.mark.parametrize("first", [0, 1])
    def test_returns_count_for_those_that_follow(self, first, queued, few):
        """
        If two bookings go back, in either order, the bucket is as full as if
        neither had been made: what would have overflowed then is lost. They
        may have queued, and their rooms are not weeded out.
        """
        queue, now = queue_of(Rate(1, burst=3)), 10 * MS
        if queued:
            queue.take(0, 3)
            places = [enter(queue, 0, 1), enter(queue, 0, 1)]
            queue.serve(2 * SECOND)
            now += 3 * SECOND
        else:
            places = [booked(queue, 0, 1), booked(queue, 0, 1)]
        # After so many, the rooms nobody needs are weeded out.
        queue._rooms._many = few
        last = booked(queue, now, 1)
        queue.undo(now, places[first])
        queue.undo(now, places[1 - first])

        assert [2] == levels(queue, now)
        assert Status.GRANTED is last.status

    def test_returns_count_across_a_reconfiguration(self):
        """
        If the rate changed since, one that goes back still leaves less room
        for the other.
        """
        queue = queue_of(Rate(1, burst=3))
        places = [booked(queue, 0, 1), booked(queue, 0, 1)]

        assert queue.take(10 * MS, 1)

        queue.reconfigure(10 * MS, Bucket(Rate(7, per=0.3, burst=3)))
        queue.undo(10 * MS, places[0])
        queue.undo(10 * MS, places[1])

        assert Fraction(199, 100) < levels(queue, 10 * MS)[0] <= 2

    def test_exact_when_nothing_overflowed(self):
        """
        If the bucket was never full meanwhile, all comes back.
        """
        queue = queue_of(Rate(1, burst=9))
        place = booked(queue, 0, 3)

        assert queue.take(0, 5)

        for second in range(1, 5):
            assert queue.take(second * SECOND, 1)
        queue.undo(4 * SECOND, place)

        assert 4 == queue.available(4 * SECOND)

    def test_added_rate_takes_nothing_back(self):
        """
        If a rate was added since, it was not charged, and gets nothing.
        """
        queue = queue_of(Rate(1, burst=5))
        place = booked(queue, 0, 3)
        queue.reconfigure(0, budget_of([Rate(1, burst=5), Rate(1, per=60, burst=9)]))
        queue.undo(0, place)

        assert [5, 0] == levels(queue, 0)

    def test_chain_of_reconfigurations(self):
        """
        If rates change between the booking and its return, it comes back in
        tokens of now.
        """
        queue = queue_of(Rate(1, burst=9))
        place = booked(queue, 0, 6)
        for rate in (Rate(3, burst=9), Rate(7, per=0.3, burst=9), Rate(2, burst=9)):
            queue.reconfigure(0, Bucket(rate))
        queue.settle(0, place, 2)

        assert 7 == queue.available(0)

    def test_room_was_smaller_under_an_older_rate(self):
        """
        If the burst was smaller for a while, what did not fit then is lost.
        """
        queue = queue_of(Rate(1, burst=9))
        place = booked(queue, 0, 6)
        queue.reconfigure(0, Bucket(Rate(1, burst=4)))
        queue.reconfigure(0, Bucket(Rate(1, burst=9)))
        queue.undo(0, place)

        assert 4 == queue.available(0)


class TestRooms:
    """
    What bookings leave behind: nothing.
    """

    def chain(self, place):
        """
        Return how many rooms the booking of *place* keeps.
        """
        room, count = place.room, 0
        while room is not None:
            room, count = room.next, count + 1
        return count

    def test_dropped_bookings_are_forgotten(self):
        """
        If ten thousand bookings are dropped unsettled, none is remembered.
        """
        queue = queue_of(Rate(1, burst=10**6))
        for _ in range(10_000):
            booked(queue, 0)

        assert not queue.bookings()
        assert len(queue._rooms._links) <= 64

    def test_dropped_turns_are_forgotten(self):
        """
        If one booking stays, and a thousand others queue, come to their turn and
        are dropped, none is remembered.
        """
        queue = drained(Rate(1, burst=10))
        stays = enter(queue, 0)
        queue.serve(SECOND)
        for second in range(2, 1_000):
            enter(queue, second * SECOND - 1)
            queue.serve(second * SECOND)

        assert 998 + 1 + 1 == queue.admitted
        assert self.chain(stays) <= 150

    @pytest.mark.parametrize("ends", ["settled", "dropped"])
    def test_one_that_never_ends_does_not_keep_the_others(self, ends):
        """
        If one booking stays, ten thousand later ones that ended, overlapping
        each other, leave no trace; and yet what it may give back is exact.
        """
        queue = queue_of(Rate(1, burst=10**6))
        stays = booked(queue, 0, 10)
        window = []
        for second in range(10_000):
            window.append(booked(queue, second * SECOND))
            if len(window) > 5:
                place = window.pop(0)
                if ends == "settled":
                    queue.settle(second * SECOND, place, 1)
        del place, window

        assert self.chain(stays) <= 150
        # At the start it overflowed by nothing but the flow of 10 s.
        before = queue.available(10_000 * SECOND)
        queue.settle(10_000 * SECOND, stays, 0)

        assert before + 10 >= queue.available(10_000 * SECOND)

    def test_live_bookings_are_looked_through_seldom(self, monkeypatch):
        """
        If thousands of bookings live at once, each is looked at a few times, not
        once for each that comes.
        """
        looked = []
        is_needed = Room.is_needed

        def counted(room):
            looked.append(room)
            return is_needed(room)

        monkeypatch.setattr(Room, "is_needed", counted)
        queue = queue_of(Rate(1, burst=10**6))
        places = [booked(queue, 0) for _ in range(4_000)]

        assert queue.bookings()
        assert len(looked) < 3 * len(places)

    def test_least_room_survives_the_weeding(self):
        """
        If rooms of ended bookings are weeded out, the least room of them all
        is still known.
        """
        queue = queue_of(Rate(1, burst=1000))
        stays, gone = booked(queue, 0, 9), [booked(queue, 0, 1)]
        # Six of ten flow back in: from here on four can be given back.
        gone += [booked(queue, 6 * SECOND, 1) for _ in range(300)]
        for place in gone:
            queue.settle(6 * SECOND, place, 1)
        del gone, place
        for _ in range(300):
            booked(queue, 6 * SECOND, 1)

        assert self.chain(stays) <= 100

        queue.settle(6 * SECOND, stays, 0)

        assert 1000 - 600 == queue.available(6 * SECOND)

    @pytest.mark.parametrize(
        "rates", [[Rate(1, burst=1000)], [Rate(1, burst=1000)] * 2]
    )
    def test_weeding_changes_nothing(self, rates, monkeypatch):
        """
        If rooms are weeded out after every booking or never, everything comes
        back alike.
        """
        results = []
        for few in (1, 10**9):
            monkeypatch.setattr("switchgear._core.rooms._FEW", few)
            queue = queue_of(*rates)
            alive = {}
            for number in range(200):
                now = number * SECOND // 3
                alive[number] = booked(queue, now, 1 + number % 3)
                if number % 50 == 49:
                    queue.reconfigure(
                        now, budget_of([Rate(2, burst=1000)] * len(rates))
                    )
                for other in (number - 7, number - 11 * (number % 4)):
                    place = alive.pop(other, None)
                    if place is not None and number % 5:
                        queue.settle(now, place, number % 2)
            for place in alive.values():
                queue.undo(100 * SECOND, place)
            results.append(queue.state)

        assert results[0] == results[1]

    def test_who_is_first_is_remembered(self):
        """
        If thousands of unattended places queue before one that is waited for,
        looking who is first costs the same for each newcomer.
        """
        queue = drained(Rate(1))

        for _ in range(1_000):
            enter(queue, 0)

            assert queue.front() is None
        # Nobody waits: nobody was looked for.
        assert queue._plan is None

        waiting = enter(queue, 0, waiter=object())
        front = queue.front()

        assert (waiting, 1_001 * SECOND) == front

        for second in range(1_000):
            enter(queue, second * SECOND)
            queue.serve(second * SECOND)

            assert front is queue.front()

    def test_several_buckets_are_remembered(self, monkeypatch):
        """
        If many queue for several buckets, each newcomer's turn is found from
        the one before, not from all of them; grants in time change nothing.
        """
        charged = []
        monkeypatch.setattr(
            "switchgear._core.queue._charged",
            lambda budget, state, since, place: (
                charged.append(place) or budget.charge(state, since, place.asks)
            ),
        )
        queue = drained(Rate(1, burst=3), Rate(2, burst=9))
        for number in range(1, 101):
            assert number * SECOND == queue.turn(0, 1)

            enter(queue, 0)

        assert 100 >= len(charged)

        charged.clear()
        for number in range(1, 51):
            queue.serve(number * SECOND)

            assert 101 * SECOND == queue.turn(number * SECOND, 1)

        assert 50 == len(charged)

        charged.clear()
        late = number * SECOND + SECOND
        queue.serve(late + SECOND // 2)

        assert 101 * SECOND == queue.turn(late, 1)
        assert 2 >= len(charged)

    def test_who_attends_is_counted_once(self):
        """
        If somebody begins to wait on a place of their own, they are found like
        those who waited from the start, and like those no longer once they
        leave.
        """
        queue = drained(Rate(1))
        booked, waiter = enter(queue, 0), object()

        assert queue.attend(0, booked, waiter)
        assert not queue.attend(0, booked, object())
        assert waiter is booked.waiter

        other = enter(queue, 0, waiter=object())
        check(queue)
        queue.leave(0, booked)
        check(queue)
        queue.leave(0, other)
        check(queue)

    def test_a_turn_that_has_passed_unserved(self):
        """
        If the turn of somebody nobody waits for has passed, it was then: a
        newcomer's turn follows from that, whether or not it was served.
        """
        queue = drained(Rate(1, burst=2))
        enter(queue, 0, 2)

        assert 3 * SECOND == queue.turn(9 * SECOND, 1)


class TestReconfigure:
    def test_sleepers_are_timed_anew(self):
        """
        If the rate is raised, those in the queue are due earlier, from now on.
        """
        queue = drained(Rate(0.1))
        places = [enter(queue, 0) for _ in range(4)]
        queue.reconfigure(0, Bucket(Rate(20)))

        assert [50 * MS, 100 * MS, 150 * MS, 200 * MS] == [
            queue.turn_of(place) for place in places
        ]

    def test_too_large_for_the_new_burst(self):
        """
        If the burst is lowered below what somebody asks, that one leaves and
        nobody is stuck behind it.
        """
        queue = drained(Rate(1, burst=5))
        large, small = enter(queue, 0, 5), enter(queue, 0, 1)

        queue.reconfigure(0, Bucket(Rate(1, burst=4)))

        assert [large] == queue.serve(0)
        assert Status.TOO_LARGE is large.status
        assert SECOND == queue.turn_of(small)

    def test_all_are_looked_at_once(self, monkeypatch):
        """
        If somebody may ask too much for a new burst, serving goes over everybody,
        once; it does not before, nor after.
        """
        queue, seen = drained(Rate(1, burst=5)), []
        for _ in range(3):
            enter(queue, 0, 2)
        monkeypatch.setattr(Bucket, "fits", lambda _, tokens: not seen.append(tokens))

        queue.serve(0)
        assert [] == seen

        queue.reconfigure(0, Bucket(Rate(1, burst=4)))
        assert [] == seen

        for _ in range(2):
            queue.serve(0)
            assert [2, 2, 2] == seen

    def test_it_answers_whether_it_changed(self):
        """
        If the expected two are there, others take their place; else nothing is done.
        Either is said.
        """
        old, new = Bucket(Rate(1)), Bucket(Rate(2))
        queue = Queue(old, 0)

        assert queue.reconfigure(0, new, 5, (old, None))
        assert not queue.reconfigure(0, old, 7, (old, None))
        assert not queue.reconfigure(0, old, 7, (new, None))
        assert (new, 5) == (queue.budget, queue.max_waiters)

    @settings(max_examples=150)
    @given(
        st.lists(st.sampled_from(ROUND + ODD[:4] + ODD_PAIRS), min_size=2, max_size=5),
        st.lists(TOKENS, max_size=8),
        st.integers(0, 3 * SECOND),
    )
    def test_queue_is_never_stuck(self, configs, requests, now):
        """
        If rates change in any way, everybody left in the queue is granted in
        the end, in order, and nothing was minted.
        """
        queue = queue_of(*configs[0])
        for tokens in requests:
            if queue.budget.fits(tokens):
                enter(queue, 0, tokens, waiter=object() if tokens % 2 else None)
        serve_on_time(queue, now)
        for rates in configs[1:]:
            were = levels(queue, now)
            queue.reconfigure(now, budget_of(rates))
            queue.serve(now)
            check(queue)

            assert max(levels(queue, now)) <= max(0, *were, 0)

            serve_on_time(queue, now)
        left = list(queue.places)
        turns = [queue.turn_of(place) for place in left]

        assert sorted(turns) == turns

        serve_on_time(queue, FOREVER)

        assert turns == [place.turned for place in left]

    def test_refill(self):
        """
        If it starts anew, the bucket is full, no pause runs, counts are zero,
        and the queue stays.
        """
        queue = drained(Rate(1, burst=2))
        queue.pause(9 * SECOND)
        place = enter(queue, 0, 2)
        queue.refill(SECOND)

        assert 2 == queue.available(SECOND)
        assert (0, 0, 0) == (queue.admitted, queue.refused, queue.waited)
        assert [place] == queue.serve(SECOND)
        assert SECOND == place.turned

    def test_refill_and_bookings(self):
        """
        If it starts anew, older bookings have nothing to give back.
        """
        queue = queue_of(Rate(1, burst=3))
        place = booked(queue, 0, 3)
        queue.refill(0)
        queue.take(0, 2)
        queue.undo(0, place)

        assert 1 == queue.available(0)


class TestEnter:
    def test_numbered_in_order(self):
        """
        If places are put into the queue, they are numbered from one.
        """
        queue = drained(Rate(1))

        assert (Status.NEW, 0) == (Place(1).status, Place(1).number)
        assert [1, 2, 3] == [enter(queue, 0).number for _ in range(3)]

    def test_not_into_another(self):
        """
        If it was closed, or has another budget by now, nobody is put into it.
        """
        queue, place = drained(Rate(1)), Place(1)
        before = queue.budget
        queue.reconfigure(0, Bucket(Rate(2)))

        assert not queue.enter(0, place, before)

        queue.close("")

        assert not queue.enter(0, place, queue.budget)
        assert Status.NEW is place.status
        check(queue)

    def test_how_long_they_waited(self):
        """
        If waiters are granted, the time they waited is summed up, not that of
        bookings nobody waited for.
        """
        queue = drained(Rate(1))
        enter(queue, SECOND // 2, waiter=object())
        queue.serve(SECOND)
        enter(queue, SECOND)
        queue.serve(2 * SECOND)

        assert SECOND // 2 == queue.waited


class TestClose:
    def test_everybody_leaves(self):
        """
        If it is closed, all places leave, nothing is taken, and afterwards it
        goes on.
        """
        queue = drained(Rate(1))
        places = [enter(queue, 0, waiter=object()), enter(queue, 0)]

        queue.close("shut down")

        assert places == queue.serve(0)
        assert [Status.CLOSED] * 2 == [place.status for place in places]
        assert not queue.take(9 * SECOND, 1)
        queue.reopen()
        assert queue.take(9 * SECOND, 1)
        check(queue)

    def test_only_what_changes_is_told(self):
        """
        If it is closed, open or paused for longer already, nothing is told.
        """
        queue, news = Queue(Bucket(Rate(1)), 0), []

        queue.reopen(news, ("open as it was",))
        assert queue.close("a", 0, news, ("closed",))
        assert queue.close("b", 0, news, ("closed as it was",))
        assert not queue.close("c", 1, news, ("sent one away",))
        assert "b" == queue.closed
        queue.reopen(news, ("opened",))
        queue.reopen(news, ("open as it was",))
        queue.pause(5, news, ("paused",))
        queue.pause(5, news, ("paused as it was",))

        assert ["closed", "opened", "paused"] == news

    def test_forget(self):
        """
        If a forked child forgets the queue, it is empty there.
        """
        queue = drained(Rate(1))
        place = enter(queue, 0, waiter=object())
        queue.front()
        queue.forget()
        check(queue)

        assert not queue.places
        assert SECOND == queue.turn(0, 1)
        assert Status.LEFT is place.status

        enter(queue, 0, waiter=object())
        check(queue)


class TestIdle:
    def test_when_full_and_free(self):
        """
        If the bucket is full, nobody queues, no pause runs, it is open and no
        booking lives, forgetting it changes nothing; else it would.
        """
        queue = queue_of(Rate(1, burst=2))

        assert queue.is_idle(0)

        place = booked(queue, 0)

        assert not queue.is_idle(9 * SECOND)

        del place

        assert not queue.is_idle(SECOND - 1)
        assert queue.is_idle(SECOND)

        queue.pause(3 * SECOND)

        assert not queue.is_idle(2 * SECOND)
        assert queue.is_idle(3 * SECOND)

        queue.close("")

        assert not queue.is_idle(3 * SECOND)


SINGLE, DOUBLE = [Rate(1, burst=10)], [Rate(1, burst=10), Rate(2, burst=20)]


class Scene:
    """
    Stage operations on a queue of ten tokens, to be interrupted anywhere.
    """

    def __init__(self, rates):
        self.queue = queue_of(*rates)
        self.before = booked(self.queue, 0, 2)
        self.first = booked(self.queue, 0, 8)
        self.second = enter(self.queue, 0, 1, waiter=object())
        self.third = enter(self.queue, 0, 1)
        self.places = [self.before, self.first, self.second, self.third]

    def newcomer(self, waiter=None):
        place = Place(1, waiter)
        self.places.append(place)
        return place

    def take(self):
        self.queue.leave(0, self.second)
        self.queue.leave(0, self.third)
        self.queue.undo(0, self.first)
        self.queue.take(0, 1, self.newcomer())

    def serve(self):
        self.queue.undo(0, self.first)
        self.queue.serve(0)

    def reserve(self):
        self.queue.turn(0, 1)
        self.queue.enter(0, self.newcomer(), self.queue.budget)
        self.queue.front()

    def wait(self):
        self.queue.front()
        self.queue.turn(0, 1)
        self.queue.enter(0, self.newcomer(object()), self.queue.budget)

    def leave(self):
        self.queue.leave(0, self.second)

    def settle(self):
        self.queue.settle(0, self.before, 1)

    def owe(self):
        self.queue.settle(0, self.before, 5)

    def ahead(self):
        self.queue.settle(0, self.third, 0)

    def undo(self):
        self.queue.undo(0, self.before)

    def join(self):
        self.queue.attend(0, self.third, object())

    def configure(self):
        self.queue.reconfigure(0, budget_of([Rate(5, burst=10)]))

    def pause(self):
        self.queue.pause(SECOND)

    def close(self):
        self.queue.close("")

    def refill(self):
        self.queue.refill(0)

    def look(self):
        self.queue.front()
        self.queue.turn(0, 1)
        self.queue.turn_of(self.third)

    def check(self):
        """
        Assert that what was granted was charged, and nothing else.
        """
        check(self.queue)
        charged = 0
        for place in self.places:
            if place.settled is not None:
                charged += place.settled
            elif place.status is Status.GRANTED:
                charged += place.tokens

        assert 10 - charged == self.queue.available(0)

    def end(self):
        """
        Assert that nobody is left in the end.
        """
        check(self.queue)
        serve_on_time(self.queue, FOREVER)

        assert not self.queue.places


STEPS = (
    "take",
    "serve",
    "reserve",
    "wait",
    "leave",
    "settle",
    "owe",
    "ahead",
    "undo",
    "join",
    "configure",
    "pause",
    "close",
    "refill",
    "look",
)


@pytest.mark.parametrize("rates", [SINGLE, DOUBLE], ids=["one rate", "two rates"])
class TestReentrancy:
    @pytest.mark.parametrize("step", STEPS)
    def test_interrupted_anywhere(self, rates, step):
        """
        If KeyboardInterrupt comes at any point of any operation, what was
        granted was charged and nothing else, and the queue goes on.
        """
        for come_in in points(2):
            scene = Scene(rates)
            come_in(getattr(scene, step), stop)
            if step != "refill":
                scene.check()
            scene.end()

    @pytest.mark.parametrize("step", STEPS)
    def test_reentered_anywhere(self, rates, step):
        """
        If a signal handler uses the queue at any point of any operation, in
        any way, what was granted was charged and nothing else, and the queue
        goes on.
        """
        for other in STEPS:
            for come_in in points(2):
                scene = Scene(rates)
                come_in(getattr(scene, step), getattr(scene, other))
                if "refill" not in {step, other}:
                    scene.check()
                scene.end()

    def test_paused_amid_a_grant(self, rates):
        """
        If a signal handler pauses it at any point of a grant, who was not admitted
        by then is not admitted, nor said to be.
        """
        waited = []
        for come_in in points(2):
            scene, queued, decided = Scene(rates), [], []
            queue = scene.queue
            queue.undo(0, scene.first)

            def pause(scene=scene, queued=queued):
                scene.pause()
                waiting = [scene.second, scene.third]
                queued += [one for one in waiting if one.status is Status.QUEUED]

            def serve(queue=queue, decided=decided):
                decided.extend(queue.serve(0))

            if not come_in(serve, pause):
                continue
            assert all(place.status is Status.QUEUED for place in queued)
            assert all(place.status is Status.GRANTED for place in decided)
            waited.append(len(queued))

        assert {0, 1, 2} == set(waited)

    def test_planned_anew_amid_a_grant(self, rates):
        """
        If a signal handler enters the queue at any point of a grant, whoever asks
        later when it is their turn is not told what was true before.
        """
        for come_in in points(2):
            scene = Scene(rates)
            queue = scene.queue
            # Enough for the two that wait, not for whoever comes then.
            queue.settle(0, scene.first, 6)
            queue.front()
            queue.turn(0, 10)

            def come(scene=scene):
                scene.wait()
                scene.look()

            if not come_in(lambda queue=queue: queue.serve(0), come):
                continue
            told = queue.front(), queue.turn(0, 10)
            queue._plan = None
            assert (queue.front(), queue.turn(0, 10)) == told

    def test_reconfigured_amid_a_sample(self, rates):
        """
        If a signal handler changes the rates at any point at which it is noted how
        much may go back, no more goes back than there was room for.
        """
        for come_in in points(2):
            queue = queue_of(*rates)
            place = booked(queue, 0, 5)
            now = 5 * SECOND

            def change(queue=queue, now=now):
                queue.reconfigure(now, budget_of(rates))

            if not come_in(lambda queue=queue, now=now: queue.take(now, 3), change):
                continue
            # It was full again: what was booked is lost.
            queue.undo(now, place)
            assert 7 == queue.available(now)
