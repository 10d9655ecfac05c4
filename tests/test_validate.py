from __future__ import annotations

import math

from fractions import Fraction

import pytest

from switchgear import _validate


UNPRINTABLE = "must have no unprintable characters and no brackets"


class Index:
    """
    Is an int for whoever asks properly, as numpy's are.
    """

    def __index__(self):
        return 7


class TestWhole:
    @pytest.mark.parametrize(
        ("value", "expected"), [(1, 1), (10, 10), (Index(), 7), (10**12, 10**12)]
    )
    def test_ints_are_taken(self, value, expected):
        """
        If the value is an int within the range, it is returned as an int.
        """
        number = _validate.whole("burst", value, minimum=1)

        assert expected == number
        assert int is type(number)

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (True, "burst must be an int, not bool: True"),
            (1.5, "burst must be an int, not float: 1.5"),
            (2.0, "burst must be an int, not float: 2.0"),
            ("5", "burst must be an int, not str: '5'"),
            (None, "burst must be an int, not NoneType: None"),
        ],
    )
    def test_other_types_are_refused(self, value, message):
        """
        If the value is no int, the error names argument, type and value.
        """
        with pytest.raises(TypeError) as caught:
            _validate.whole("burst", value, minimum=1)

        assert message == str(caught.value)

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (0, "0"),
            (-3, "-3"),
            (10**12 + 1, "1000000000001"),
            (10**15, "about 2**49"),
            pytest.param(10**5000, "about 2**16609", id="huge"),
            pytest.param(-(10**5000), "about -2**16609", id="-huge"),
        ],
    )
    def test_values_out_of_range_are_refused(self, value, shown):
        """
        If the value is out of range, the error names argument, range and value,
        and does not spell out an int of thousands of digits.
        """
        with pytest.raises(ValueError, match=r"^burst must be") as caught:
            _validate.whole("burst", value, minimum=1)

        assert (
            f"burst must be at least 1 and at most 1000000000000, not {shown}"
            == str(caught.value)
        )


class TestReal:
    @pytest.mark.parametrize("value", [0.5, 1, 2.0])
    def test_numbers_are_taken(self, value):
        """
        If the value is a number within the range, it is returned as a float.
        """
        number = _validate.real("rate", value, minimum=0.5, maximum=2)

        assert value == number
        assert float is type(number)

    @pytest.mark.parametrize("value", [True, "1", None, Fraction(1, 2), 1j, [1]])
    def test_other_types_are_refused(self, value):
        """
        If the value is no number, the error names argument, type and value.
        """
        with pytest.raises(TypeError) as caught:
            _validate.real("rate", value, minimum=0, maximum=2)

        assert f"rate must be a number, not {type(value).__name__}: {value!r}" == str(
            caught.value
        )

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (-1, "-1"),
            (-0.5, "-0.5"),
            (2.0000001, "2.0000001"),
            (math.nan, "nan"),
            (math.inf, "inf"),
            (-math.inf, "-inf"),
            (1e300, "1e+300"),
            (10**400, "about 2**1328"),
        ],
    )
    def test_values_out_of_range_are_refused(self, value, shown):
        """
        If the value is out of range, not a number or infinite, the error says so.
        """
        with pytest.raises(ValueError, match=r"^rate must be") as caught:
            _validate.real("rate", value, minimum=0.0, maximum=2)

        assert f"rate must be at least 0 and at most 2, not {shown}" == str(
            caught.value
        )

    def test_range_may_exclude_its_lower_end(self):
        """
        If the lower end is excluded, it is refused, and the error says so.
        """
        with pytest.raises(ValueError, match=r"greater than 0 and at most 2, not 0$"):
            _validate.real("rate", 0, minimum=0.0, maximum=2, above=True)

        assert 1e-300 == _validate.real(
            "rate", 1e-300, minimum=0.0, maximum=2, above=True
        )

    def test_long_values_are_cut(self):
        """
        If somebody passes a book, the error quotes its beginning only.
        """
        with pytest.raises(TypeError) as caught:
            _validate.real("rate", "x" * 10_000, minimum=0.0, maximum=2)

        assert len(str(caught.value)) < 150
        assert str(caught.value).endswith("xxx...")


