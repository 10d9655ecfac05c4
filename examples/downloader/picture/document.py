"""
The whole picture: what it is called, what its things mean, and the panels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from words import counted, duration, span_in_words

from picture.frame import HUGE, LEFT, OUTER_LEFT, RIGHT, SMALL, WIDTH, Frame, write
from picture.legend import ROW, legend
from picture.palette import definitions, fill
from picture.panel import panel
from picture.scales import round_span, time_caption, time_label
from picture.svg import element, number, text


if TYPE_CHECKING:
    from collections.abc import Sequence

    from timeline import HostLine, Timeline


#: How many hosts have a panel: of more than that, the busiest.
MOST_PANELS: Final = 40

#: From how many panels on the times are written above them, too.
_TALL: Final = 4

_GAP: Final = 10.0

_FONTS: Final = (
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
)


def picture(story: Timeline) -> str:
    """
    Return a picture of *story*: for the same, the same text.
    """
    shown = _busiest(story.hosts)
    frame = _frame(story.seconds, shown)
    hosts = counted(len(story.hosts), "host") if story.hosts else "no host"
    title = f"Calls to {hosts} in {duration(story.seconds)}"
    parts = [
        write(title, OUTER_LEFT, 34, size=HUGE, weight="bold"),
        write(_remarks(story, shown, frame), OUTER_LEFT, 56, size=13.0, role="muted"),
    ]
    y = 72.0
    for row in legend(shown) if shown else ():
        parts.append(_placed(row, y))
        y += ROW
    if len(shown) >= _TALL:
        y += 14
        parts.append(_placed(_times(frame), y))
    y += 8
    for line in shown:
        content, height = panel(line, frame)
        parts.append(_placed(content, y))
        y += height + _GAP
    if shown:
        y += 6
        parts.append(_placed(_times(frame), y))
        y += 20
        parts.append(
            write(
                time_caption(frame.span),
                (LEFT + RIGHT) / 2,
                y,
                role="muted",
                anchor="middle",
            )
        )
    return _document(title, _description(shown), y + 16, parts)


def _busiest(hosts: Sequence[HostLine]) -> list[HostLine]:
    """
    Return the hosts that have a panel, in the order they came in.
    """
    by_calls = sorted(hosts, key=lambda line: len(line.sent), reverse=True)
    shown = {line.host for line in by_calls[:MOST_PANELS]}
    return [line for line in hosts if line.host in shown]


def _frame(seconds: float, hosts: Sequence[HostLine]) -> Frame:
    # Less than a second would be a picture of the clock.
    span = max(seconds, 1.0)
    limits = [limit.calls_per_second for line in hosts for limit in line.limits]
    # Bars that no more than a few calls make up would seem to break the limit;
    # of more than a few, there may be as many as can be told apart.
    pace = min(limits, default=1.0)
    least = max(_FEW / pace, min(_MANY / pace, span / _BARS))
    width = min(span, round_span(max(span / _MOST_BARS, least)))
    return Frame(seconds, span, step=round_span(span / _TICKS), bin_width=width)


#: How many calls a bar stands for at least, and better; how many bars there are
#: better, and at most; how many times are written on the axis.
_FEW, _MANY, _BARS, _MOST_BARS, _TICKS = 5, 20, 12, 90, 11


def _remarks(story: Timeline, shown: Sequence[HostLine], frame: Frame) -> str:
    if story.images is None:
        end = "The recording ends early."
    else:
        end = f"{story.arrived} of {counted(story.images, 'image')} arrived."
        if story.interrupted:
            end = f"Interrupted: {end}"
    if not shown:
        return f"{end} No call was made."
    bars = f" Bars: calls counted over {span_in_words(frame.bin_width)} each."
    if len(shown) < len(story.hosts):
        bars += f" Shown: the {len(shown)} hosts that were called most."
    return end + bars


def _description(shown: Sequence[HostLine]) -> str:
    """
    Return what is to be seen for those who cannot see the picture.
    """
    return " ".join(_in_words(line) for line in shown)


def _in_words(line: HostLine) -> str:
    most = max((step.calls for step in line.waiting), default=0)
    facts = [f"{counted(len(line.sent), 'call')} sent"]
    if line.limits:
        facts.append(f"limit {line.limits[-1].calls_per_second:g} per second")
    facts.append(f"{most} waiting at most")
    for what, moments in (
        ("refused", line.refused),
        ("failed", line.failed),
        ("answered with 429", line.sent_away),
    ):
        if moments:
            facts.append(f"{len(moments)} {what}")
    opened = sum(band.state == "open" for band in line.circuit)
    facts.append(f"circuit opened {counted(opened, 'time')}")
    return f"{line.host}: {', '.join(facts)}."


def _document(title: str, description: str, height: float, parts: list[str]) -> str:
    return (
        element(
            "svg",
            "\n",
            element("title", text(title), id="sg-title"),
            element("desc", text(description), id="sg-desc"),
            "\n",
            definitions(),
            "\n",
            element("rect", width=WIDTH, height=height, paint=fill("page")),
            *(f"\n{part}" for part in parts),
            "\n",
            xmlns="http://www.w3.org/2000/svg",
            width=WIDTH,
            height=height,
            viewBox=f"0 0 {number(WIDTH)} {number(height)}",
            role="img",
            aria_labelledby="sg-title sg-desc",
            font_family=_FONTS,
        )
        + "\n"
    )


def _placed(content: str, y: float) -> str:
    return element("g", content, transform=f"translate(0 {y:g})")


def _times(frame: Frame) -> str:
    return "".join(
        write(
            time_label(t, frame.span),
            frame.x(t),
            0,
            size=SMALL,
            role="muted",
            anchor="middle",
        )
        for t in frame.ticks()
    )
