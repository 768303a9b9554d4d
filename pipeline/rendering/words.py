"""What the page says beyond the coaching's own words, and Markdown made safe for it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from markdown_it import MarkdownIt
from markupsafe import Markup

AXES: Mapping[str, str] = MappingProxyType({
    "deg": "degrees (°)",
    "s": "seconds (s)",
    "m_per_s": "m/s",
    "pct_height": "% of height",
    "pct_height_per_s": "% of height / s",
    "per_min": "per minute",
})  # fmt: skip
"""A unit as the label of an axis; one that is not here is its own label."""

STATUSES: Mapping[str, str] = MappingProxyType({
    "measurable": "measured",
    "degraded": "less certain",
    "not_measurable": "not measured",
})  # fmt: skip

LEVELS: Mapping[str, str] = MappingProxyType({
    "low": "small",
    "medium": "worth working on",
    "high": "work on this first",
})  # fmt: skip

BASES: Mapping[str, str] = MappingProxyType({
    "sufficient": "enough to judge",
    "partial": "part of the picture",
    "insufficient": "not enough to judge",
})  # fmt: skip

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable(["image", "link", "autolink", "reference"])


def markdown(text: str) -> Markup:
    """Markdown as HTML: words and their emphasis only.

    HTML in it is shown as text; links and pictures are not made, so a report fetches nothing and leads nowhere.
    """
    return Markup(_MARKDOWN.render(text))  # noqa: S704 - html is off in this renderer, so its output is escaped


def inline_markdown(text: str) -> Markup:
    """The same for one line, without a paragraph around it."""
    return Markup(_MARKDOWN.renderInline(text))  # noqa: S704 - as above


def clock(time_s: float) -> str:
    """Minutes, seconds and milliseconds of the clip: `1:02.345`."""
    minutes, milliseconds = divmod(round(time_s * 1000), 60_000)
    return f"{minutes}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"


def capital(text: str) -> str:
    """The text with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]