class TestSeconds:
    @pytest.mark.parametrize("value", [0, 0.0, 1e-9, 1e9])
    def test_durations_are_taken(self, value):
        """
        If the value is between nothing and thirty years, it is taken.
        """
        assert value == _validate.seconds("timeout", value)
        assert value == _validate.optional_seconds("timeout", value)

    @pytest.mark.parametrize("value", [-1e-9, 1e9 + 1, math.nan, math.inf])
    def test_others_are_refused(self, value):
        """
        If the value is negative, endless or beyond thirty years, it is refused.
        """
        with pytest.raises(ValueError, match=r"^timeout must be at least 0 and at"):
            _validate.seconds("timeout", value)
        with pytest.raises(ValueError, match=r"^timeout must be at least 0 and at"):
            _validate.optional_seconds("timeout", value)

    def test_zero_is_refused_where_it_makes_no_sense(self):
        """
        If a duration must be more than nothing, zero is refused.
        """
        with pytest.raises(ValueError, match="greater than 0"):
            _validate.seconds("cooldown", 0, above=True)
        with pytest.raises(ValueError, match="greater than 0"):
            _validate.optional_seconds("cooldown", 0, above=True)

    def test_none_is_taken_where_it_has_a_meaning(self):
        """
        If a duration is optional, None stays None.
        """
        assert _validate.optional_seconds("timeout", None) is None
        with pytest.raises(TypeError, match="timeout must be a number"):
            _validate.seconds("timeout", None)

    @pytest.mark.parametrize(
        ("value", "expected"),
        [(0.1, 100_000_000), (120.0, 120_000_000_000), (1e-9, 1), (0.3e-9, 0)],
    )
    def test_nanoseconds_are_rounded(self, value, expected):
        """
        If a duration is converted, it is rounded to whole nanoseconds.
        """
        assert expected == _validate.nanoseconds(value)


class TestFraction:
    def test_zero_is_taken_only_where_it_makes_sense(self):
        """
        If a share may be nothing, zero is taken; one is always the most.
        """
        assert 0.0 == _validate.fraction("jitter", 0, above=False)
        assert 1.0 == _validate.fraction("failure_rate", 1)
        with pytest.raises(ValueError, match=r"greater than 0 and at most 1, not 0$"):
            _validate.fraction("failure_rate", 0)
        with pytest.raises(ValueError, match=r"not 50$"):
            _validate.fraction("failure_rate", 50)


class TestNames:
    @pytest.mark.parametrize("value", ["images", "a b", "ä/b:c", "x" * 200])
    def test_names_are_taken(self, value):
        """
        If a name is printable and of reasonable length, it is taken as it is.
        """
        assert value == _validate.required_name("name", value)
        assert value == _validate.instance_name("name", value)

    def test_an_instance_may_have_no_name(self):
        """
        If there is no name, that is fine for an instance, not for a registry.
        """
        assert _validate.instance_name("name", None) is None
        with pytest.raises(TypeError, match="name must be a string, not NoneType"):
            _validate.required_name("name", None)

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("", "name must have 1 to 200 characters, not 0: ''"),
            (
                "x" * 201,
                f"name must have 1 to 200 characters, not 201: '{'x' * 40}...'",
            ),
            *(
                (bad, f"name {UNPRINTABLE}: {bad!r}")
                for bad in ("a\nb", "a\N{NO-BREAK SPACE}b", "a[b", "a]b")
            ),
        ],
    )
    def test_others_are_refused(self, value, message):
        """
        If a name could not stand in a log, it is refused.
        """
        with pytest.raises(ValueError, match=r"^name must have") as caught:
            _validate.instance_name("name", value)

        assert message == str(caught.value)

    def test_other_types_are_refused(self):
        """
        If a name is no string, it is refused.
        """
        with pytest.raises(TypeError, match="name must be a string, not bytes: b'x'"):
            _validate.instance_name("name", b"x")


class TestText:
    def test_strings_are_taken_and_nothing_else(self):
        """
        If the value is a string, it is returned; another type is refused.
        """
        assert "" == _validate.text("reason", "")
        with pytest.raises(TypeError, match="reason must be a string, not int: 5"):
            _validate.text("reason", 5)


class TestOneOf:
    def test_allowed_values_are_taken(self):
        """
        If the value is one of the allowed, it is returned.
        """
        assert "b" == _validate.one_of("counts", "b", ("a", "b"))

    def test_others_are_refused(self):
        """
        If it is not, the error lists what is allowed.
        """
        with pytest.raises(ValueError, match="counts must be one of 'a', 'b', not 'c'"):
            _validate.one_of("counts", "c", ("a", "b"))
        with pytest.raises(TypeError, match="counts must be a string, not int: 1"):
            _validate.one_of("counts", 1, ("a", "b"))
