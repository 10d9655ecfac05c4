from __future__ import annotations

import functools
import re

from itertools import combinations
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

from entries import Entry
from picture import picture
from picture.document import MOST_PANELS
from picture.frame import LEFT, RIGHT, WIDTH
from picture.palette import COLOURS
from picture.svg import width_of
from stories import NAMES, STORIES, ended, run
from timeline import timeline


SVG = "{http://www.w3.org/2000/svg}"


@functools.cache
def text_of(name):
    return picture(timeline(STORIES[name]))


def drawn_story(name):
    return ET.fromstring(text_of(name))  # noqa: S314 -- ours


def drawn(entries):
    return ET.fromstring(picture(timeline(entries)))  # noqa: S314 -- ours


class Box(NamedTuple):
    """
    Where something is.
    """

    words: str
    left: float
    top: float
    right: float
    bottom: float

    def covers(self, other):
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def placed(element, x=0.0, y=0.0):
    """
    Yield every element below *element*, and where its origin is.
    """
    for child in element:
        shift = re.fullmatch(r"translate\((\S+) (\S+)\)", child.get("transform", ""))
        dx, dy = map(float, shift.groups()) if shift else (0.0, 0.0)
        yield child, x + dx, y + dy
        yield from placed(child, x + dx, y + dy)


def texts(root):
    """
    Return the boxes of all words, as wide as they may get.
    """
    boxes = []
    for element, dx, dy in placed(root):
        if element.tag == f"{SVG}text":
            size = float(element.get("font-size"))
            wide = width_of(element.text, size)
            shift = {"start": 0.0, "middle": 0.5, "end": 1.0}
            left = dx + float(element.get("x"))
            left -= wide * shift[element.get("text-anchor", "start")]
            base = dy + float(element.get("y"))
            boxes.append(
                Box(
                    element.text, left, base - 0.75 * size, left + wide, base + size / 4
                )
            )
    return boxes


def words(root):
    return [box.words for box in texts(root)]


def rectangles(root, role):
    return root.findall(f".//{SVG}rect[@class='sg-{role}']")


def bars_of(root):
    return [
        bar for bar in rectangles(root, "sent") if bar.find(f"{SVG}title") is not None
    ]


@pytest.fixture(params=STORIES)
def story(request):
    """
    The name of a run; all of them in turn.
    """
    return request.param


class TestAnyPicture:
    def test_words_do_not_cover_each_other(self, story):
        """
        If words are drawn, whatever the run, they are inside of the picture,
        and no two of them in the same place.
        """
        root = drawn_story(story)
        boxes = texts(root)

        for box in boxes:
            assert 0 <= box.left
            assert box.right <= WIDTH
            assert 0 <= box.top
            assert box.bottom <= float(root.get("height"))
        assert [] == [
            (one, other) for one, other in combinations(boxes, 2) if one.covers(other)
        ]

    def test_it_stays_within_its_axis(self, story):
        """
        If something lasted for a time, it is drawn between the ends of the
        time axis, as far as it lasted, and upright.
        """
        wholes = ("page", "panel")
        for element, dx, _ in placed(drawn_story(story)):
            role = element.get("class", "").removeprefix("sg-")
            if element.find(f"{SVG}title") is not None:
                left = dx + float(element.get("x"))
                assert LEFT - 0.1 <= left
                assert left + float(element.get("width")) <= RIGHT + 0.1
                assert role not in wholes
            if element.tag == f"{SVG}rect":
                assert float(element.get("width")) >= 0
                assert float(element.get("height")) >= 0

    def test_it_has_colours_for_the_dark(self, story):
        """
        If a colour is used, there is one for the dark in its place.
        """
        root = drawn_story(story)
        style = root.find(f".//{SVG}style").text

        assert style.startswith("@media (prefers-color-scheme:dark){")
        for element in root.iter():
            if kind := element.get("class"):
                assert f".{kind}{{" in style

    def test_it_can_be_read_aloud(self, story):
        """
        If a picture cannot be seen, there is a title and a description.
        """
        root = drawn_story(story)

        assert "img" == root.get("role")
        first, second = root[:2]
        assert ["title", "desc"] == [e.tag.removeprefix(SVG) for e in (first, second)]
        assert f"{first.get('id')} {second.get('id')}" == root.get("aria-labelledby")
        assert first.text in words(root)

    def test_it_is_always_the_same(self, story):
        """
        If the same is drawn again, the text is the same.
        """
        assert text_of(story) == picture(timeline(list(STORIES[story])))


