from __future__ import annotations

import pytest

from addresses import read_addresses
from bad_input import BadInputError


class TestReadAddresses:
    def test_a_file_that_makes_sense(self, tmp_path):
        """
        If a file has addresses, each is taken once; comments, blank lines and
        the mark some editors begin a file with are left out.
        """
        path = tmp_path / "urls"
        path.write_text(
            "\ufeff# two\n\nhttp://a/1\nhttp://a/2\n http://a/1\n", encoding="utf-8"
        )

        assert ["http://a/1", "http://a/2"] == [
            str(one) for one in read_addresses(path)
        ]

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", ": no address in it"),
            (b"# nothing\n\n", ": no address in it"),
            (b"http://a/\nhttp://\xff/\n", ":2: not UTF-8: byte 0xff"),
            (b"http://a/\n\nimage.png\n", ":3: image.png: not an http:// or https://"),
            (b"http://a:0/\n", ":1: http://a:0/: there can be no such host or port"),
        ],
    )
    def test_files_that_make_none(self, tmp_path, content, says):
        """
        If a file makes no sense, one line says where.
        """
        path = tmp_path / "urls"
        path.write_bytes(content)

        with pytest.raises(BadInputError) as refused:
            read_addresses(path)

        assert str(refused.value).startswith(f"{path}{says}")

    def test_a_file_that_is_not_there(self, tmp_path):
        """
        If there is no such file, one line says so.
        """
        with pytest.raises(BadInputError, match="nothing: No such file"):
            read_addresses(tmp_path / "nothing")
