"""The rendered report in a real browser: it shows, on a phone too, reaches nothing, and its overlay plays."""

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import clips
import numpy as np
import pytest
import reports

from pipeline.measurements import Signal
from pipeline.rendering.render import render

SIZE = (640, 480)
CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
MEASURE = """<script>
addEventListener("load", () => { parent.postMessage(JSON.stringify({
  width: innerWidth,
  content: document.documentElement.scrollWidth,
  broken: [...document.images].filter(image => !image.complete || !image.naturalWidth).length,
  images: document.images.length,
  unseen: [...document.querySelectorAll("h2, h3, dd, td")].filter(part => !part.getClientRects().length).length,
}), "*"); });
</script>"""
FRAMED = """<!DOCTYPE html><title>waiting</title><iframe src="measured.html" width="WIDTH" height="844"></iframe>
<script>
addEventListener("message", event => { document.title = event.data; });
</script>"""
PLAY = """<!DOCTYPE html><title>waiting</title><video muted src="overlay.mp4#t=0.8"></video><script>
const video = document.querySelector("video");
video.onerror = () => { document.title = JSON.stringify({error: video.error.message}); };
video.onloadeddata = () => { document.title = JSON.stringify(
  {duration: video.duration, width: video.videoWidth, height: video.videoHeight, at: video.currentTime}); };
</script>"""


class Title(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.inside, self.text = False, ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "title" and not self.text

    def handle_data(self, data):
        self.text += data if self.inside else ""

    def handle_endtag(self, tag):
        self.inside = False


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium")
    if found is None:
        pytest.fail("apt package chromium is missing: run make system-deps", pytrace=False)
    return found


@pytest.fixture
def title_of(chromium, tmp_path):
    """Open a page and read its title once it has settled."""

    def read(page: Path) -> str:
        flags = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000", "--virtual-time-budget=5000",
        ]  # fmt: skip
        command = [chromium, *flags, "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return Title(done.stdout).text

    return read


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """A folder with the report of a second of video."""
    out = tmp_path_factory.mktemp("report")
    clip = clips.make(out / "clip.mp4", clips.Recipe(width=SIZE[0], height=SIZE[1]))
    poses = reports.poses([number / 30 for number in range(30)], size=SIZE, box=(200, 60, 330, 440))
    signal = Signal(
        id="knee", label="Knee", unit="deg", times_s=poses.timestamps_s, values=np.sin(9 * poses.timestamps_s),
        metrics=("front_knee_min",),
    )  # fmt: skip
    render(clip=clip, poses=poses, results=reports.results(size=SIZE), signals=[signal], out=out)
    return out


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_shows_everything_and_fits(report, title_of, width):
    html = (report / "report.html").read_text()
    allowed = html.replace(CSP, CSP + "; script-src 'unsafe-inline'").replace("</head>", MEASURE + "</head>")
    (report / "measured.html").write_text(allowed)
    (report / "framed.html").write_text(FRAMED.replace("WIDTH", str(width)))
    seen = json.loads(title_of(report / "framed.html"))
    assert seen["width"] == width
    assert seen["content"] <= width, "no sideways scrolling"
    assert (seen["images"], seen["broken"], seen["unseen"]) == (html.count("<img "), 0, 0)


def test_the_page_lets_no_script_run(report, title_of):
    attacked = report / "attacked.html"
    html = (report / "report.html").read_text()
    attacked.write_text(html.replace("</head>", "<script>document.title = 'ran'</script></head>"))
    assert title_of(attacked) == "Bowling report"


def test_the_overlay_plays(report, title_of):
    (report / "play.html").write_text(PLAY)
    played = json.loads(title_of(report / "play.html"))
    assert played == {"duration": pytest.approx(1.0, abs=0.04), "width": 640, "height": 480, "at": 0.8}
