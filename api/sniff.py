"""What a body is by its leading bytes. No decoder runs here: the worker has the last word on whether it plays.

The containers are the ones the decoder is allowed to open (mov/mp4, matroska/webm, avi, mpegts); anything else, a
playlist or a text under the name of a video above all, is refused before it is stored.
"""

from __future__ import annotations

from dataclasses import dataclass

SNIFF_BYTES = 1024
"""Enough for five transport stream packets, the longest of the signatures."""

_SYNC_BYTE = 0x47
_MIN_PACKETS = 3
_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_EBML_HEADER_BYTES = 128
_FIRST_ATOMS = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"})


@dataclass(frozen=True, kw_only=True)
class Container:
    """A video container: its extension (with the dot) and its media type."""

    extension: str
    media_type: str


MP4 = Container(extension=".mp4", media_type="video/mp4")
MOV = Container(extension=".mov", media_type="video/quicktime")
MATROSKA = Container(extension=".mkv", media_type="video/matroska")
WEBM = Container(extension=".webm", media_type="video/webm")
AVI = Container(extension=".avi", media_type="video/x-msvideo")
MPEGTS = Container(extension=".ts", media_type="video/mp2t")


def sniff(head: bytes) -> Container | None:
    """Name the container that starts with `head` (its first `SNIFF_BYTES`, or all of it); None where it is none."""
    return _sniff_iso_media(head) or _sniff_ebml(head) or _sniff_riff(head) or _sniff_transport_stream(head)


def _sniff_iso_media(head: bytes) -> Container | None:
    """ISO/IEC 14496-12 and QuickTime: a first atom of a known type and a possible size (0: to the end, 1: 64 bits)."""
    atom, size = head[4:8], int.from_bytes(head[:4], "big")
    if len(head) < 8 or atom not in _FIRST_ATOMS or 1 < size < 8:
        return None
    brand = head[8:12]
    return MP4 if atom == b"ftyp" and brand != b"qt  " else MOV


def _sniff_ebml(head: bytes) -> Container | None:
    """RFC 8794: the EBML header names the document type."""
    if not head.startswith(_EBML_MAGIC):
        return None
    header = head[:_EBML_HEADER_BYTES]
    if b"webm" in header:
        return WEBM
    return MATROSKA if b"matroska" in header else None


def _sniff_riff(head: bytes) -> Container | None:
    return AVI if head[:4] == b"RIFF" and head[8:12] == b"AVI " else None


def _sniff_transport_stream(head: bytes) -> Container | None:
    """ISO/IEC 13818-1: a sync byte every 188 bytes, or every 192 behind a 4-byte time code (M2TS)."""
    for packet, offset in ((188, 0), (192, 4)):
        starts = head[offset::packet]
        if len(starts) >= _MIN_PACKETS and all(byte == _SYNC_BYTE for byte in starts):
            return MPEGTS
    return None
