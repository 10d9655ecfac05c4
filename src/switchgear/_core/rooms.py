"""
What of a booking may still go back, and the chain that keeps it.

Told of samples, it never computes one itself. Like the queue it belongs to, it
makes every change in one run of plain stores without a call: signal handlers and
KeyboardInterrupt come in after calls and at the end of loop bodies.
"""

from __future__ import annotations

import weakref

from typing import TYPE_CHECKING, Any, Final, Protocol

from switchgear._core.token_bucket import carry_room


if TYPE_CHECKING:
    from switchgear._core.token_bucket import Budget


#: How many bookings are made before those that ended are looked for.
_FEW: Final = 64


class Holder(Protocol):
    """
    Be whoever can still ask for a Room: as long as it leads there.
    """

    room: Room | None


class Room:
    """
    Keep how much of one booking may still go back.

    A booking that is given back after its turn must not make the bucket
    fuller than if it had never been made: what the bucket would have lost
    meanwhile, being full, is lost. So at most the least room goes back that
    there was in the bucket since. Samples are noted in the newest Room only;
    older ones lead to newer ones, so that a Room lives as long as a booking
    that could ask for it.
    """

    __slots__ = ("__weakref__", "_holder", "budget", "least", "next", "price")

    def __init__(self, budget: Budget, tokens: int, holder: Holder | None) -> None:
        self.budget = budget
        #: What the booking itself cost.
        self.price: Any = budget.price(tokens)
        #: The least room while this was the newest, or None: no sample.
        self.least: Any = None
        self.next: Room | None = None
        self._holder = None if holder is None else weakref.ref(holder)

    def is_needed(self) -> bool:
        """
        Answer whether its own booking could still ask for it.
        """
        holder = None if self._holder is None else self._holder()
        return holder is not None and holder.room is self

    def left_for(self, budget: Budget) -> Any:
        """
        Return how much may go back into *budget*, the present one, in ticks.
        """
        left: Any = self.price
        room: Room | None = self
        previous = self.budget
        while room is not None:
            if room.budget is not previous:
                left = carry_room(previous, left, room.budget)
                previous = room.budget
            if room.least is not None:
                left = previous.least(left, room.least)
            room = room.next
        return left if previous is budget else carry_room(previous, left, budget)

    def lower(self, budget: Budget, given: Any) -> None:
        """
        Note that so much of its booking went back into *budget*, the present one.

        Had it never been booked, there would have been that much less room for
        the others ever since.
        """
        room: Room | None = self
        while room is not None:
            then: Any = room.budget
            less = given
            if then is not budget:
                # Rounded up, in the ticks of then.
                parts = then.split(carry_room(budget, given, then))
                less = then.join([part + 1 for part in parts])
            # Without a sample there is nothing to lower, with no room neither.
            room.least = room.least and then.less(room.least, less)
            room = room.next

    def absorb(self, other: Room) -> None:
        """
        Take the place of *other*, the next one, besides its own.
        """
        mine, others = self.least, other.least
        least = mine
        if others is not None:
            least = others if mine is None else self.budget.least(mine, others)
        # No call from here on: see the top of this file.
        if self.least is mine and other.least is others:
            self.least = least
            self.next = other.next


class Rooms:
    """
    Hold the rooms of all bookings that could still go back.

    Weakly: they live as long as somebody could ask for them.
    """

    __slots__ = ("_links", "_many", "link")

    def __init__(self) -> None:
        #: Leads to the newest, if that lives. Stored amid other stores.
        self.link: weakref.ref[Room] | None = None
        #: The rooms of bookings in order, until those that ended are weeded out.
        self._links: list[weakref.ref[Room]] = []
        self._many = _FEW

    def newest(self) -> Room | None:
        """
        Return the one in which samples are noted, None if nobody could ask.
        """
        return None if self.link is None else self.link()

    def add(self, link: weakref.ref[Room] | None) -> None:
        """
        Note the new *link*; now and then, drop the rooms of ended bookings.

        Without this, one booking that never ends would keep all later ones.
        """
        if link is None:
            return
        self._links.append(link)
        if len(self._links) < self._many:
            return
        links, self._links = self._links, []
        kept = []
        before: Room | None = None
        for one in links:
            room = one()
            if room is None:
                continue
            if (
                before is not None
                and before.next is room
                and before.budget is room.budget
                and room.next is not None
                and not room.is_needed()
            ):
                before.absorb(room)
            else:
                kept.append(one)
                before = room
        self._links[:0] = kept
        self._many = max(_FEW, 2 * len(kept))
