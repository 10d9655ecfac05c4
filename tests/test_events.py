from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

from switchgear import events


def every_event():
    """
    Every class of event that is not merely a base of others.
    """
    return sorted(leaves(events.Event), key=lambda one: one.__name__)


def leaves(kind):
    below = kind.__subclasses__()
    return {kind} if not below else {leaf for one in below for leaf in leaves(one)}


def made(kind):
    """
    An event of *kind*, with something in each field.
    """
    special = {"at": 1.5, "changes": ()}
    return kind(
        **{
            field.name: special.get(field.name, field.name)
            for field in dataclasses.fields(kind)
        }
    )


class TestAll:
    def test_lists_what_is_public(self):
        """
        If a name is an event or the states of a circuit, it is listed, in order.
        """
        public = {
            name
            for name, value in vars(events).items()
            if value is events.CircuitState
            or (isinstance(value, type) and issubclass(value, events.Event))
        }

        assert sorted(public) == events.__all__


class TestEveryEvent:
    @pytest.mark.parametrize("kind", every_event())
    def test_is_frozen(self, kind):
        """
        If a listener tries to change an event, it is refused: others get the
        same one.
        """
        event = made(kind)

        with pytest.raises(dataclasses.FrozenInstanceError):
            event.at = 2.0
        with pytest.raises(dataclasses.FrozenInstanceError):
            del event.at
        assert 1.5 == event.at

    @pytest.mark.parametrize("kind", every_event())
    def test_is_slotted(self, kind):
        """
        If many events are kept, none of them has a dictionary of its own.
        """
        assert not hasattr(made(kind), "__dict__")

    @pytest.mark.parametrize("kind", every_event())
    def test_survives_pickling_and_copying(self, kind):
        """
        If an event goes to another process, it arrives equal.
        """
        event = made(kind)

        assert event == pickle.loads(pickle.dumps(event))
        assert event == copy.copy(event)
        assert event == copy.deepcopy(event)

    @pytest.mark.parametrize("kind", every_event())
    def test_says_when(self, kind):
        """
        If something happened, the event says when.
        """
        assert 1.5 == made(kind).at

    @pytest.mark.parametrize("kind", every_event())
    def test_is_documented(self, kind):
        """
        If a field is there, its meaning is in the docstring of the class that
        brought it.
        """
        text = "".join(base.__doc__ or "" for base in kind.__mro__[:-1])

        for field in dataclasses.fields(kind):
            assert f"{field.name}: " in text

    def test_belongs_to_a_limiter_a_breaker_or_neither(self):
        """
        If somebody subscribes to all that circuits do, that is one base class.
        """
        kinds = {one.__name__: one for one in every_event()}

        assert issubclass(kinds["CircuitRefused"], events.CircuitEvent)
        assert issubclass(kinds["RateLimitRefused"], events.LimiterEvent)
        assert not issubclass(kinds["Reconfigured"], events.LimiterEvent)


class TestCircuitState:
    def test_states_are_the_six_of_the_contract(self):
        """
        If the states are listed, there are six, by these names.
        """
        assert [
            "CLOSED",
            "OPEN",
            "HALF_OPEN",
            "FORCED_OPEN",
            "FORCED_CLOSED",
            "OBSERVING",
        ] == [state.name for state in events.CircuitState]

    def test_values_are_the_names_in_lower_case(self):
        """
        If a state is logged, its value is its name in lower case.
        """
        for state in events.CircuitState:
            assert state.name.lower() == state.value
