"""Makes small video files, good and bad, with real encoders: nothing binary is kept in the repository.

Every picture carries its own number as eight bars and a red patch in its upper left corner, so that a test can tell
which frame it was handed and which way up it is (`frame_number`, `upright`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

BARS = 8
RED = (220, 30, 30)


def picture(number: int, width: int = 128, height: int = 96) -> Image:
    """(height, width, 3) RGB: bars of the number's bits in the lower half, a red patch in the upper left corner."""
    image = np.full((height, width, 3), 90, np.uint8)
    image[: height // 4, : width // 4] = RED
    edges = np.linspace(0, width, BARS + 1).astype(int)
    for bit in range(BARS):
        image[height // 2 :, edges[bit] : edges[bit + 1]] = 235 if number >> bit & 1 else 20
    return image


def frame_number(image: Image) -> int:
    """The number that `picture` drew."""
    height, width = image.shape[:2]
    edges = np.linspace(0, width, BARS + 1)
    centres = ((edges[:-1] + edges[1:]) / 2).astype(int)
    row = image[height * 3 // 4, centres].mean(axis=1)
    return int(sum(1 << bit for bit in range(BARS) if row[bit] > 128))


def upright(image: Image) -> bool:
    """Whether the red patch is in the upper left corner and nowhere else."""
    height, width = image.shape[:2]
    corners = [
        image[y, x].astype(int)
        for y, x in ((height // 10, width // 10), (height // 10, -width // 10), (-height // 10, width // 10))
    ]
    red = [bool(c[0] > 150 and c[1] < 90 and c[2] < 90) for c in corners]
    return red == [True, False, False]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a test clip is encoded."""

    codec: str = "libx264"
    container: str = "mp4"
    pix_fmt: str = "yuv420p"
    width: int = 128
    height: int = 96
    frames: int = 30
    fps: Fraction = Fraction(30)
    rotation: int = 0
    """Degrees clockwise by which a player must turn the stored picture."""
    pts_ms: Sequence[int] | None = None
    """Timestamps; None is a steady `fps`."""
    packet_ms: Sequence[int] | None = None
    """Timestamps written into the file behind the encoder's back, which refuses those that do not increase."""
    options: tuple[tuple[str, str], ...] = ()
    """Of the encoder."""
    mux: tuple[tuple[str, str], ...] = ()
    """Of the muxer, such as `("movflags", "faststart")`."""
    sound: bool = False
    numbers: Sequence[int] | None = None
    """What each picture shows; None is 0, 1, 2 …"""


def make(path: Path, recipe: Recipe | None = None) -> Path:
    """Encode a clip to `path`; the container is the recipe's, whatever the name says."""
    recipe = recipe or Recipe()
    with av.open(str(path), "w", format=recipe.container, options=dict(recipe.mux)) as out:
        stream = out.add_stream(recipe.codec, rate=recipe.fps, options=dict(recipe.options))
        stream.width, stream.height, stream.pix_fmt = recipe.width, recipe.height, recipe.pix_fmt
        if recipe.pts_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if recipe.rotation:
            stream.set_display_rotation(-recipe.rotation)  # libavutil counts counter-clockwise
        sound = out.add_stream("aac", rate=16000) if recipe.sound else None
        out.start_encoding()
        packets = [packet for number in range(recipe.frames) for packet in stream.encode(_frame(number, recipe))]
        for number, packet in enumerate([*packets, *stream.encode(None)]):
            if recipe.packet_ms is not None:
                packet.pts = packet.dts = recipe.packet_ms[number]
                packet.time_base = Fraction(1, 1000)
            out.mux(packet)
        if sound is not None:
            _mux_tone(out, sound, seconds=float(recipe.frames / recipe.fps))
    return path


def _frame(number: int, recipe: Recipe) -> av.VideoFrame:
    shown = recipe.numbers[number] if recipe.numbers is not None else number
    upright_size = (recipe.width, recipe.height) if recipe.rotation % 180 == 0 else (recipe.height, recipe.width)
    # Stored turned the other way, so that a player's turn clockwise brings it upright.
    stored = np.ascontiguousarray(np.rot90(picture(shown, *upright_size), recipe.rotation // 90))
    frame = av.VideoFrame.from_ndarray(stored, format="rgb24")
    if recipe.pts_ms is not None:
        frame.pts, frame.time_base = recipe.pts_ms[number], Fraction(1, 1000)
    else:
        frame.pts, frame.time_base = number, 1 / recipe.fps
    return frame


def _mux_tone(out: av.container.OutputContainer, stream: av.AudioStream, *, seconds: float) -> None:
    samples = (np.sin(np.arange(int(16000 * seconds)) / 8) * 0.3).astype(np.float32).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    frame.sample_rate, frame.pts = 16000, 0
    for packet in stream.encode(frame):
        out.mux(packet)
    for packet in stream.encode(None):
        out.mux(packet)


def audio_only(path: Path) -> Path:
    """An MP4 with sound and no picture."""
    with av.open(str(path), "w", format="mp4") as out:
        _mux_tone(out, out.add_stream("aac", rate=16000), seconds=1.0)
    return path


def audio_with_cover(path: Path) -> Path:
    """An MP4 with sound and a cover picture, as music files have one; the cover is marked as an attached picture."""
    with av.open(str(path), "w", format="mp4") as out:
        sound = out.add_stream("aac", rate=16000)
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(picture(1, 64, 64), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1, 1)
        out.mux(cover.encode(frame))
        out.mux(cover.encode(None))
        _mux_tone(out, sound, seconds=1.0)
    return path


def no_frames(path: Path) -> Path:
    """A Matroska file that declares a video stream and holds no packet of it."""
    return make(path, Recipe(codec="mpeg4", container="matroska", frames=0))


def empty(path: Path) -> Path:
    """A file of no bytes."""
    path.write_bytes(b"")
    return path


def noise(path: Path) -> Path:
    """Bytes that are no video and no text."""
    path.write_bytes(np.random.default_rng(7).integers(0, 256, 4096, dtype=np.uint8).tobytes())
    return path


def cut(path: Path, source: Path, share: float) -> Path:
    """The first `share` of another file."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def cut_in_header(path: Path) -> Path:
    """An MP4 whose index (moov) comes last, cut before it."""
    data = make(path).read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 20])
    return path


def cut_tail(path: Path, recipe: Recipe | None = None) -> Path:
    """A clip that ends before it said it would: its header is whole, its last packets are not there."""
    recipe = recipe or Recipe(mux=(("movflags", "faststart"),), frames=60)
    return cut(path, make(path.with_suffix(".whole"), recipe), 0.7)


def with_broken_packet(path: Path, broken: Iterable[int] = (15,), recipe: Recipe | None = None) -> Path:
    """A clip of intra pictures whose packets `broken` (in decode order) were overwritten."""
    make(path, recipe or Recipe(options=(("g", "1"),)))
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(container.streams.video[0]) if p.size]
    data = bytearray(path.read_bytes())
    for index in broken:
        position, size = places[index]
        data[position : position + size] = b"\xff" * size
    path.write_bytes(bytes(data))
    return path


def tiny(path: Path) -> Path:
    """A video of 1 x 1 pixels."""
    return make(path, Recipe(codec="mpeg4", width=1, height=1, frames=3, numbers=(0, 0, 0)))


def beyond_8k(path: Path) -> Path:
    """A video of one 8192 x 4320 picture."""
    return make(path, Recipe(codec="mjpeg", pix_fmt="yuvj420p", container="avi", width=8192, height=4320, frames=1))


def two_hours(path: Path) -> Path:
    """Three pictures spread over two hours."""
    return make(path, Recipe(codec="mpeg4", frames=3, pts_ms=(0, 1000, 7_200_000), options=(("g", "1"),)))


def two_hours_declared_as_one_second(path: Path) -> Path:
    """The same in Matroska, whose header says one second."""
    recipe = Recipe(codec="mpeg4", container="matroska", frames=3, pts_ms=(0, 1000, 7_200_000), options=(("g", "1"),))
    data = make(path, recipe).read_bytes()
    place = data.index(b"\x44\x89\x88") + 3  # EBML id of Duration, then its size: eight bytes
    path.write_bytes(data[:place] + struct.pack(">d", 1000.0) + data[place + 8 :])
    return path


def ffconcat(path: Path, neighbour: str) -> Path:
    """A text that FFmpeg would follow to another file."""
    path.write_text(f"ffconcat version 1.0\nfile {neighbour}\n")
    return path


def playlist(path: Path, neighbour: str) -> Path:
    """An HLS playlist of one segment."""
    path.write_text(
        f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:10.0,\n{neighbour}\n#EXT-X-ENDLIST\n"
    )
    return path


def dash_manifest(path: Path, neighbour: str) -> Path:
    """A DASH manifest of one file."""
    path.write_text(
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        f'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4">'
        f'<Representation id="1" bandwidth="1"><BaseURL>{neighbour}'
        "</BaseURL></Representation></AdaptationSet></Period></MPD>\n"
    )
    return path


def session_description(path: Path) -> Path:
    """An SDP text, which would open a port."""
    path.write_text(
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    )
    return path


def external_reference(path: Path, neighbour: Path) -> Path:
    """An MP4 whose pictures lie in another file, by a Macintosh alias in its data reference (dref) box."""
    data = make(path, Recipe(container="mov")).read_bytes()
    path.write_bytes(_replace_box(data, (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"), _alias_dref(neighbour)))
    return path


def _alias_dref(target: Path) -> bytes:
    name = target.name.encode()
    place = str(target).encode()
    alias = b"\0" * 10 + b"\0" + b"\0" * 27 + b"\0" * 12  # volume name: none
    alias += bytes([len(name)]) + name.ljust(63, b"\0") + b"\0" * 16
    alias += struct.pack(">hh", 1, 1) + b"\0" * 16  # one level up, one down: the same folder
    for kind, value in ((0, target.parent.name.encode()), (2, place)):
        alias += struct.pack(">hH", kind, len(value)) + value + b"\0" * (len(value) % 2)
    alias += struct.pack(">hH", -1, 0)
    entry = b"alis" + struct.pack(">I", 0) + alias
    entry = struct.pack(">I", len(entry) + 4) + entry
    body = struct.pack(">II", 0, 1) + entry
    return struct.pack(">I", len(body) + 8) + b"dref" + body


def _replace_box(data: bytes, path: Sequence[bytes], replacement: bytes) -> bytes:
    """Replace the first box at `path`, and correct the sizes of the boxes around it."""
    place = 0
    while place < len(data):
        size, kind = struct.unpack(">I4s", data[place : place + 8])
        if kind == path[0]:
            box = data[place : place + size]
            if len(path) == 1:
                new = replacement
            else:
                inner = _replace_box(box[8:], path[1:], replacement)
                new = struct.pack(">I4s", len(inner) + 8, kind) + inner
            return data[:place] + new + data[place + size :]
        place += size
    raise ValueError(f"no box {path[0]!r}")
