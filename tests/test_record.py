"""
Frozen records.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

from switchgear._record import Record, record


@record
class Point(Record):
    """
    Be a point.
    """

    x: int
    y: int


@record
class Named(Point):
    """
    Be a point with a name.
    """

    name: str


class TestRecord:
    """
    ``@record``.
    """

    def test_holds_what_it_is_given(self):
        """
        If a record is made, its fields are its own and those of its base.
        """
        point = Named(x=1, y=2, name="a")

        assert (1, 2, "a") == (point.x, point.y, point.name)
        assert repr(point) == "Named(x=1, y=2, name='a')"

    def test_is_frozen(self):
        """
        If somebody assigns to a field or deletes it, they are refused.
        """
        point = Point(x=1, y=2)

        with pytest.raises(dataclasses.FrozenInstanceError, match="'x'"):
            point.x = 3
        with pytest.raises(dataclasses.FrozenInstanceError, match="'y'"):
            del point.y

        assert Point(x=1, y=2) == point

    def test_has_slots(self):
        """
        If one looks for a dict, there is none: records are small.
        """
        assert not hasattr(Named(x=1, y=2, name="a"), "__dict__")

    def test_compares_and_hashes_by_value(self):
        """
        If two records are of one class and have equal fields, they are equal.
        """
        point = Point(x=1, y=2)

        assert Point(x=1, y=2) == point
        assert hash(Point(x=1, y=2)) == hash(point)
        assert Point(x=2, y=1) != point
        assert Named(x=1, y=2, name="a") != point
        assert point != (1, 2)

    def test_pickles_and_copies(self):
        """
        If a record is pickled or copied, what arrives is equal.
        """
        point = Named(x=1, y=2, name="a")

        assert point == pickle.loads(pickle.dumps(point))
        assert point == copy.copy(point)
        assert point == copy.deepcopy(point)

    def test_is_a_dataclass(self):
        """
        If one asks the dataclasses module, a record is one of its own.
        """
        point = Named(x=1, y=2, name="a")

        assert {"x": 1, "y": 2, "name": "a"} == dataclasses.asdict(point)
        assert Named(x=3, y=2, name="a") == dataclasses.replace(point, x=3)

    def test_refuses_other_fields(self):
        """
        If a field is misspelt or missing, the error names it.
        """
        with pytest.raises(TypeError, match=r"Point\(\) has no field 'z'"):
            Point(x=1, y=2, z=3)
        with pytest.raises(TypeError, match=r"Point\(\) lacks 'x', 'y'"):
            Point()
