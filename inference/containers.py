"""What kind of file this is, by its bytes alone: its name decides nothing, and nothing is opened but the file itself.

Only four families are let through to a demuxer. Everything else libavformat knows (playlists, `ffconcat` texts, SDP,
image sequences) can name other files or hosts, so it never gets that far.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from inference.errors import ContainerNotAllowed, SourceMissing, VideoEmpty, VideoUnreadable

Demuxer = Literal["mov", "matroska", "avi", "mpegts"]

_HEAD = 4096
_MOV_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"sidx"}
_OTHER_MEDIA = {
    b"FLV\x01": "FLV",
    b"OggS": "Ogg",
    b"\x30\x26\xb2\x75": "ASF/WMV",
    b"\x00\x00\x01\xba": "MPEG program stream",
    b".RMF": "RealMedia",
    b"GIF8": "GIF",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"ID3": "MP3",
    b"fLaC": "FLAC",
    b"RIFF": "RIFF other than AVI",
}
_TS_PACKETS = (188, 192, 204)  # plain, with a time code (M2TS), with error correction
_TS_SYNC = 0x47
_TS_RUN = 5
_MAX_BOXES = 100_000  # a phone's file has about ten; this bounds the walk through a hostile one


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """The family of a file and whether all of it is there."""

    demuxer: Demuxer
    cut: bool
    """The file is shorter than its own structure declares."""
    indexed: bool
    """MP4/MOV: the index (moov) is there. Always true for the others."""


def identify(path: Path) -> Container:
    """Tell the family of a file by its content.

    Raises SourceMissing, VideoEmpty, ContainerNotAllowed (text, playlists, other media) and VideoUnreadable.
    """
    if not path.exists():
        raise SourceMissing
    if not path.is_file():
        raise VideoUnreadable("The source is not a file.")
    with path.open("rb") as file:
        size = path.stat().st_size
        head = file.read(_HEAD)
        demuxer = _demuxer(head)
        if demuxer == "mov":
            return _mov(file, size)
        end = {"matroska": _matroska_end, "avi": _avi_end, "mpegts": _mpegts_end}[demuxer](file, size)
    return Container(demuxer=demuxer, cut=end is not None and end > size, indexed=True)


def _demuxer(head: bytes) -> Demuxer:
    if not head:
        raise VideoEmpty
    if head[4:8] in _MOV_BOXES:
        return "mov"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if _is_text(head):
        raise ContainerNotAllowed("The file is a text or a playlist, not a video.")
    if _ts_layout(head) is not None:
        return "mpegts"
    for magic, name in _OTHER_MEDIA.items():
        if head.startswith(magic):
            raise ContainerNotAllowed(f"{name} is not accepted: MP4/MOV, Matroska/WebM, AVI and MPEG-TS are.")
    raise VideoUnreadable


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16
        return True
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # otherwise a character cut by the end of the head
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text)


def _ts_layout(head: bytes) -> tuple[int, int] | None:
    """(offset of the first sync byte, packet length), or None. A recording may begin within a packet."""
    for length in _TS_PACKETS:
        for offset in range(min(length, len(head))):
            syncs = head[offset::length][:_TS_RUN]
            if len(syncs) >= 3 and all(byte == _TS_SYNC for byte in syncs):
                return offset, length
    return None


def _mov(file: BinaryIO, size: int) -> Container:
    end, indexed = 0, False
    for kind, _, box_end in _mov_boxes(file, size):
        indexed = indexed or kind in (b"moov", b"moof")
        end = box_end
    return Container(demuxer="mov", cut=end > size, indexed=indexed)


def _mov_boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, declared end) of the boxes of the outermost level."""
    start = 0
    for _ in range(_MAX_BOXES):
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack(">Q", head[8:])
        if length == 0:  # to the end of the file
            length = size - start
        if length < 8 or not kind.isalnum():  # padding or foreign bytes behind the last box
            return
        yield kind, start, start + length
        start += length


def _matroska_end(file: BinaryIO, size: int) -> int | None:
    """Declared end of the first segment; None where it was written as a stream of unknown length."""
    file.seek(4)
    header = _ebml_length(file)
    if header is None:
        return None
    file.seek(header, 1)
    if file.read(4) != b"\x18\x53\x80\x67":  # Segment
        return size + 1 if file.tell() >= size else None
    length = _ebml_length(file)
    return None if length is None else file.tell() + length


def _ebml_length(file: BinaryIO) -> int | None:
    """A variable-length number (RFC 8794, section 4); None is "unknown" or cut."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    extra = 8 - first[0].bit_length()
    rest = file.read(extra)
    if len(rest) < extra:
        return None
    bits = 7 * (extra + 1)
    value = int.from_bytes(first + rest) & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value


def _avi_end(file: BinaryIO, size: int) -> int | None:
    """Declared end of the last RIFF chunk (files over 1 GB have several); None where a recorder never wrote it."""
    end = 0
    while end + 12 <= size:
        file.seek(end)
        kind, length, form = struct.unpack("<4sI4s", file.read(12))
        if kind != b"RIFF" or form not in (b"AVI ", b"AVIX"):
            break
        if length == 0:
            return None
        end += 8 + length
    return end - 1  # an odd last chunk may lack its byte of padding


def _mpegts_end(file: BinaryIO, size: int) -> int | None:
    """The end of the last packet begun. A transport stream declares no length, so a cut between packets is not seen."""
    file.seek(0)
    layout = _ts_layout(file.read(_HEAD))
    if layout is None:
        return None
    offset, length = layout
    lead = (offset - (4 if length == 192 else 0)) % length  # a time code comes before the sync byte
    return size + (lead - size) % length
