from __future__ import annotations

import pytest

from picture import svg
from picture.svg import fitted, width_of


class TestFitted:
    @pytest.mark.parametrize("sign", ["i", "x", "W", "\u4e2d"])
    def test_as_much_as_fits(self, sign):
        """
        If words are too wide, their middle is left out, and no more of it than
        has to be.
        """
        shorter = fitted(sign * 1000, 10.0, 100.0)

        assert "…" == shorter.strip(sign)
        assert width_of(shorter, 10.0) <= 100.0 < width_of(shorter + sign, 10.0)

    def test_what_fits(self):
        """
        If words are not too wide, nothing is left out.
        """
        assert "x" * 15 == fitted("x" * 15, 10.0, 100.0)

    def test_a_name_as_long_as_a_file(self, monkeypatch):
        """
        If words are very long, the time that takes is no more than in
        proportion to that.
        """
        signs = []
        monkeypatch.setattr(svg, "_em", lambda sign: signs.append(sign) or 0.64)

        fitted("x" * 10_000, 10.0, 100.0)

        assert len(signs) < 2 * 10_000
