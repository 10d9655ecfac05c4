"""
A place in the queue, and what can become of it.
"""

from switchgear._core.place import NEVER, Place, Status


class TestPlace:
    def test_a_new_one(self):
        """
        If a place is new, nothing has become of it, and nobody looks after others.
        """
        place = Place(3)

        assert place.status is Status.NEW
        assert (place.tokens, place.asks, place.owes) == (3, 3, 0)
        assert (place.number, place.since, place.turned) == (0, 0, 0)
        assert place.deadline is NEVER
        assert place.vigilant is False
        assert (place.waiter, place.room, place.settled) == (None, None, None)