class TestTitle:
    @pytest.mark.parametrize(
        ("name", "title", "remark"),
        [
            ("nothing", "Calls to no host in 0.00 s", "The recording ends early. No"),
            ("no call", "Calls to no host in 0.20 s", "0 of 0 images arrived. No call"),
            ("cut off", "Calls to 1 host in 3.0 s", "The recording ends early. Bars"),
            ("interrupted", "Calls to 1 host in 9.3 s", "Interrupted: 5 of 30 images"),
            ("three hosts", "Calls to 3 hosts in 20.4 s", "600 of 600 images arrived."),
        ],
    )
    def test_what_came_of_it(self, name, title, remark):
        """
        If there is a picture, it says what it is of and how that ended.
        """
        first, second, *_ = words(drawn_story(name))

        assert title == first
        assert second.startswith(remark)

    def test_it_is_described(self):
        """
        If the picture cannot be seen, the facts of each host can be heard.
        """
        entries = [
            *run("a", 2.0, 1.0, burst=2, down=[(1.0, 2.0)], pauses=[(0.0, 0.5)]),
            *run("b", 2.0, 1.0),
        ]

        described = drawn(entries).find(f"{SVG}desc").text

        assert re.fullmatch(
            r"a: 2 calls sent, limit 1 per second, \d+ waiting at most, \d+ refused,"
            r" 1 failed, 1 answered with 429, circuit opened 1 time\."
            r" b: 2 calls sent, limit 1 per second, \d+ waiting at most,"
            r" circuit opened 0 times\.",
            described,
        )


class TestPanels:
    def test_one_for_each_host(self):
        """
        If there are several hosts, each has a panel with its name, as far as
        it can be written.
        """
        root = drawn_story("twelve hosts")
        written = words(root)

        assert len(NAMES) == len(rectangles(root, "panel"))
        for name in NAMES:
            if name.isascii() and name.isprintable() and 0 < len(name) < 50:
                assert name in written
        assert any(re.fullmatch(r"x+…x+\.example\.org", name) for name in written)
        assert "control\ufffd\ufffd[31m\ufffd" in written

    def test_the_busiest(self):
        """
        If there are too many hosts, those that were called most have a panel,
        in the order they came in, and it is said that there are more.
        """
        entries = [
            entry
            for number in range(MOST_PANELS + 2)
            for entry in run(f"host-{number}", 3.0, 1.0 if number in {0, 7} else 2.0)
        ]

        written = words(drawn(entries))

        shown = [word for word in written if word.startswith("host-")]
        assert MOST_PANELS == len(shown)
        assert ["host-1", "host-2"] == shown[:2]
        assert "host-7" not in shown
        assert any("the 40 hosts that were called most" in word for word in written)

    def test_lanes_for_what_happened_only(self):
        """
        If nothing was refused, failed or paused, there is no lane for it.
        """
        assert {"refused", "failed", "429", "limiter"}.isdisjoint(
            words(drawn(run("a", 5.0, 2.0)))
        )

    def test_lanes_for_what_happened(self):
        """
        If something was, there is, and it says how often.
        """
        entries = run("a", 9.0, 1.0, down=[(5.0, 6.0)], pauses=[(1.0, 2.0), (3.0, 3.5)])
        refused = sum(entry.event == "circuit_refused" for entry in entries)

        written = words(drawn(entries))

        assert {"refused", "failed", "429", "limiter"} <= set(written)
        assert {f"{refused} in all", "1 in all", "2 in all"} <= set(written)
        assert {"2 pauses", "1 opening"} <= set(written)


class TestCalls:
    def test_a_bar_is_as_high_as_its_rate(self):
        """
        If twice as many calls are sent in a second, the bar is twice as high,
        and tells how many they were.
        """
        entries = run("a", 10.0, 16.0)
        spared = [
            entry for entry in entries if not 3.0 <= entry.t < 4.0 or entry.t * 8 % 1
        ]

        bars = bars_of(drawn([*spared, *ended(10.0, 1)]))

        low = bars.pop(3)
        assert {2 * float(low.get("height"))} == {
            float(bar.get("height")) for bar in bars
        }
        assert "3 to 4 s: 8 calls" == low[0].text

    def test_a_limit_on_its_height(self):
        """
        If calls are sent at the limit, the line is where the bars end.
        """
        root = drawn([*run("a", 10.0, 20.0), *ended(10.0, 200)])
        bars = bars_of(root)
        *_, line = root.findall(f".//{SVG}path[@class='sg-limit-line']")

        assert 10 == len(bars)
        assert {f"M{LEFT:g} {bars[0].get('y')}H{RIGHT:g}"} == {line.get("d")}
        assert "limit 20/s" in words(root)

    def test_a_limit_that_is_far_away(self):
        """
        If the limit is much higher than what was sent, it is told, not drawn.
        """
        root = drawn([*run("a", 10.0, 5.0, limit=10_000.0), *ended(10.0, 50)])
        _, *lines = root.findall(f".//{SVG}path[@class='sg-limit-line']")

        assert [] == lines
        assert "limit 10000/s ↑" in words(root)

    def test_few_calls_do_not_break_the_limit(self):
        """
        If the limit is low, bars are so wide that one call more or less does
        not look like twice the limit.
        """
        root = drawn([*run("a", 60.0, 0.2), *ended(60.0, 12)])
        bars = bars_of(root)

        assert ["0 to 30 s: 6 calls", "30 to 60 s: 6 calls"] == [
            bar[0].text for bar in bars
        ]

    def test_who_waits(self):
        """
        If calls wait, the most that did at once is told.
        """
        entries = run("a", 3.0, 5.0)
        most = max(entry.details.get("waiting", 0) for entry in entries)

        assert f"{most} at most" in words(drawn(entries))


