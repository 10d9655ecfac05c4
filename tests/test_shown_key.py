from __future__ import annotations

import pytest

from hypothesis import given
from hypothesis import strategies as st

from switchgear._shown_key import shown_key


class TestShownKey:
    @pytest.mark.parametrize(
        ("key", "shown"),
        [
            ("example.org", "example.org"),
            ("Zoë", "Zoë"),
            ("a[0]", r"a\x5b0\x5d"),
            ("two\nlines\x00", r"two\nlines\x00"),
            ("a\\b", r"a\\b"),
            ("\udc80", r"\udc80"),
            (("a", 1), "('a', 1)"),
            (None, "None"),
            ("", ""),
            ("X", "X"),
            ("xX" * 50, f"{'xX' * 34}x...d8091f3e"),
            ("\udc80" * 20, r"\udc80" * 11 + "...9381f64e"),
        ],
    )
    def test_is_one_printable_line(self, key, shown):
        """
        If a key has characters that would confuse, they are escaped.
        """
        assert shown == shown_key(key)

    @given(st.text() | st.text(min_size=70, max_size=300))
    def test_is_short_and_printable(self, key):
        """
        If a key is long, it is cut; it is never more than one line.
        """
        shown = shown_key(key)

        assert len(shown) <= 80
        assert shown.isprintable()
        assert not set(shown) & set("[]")

    def test_different_long_keys_stay_different(self):
        """
        If keys differ only where they are cut, what is shown differs.
        """
        assert shown_key("x" * 100) != shown_key("x" * 101)
        assert 80 == len(shown_key("x" * 100))
        assert "x" * 80 == shown_key("x" * 80)

    def test_a_key_that_cannot_be_shown_is_no_reason_to_fail(self):
        """
        If the repr of a key raises, its type is shown.
        """

        class Shy:
            def __repr__(self):
                raise LookupError

        assert "<Shy>" == shown_key(Shy())
