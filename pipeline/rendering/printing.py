"""report.pdf: the page as its print style lays it out, without a browser."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

import matplotlib as mpl

_FACES = (
    ("DejaVuSans", "normal", "normal"),
    ("DejaVuSans-Bold", "bold", "normal"),
    ("DejaVuSans-Oblique", "normal", "italic"),
)
"""(file, weight, style)."""


def printed(html: str) -> bytes:
    """The PDF of a page that fetches nothing; the same page gives the same bytes.

    It is set in the font that matplotlib brings along, so the machine's own fonts change nothing.
    """
    # WeasyPrint and its fonts' tools take three seconds to import: only who draws pays for them.
    from weasyprint import CSS, HTML  # noqa: PLC0415
    from weasyprint.text.fonts import FontConfiguration  # noqa: PLC0415
    from weasyprint.urls import URLFetcher  # noqa: PLC0415

    # It warns of every property that only a screen has.
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    fonts = FontConfiguration()
    style = CSS(string=_font_style(), font_config=fonts, url_fetcher=URLFetcher(allowed_protocols=("file",)))
    page = HTML(string=html, url_fetcher=URLFetcher(allowed_protocols=("data",)), media_type="print")
    return bytes(page.write_pdf(stylesheets=[style], font_config=fonts, pdf_tags=True))


@cache
def _font_style() -> str:
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    faces = [
        f'@font-face {{ font-family: "Report"; font-weight: {weight}; font-style: {style}; '
        f'src: url("{(folder / f"{name}.ttf").as_uri()}") }}'
        for name, weight, style in _FACES
    ]
    return "\n".join([*faces, 'body, code, figcaption { font-family: "Report", sans-serif !important }'])
