from pathlib import Path

import pytest

from api.sniff import AVI, MATROSKA, MOV, MP4, MPEGTS, SNIFF_BYTES, WEBM, Container, sniff


def ebml(doctype: bytes) -> bytes:
    return b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\x82" + bytes([0x80 | len(doctype)]) + doctype


TS_PACKET = b"\x47\x40\x11\x10" + bytes(184)


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00", MP4),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00", MOV),
        (b"\x00\x00\x00\x08wide\x00\x00\x00\x00mdat", MOV),
        (b"\x00\x00\x10\x00moov", MOV),
        (b"\x00\x00\x00\x01mdat\x00\x00\x00\x01\x00\x00\x00\x00", MOV),
        (b"\x00\x00\x00\x00mdat", MOV),
        (b"\x00\x00\x00\x08free", MOV),
        (b"\x00\x00\x00\x08skip", MOV),
        (ebml(b"webm"), WEBM),
        (ebml(b"matroska"), MATROSKA),
        (b"RIFF\x24\x00\x00\x00AVI LIST", AVI),
        (TS_PACKET * 6, MPEGTS),
        (b"\x00\x00\x00\x01".join([b"", *[TS_PACKET] * 6]), MPEGTS),
    ],
)
def test_containers_are_named(head: bytes, container: Container) -> None:
    assert sniff(head[:SNIFF_BYTES]) == container


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x00",
        b"\x00\x00\x00\x18fty",
        b"\x00\x00\x00\x05ftypmp42",  # an atom smaller than its own header
        b"ffconcat version 1.0\nfile 'other.mp4'\n",
        b"#EXTM3U\n#EXT-X-VERSION:3\n",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        ebml(b"other"),
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a" + bytes(600),
        TS_PACKET * 2,  # two sync bytes are chance
        TS_PACKET * 3 + b"\x00" + TS_PACKET,
        b"G" + b"o" * 1023,
        b'{"title": "not a video"}',
        b"PK\x03\x04",
    ],
)
def test_everything_else_is_refused(head: bytes) -> None:
    assert sniff(head) is None


def test_the_sample_clip_is_an_mp4(sample_clip: Path) -> None:
    with sample_clip.open("rb") as file:
        assert sniff(file.read(SNIFF_BYTES)) == MP4