class TestBands:
    def test_they_are_labelled(self):
        """
        If a state lasted, its name is written in its band.
        """
        written = words(drawn_story("operated"))

        for state in ("closed", "forced open", "forced closed", "observing"):
            assert state in written
        assert "half-open" in written

    def test_a_moment_can_be_seen(self):
        """
        If a circuit was half-open for a moment only, that can be seen, and the
        outage is labelled on either side of it.
        """
        entries = run("a", 20.0, 20.0, down=[(5.0, 8.5)], cooldown=2.0)

        root = drawn(entries)

        dots = root.findall(f".//{SVG}rect[@fill='url(#sg-half-open-dots)']")
        *_, first, second = [dot for dot in dots if dot.find(f"{SVG}title") is not None]
        assert 3.0 == float(first.get("width")) == float(second.get("width"))
        assert 2 == words(root).count("open")

    def test_many_moments_do_not_hide_an_outage(self):
        """
        If there were more probes than there are pixels, an outage is still to
        be seen as one.
        """
        root = drawn_story("an hour and a half")

        bands = root.findall(f".//{SVG}rect[@fill='url(#sg-open-stripes)']")
        *_, flapping, steady = [
            float(band.get("width"))
            for band in bands
            if band.find(f"{SVG}title") is not None
        ]

        assert flapping == pytest.approx((RIGHT - LEFT) * 1300 / 5000, abs=1.0)
        assert steady == pytest.approx((RIGHT - LEFT) * 1300 / 5000, abs=4.0)

    def test_what_changes_all_the_time(self):
        """
        If a circuit changes faster than can be drawn, the lane shows how it stood
        for the most part, in no more pieces than can be told apart.
        """
        entries = [Entry(0.0, "call_sent", "a", {})]
        for cycle in range(4000):
            for after, event in (
                (0.0, "circuit_opened"),
                (0.7, "circuit_half_opened"),
                (0.8, "circuit_closed"),
            ):
                entries.append(Entry(cycle + after, event, "a", {}))

        root = drawn([*entries, *ended(4000.0, 1)])

        # Such as "open, 3.00 to 5.50 s".
        title = re.compile(r"(open|half-open|closed), ([\d.]+) to ([\d.]+) s")
        told = [title.match(one.text or "") for one in root.iter(f"{SVG}title")]
        bands = [one.groups() for one in told if one]
        assert 0 < len(bands) < 20
        lasted = {state: float(end) - float(begin) for state, begin, end in bands}
        assert lasted["open"] > 3990


class TestMarks:
    def test_numbers_add_up(self):
        """
        If marks stand for many calls, their numbers say for how many.
        """
        entries = run("a", 30.0, 5.0, down=[(5.0, 8.0), (20.0, 23.0)], cooldown=3.0)
        refused = [entry.t for entry in entries if entry.event == "circuit_refused"]

        written = words(drawn([*entries, *ended(30.0, 1)]))

        for t in set(refused):
            assert f"{refused.count(t)}" in written
        assert f"{len(refused)} in all" in written


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    ]
    return sum(
        weight * part
        for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
    )


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


class TestColours:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize(
        ("ink", "grounds"),
        [
            ("ink", ("page", "panel", "paused", "paused-mark")),
            ("muted", ("page", "panel")),
            ("limit", ("panel",)),
            ("page", ("muted",)),
            ("on-closed", ("closed", "closed-mark")),
            ("on-half-open", ("half-open", "half-open-mark")),
            ("on-open", ("open", "open-mark")),
        ],
    )
    def test_words_can_be_read(self, scheme, ink, grounds):
        """
        If words are drawn on something, there is enough contrast for everybody.
        """
        for ground in grounds:
            there = getattr(COLOURS[ground], scheme)
            assert contrast(getattr(COLOURS[ink], scheme), there) >= 4.5

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize(
        "role", ["sent", "limit", "refused", "failed", "sent-away"]
    )
    def test_things_can_be_seen(self, scheme, role):
        """
        If something is drawn on a panel, it stands out.
        """
        panel = getattr(COLOURS["panel"], scheme)

        assert contrast(getattr(COLOURS[role], scheme), panel) >= 3.0
