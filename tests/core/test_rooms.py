"""
What may go back of a booking, asked directly; see the queue for the rest.
"""

from __future__ import annotations

import math

from fractions import Fraction

import pytest

from interrupting import points

from switchgear import Rate
from switchgear._core.rooms import Room
from switchgear._core.token_bucket import Bucket, budget_of


class TestRoom:
    def test_in_ticks_of_the_present(self):
        """
        If it is asked by another budget than the newest, which happens to
        whoever is interrupted by a change of rates, the answer fits.
        """
        slow, fast = Bucket(Rate(1, burst=9)), budget_of([Rate(3, burst=9), Rate(2)])
        room = Room(slow, 2, None)

        assert 2 * slow.cost == room.left_for(slow)
        assert (2 * fast.lines[0].cost, 0) == room.left_for(fast)

    def test_lowered_by_no_less_than_what_went_back(self):
        """
        If something goes back in other ticks, what others lose is rounded up,
        by one tick.
        """
        old, new = Bucket(Rate(7, per=0.3, burst=9)), Bucket(Rate(3, burst=9))
        room = Room(old, 3, None)
        room.least = 2 * old.cost
        given = new.cost + 1
        exact = Fraction(given * old.cost, new.cost)

        room.lower(new, given)

        assert math.floor(exact) + 1 == 2 * old.cost - room.least

    def test_absorbing(self):
        """
        If one room takes the place of the next, it has the lesser of both
        samples; interrupted by another sample, it does nothing.
        """
        bucket = Bucket(Rate(1))
        for mine, others, expected in [
            (None, None, None),
            (None, 3, 3),
            (2, None, 2),
            (2, 3, 2),
            (3, 2, 2),
        ]:
            one, two, three = (Room(bucket, 1, None) for _ in range(3))
            one.least, one.next = mine, two
            two.least, two.next = others, three
            one.absorb(two)

            assert expected == one.least
            assert three is one.next

    @pytest.mark.parametrize("which", ["one", "two"])
    def test_absorbing_interrupted(self, which):
        """
        If another sample comes while one room takes the place of the next, it is
        not lost.
        """
        bucket = Bucket(Rate(1))
        one, two = Room(bucket, 1, None), Room(bucket, 1, None)
        rooms, in_time = {"one": one, "two": two}, []

        def sample():
            rooms[which].least = 3
            in_time.append(one.next is two)

        for come_in in points(2):
            one.next, one.least, two.least = two, 5, 4
            if not come_in(lambda: one.absorb(two), sample):
                continue
            if in_time[-1]:
                least = one.least if one.next is None else min(one.least, two.least)
                assert least == 3

        assert True in in_time
