"""The rendered report in a real browser, driven by keyboard and mouse: it shows, plays and reaches nothing."""

import functools
import http.server
import json
import shutil
import threading
from pathlib import Path

import clips
import numpy as np
import pytest
import reports
from browser import Tab, chromium_tab

from api.routes import artifacts
from models.documents import Event, Repetition
from pipeline.measurements import Signal
from pipeline.rendering.render import render

SIZE = (640, 480)
PTS_MS = [33 * number + (9 if number % 3 else 0) for number in range(60)]
# What the video shows right now, read off its bars, and what the page says it is.
SHOWN = """(() => {
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [640, 480];
  const pen = copy.getContext("2d");
  pen.drawImage(document.getElementById("clip"), 0, 0, 640, 480);
  const bars = Array.from({length: 8}, (_, bit) => pen.getImageData(bit * 80 + 40, 360, 1, 1).data[0] > 128);
  return [bars.reduce((sum, set, bit) => sum + (set << bit), 0), Number(drawn.dataset.row)];
})()"""
SETTLED = """document.documentElement.classList.contains("plays")
  && document.getElementById("clip").readyState >= 2 && !clip.seeking"""
SUMS = """[innerWidth, document.documentElement.scrollWidth,
  [...document.images].filter(image => !image.complete || !image.naturalWidth).length, document.images.length,
  [...document.querySelectorAll("h2, h3, dd, td")].filter(part => !part.getClientRects().length).length]"""
PLAY = """<!DOCTYPE html><video muted src="overlay.mp4#t=0.8"></video>"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    found = shutil.which("chromium")
    if found is None:
        pytest.fail("apt package chromium is missing: run make system-deps", pytrace=False)
    with chromium_tab(found, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """A folder with the report of two seconds of video with an uneven frame rate, and two deliveries in it."""
    out = tmp_path_factory.mktemp("report")
    recipe = clips.Recipe(width=SIZE[0], height=SIZE[1], frames=len(PTS_MS), pts_ms=PTS_MS)
    clip = clips.make(out / "clip.mp4", recipe)
    poses = reports.poses([ms / 1000 for ms in PTS_MS], size=SIZE, box=(200, 60, 330, 440))
    signal = Signal(
        id="knee", label="Knee", unit="deg", times_s=poses.timestamps_s, values=125 + np.sin(9 * poses.timestamps_s),
        metrics=("front_knee_min",),
    )  # fmt: skip
    deliveries = [
        Repetition(
            index=index,
            start_s=start,
            end_s=start + 0.8,
            events={"release": Event(time_s=start + 0.5, half_width_s=0.02)},
            metrics=reports.METRICS,
        )
        for index, start in enumerate((0.1, 1.0))
    ]
    document = reports.results(size=SIZE, repetitions=deliveries, duration_s=2.0)
    render(clip=clip, poses=poses, results=document, signals=[signal], out=out)
    (out / "play.html").write_text(PLAY)
    return out


@pytest.fixture
def page(tab, report) -> Tab:
    """The report, open in a wide window and ready to play."""
    tab.size(1280, 900)
    tab.open(report / "report.html")
    tab.until(SETTLED)
    return tab


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scripts", [True, False])
def test_the_page_shows_everything_and_fits(tab, report, width, *, scripts):
    tab.size(width, 844, phone=width == 390)
    tab.scripts(run=scripts)
    try:
        tab.open(report / "report.html")
        inner, content, broken, images, unseen = tab.value(SUMS)
        hidden = tab.value("document.getElementById('player').hidden")
    finally:
        tab.scripts(run=True)
    assert inner == width
    assert content <= width, "no sideways scrolling"
    assert (broken, unseen) == (0, 0)
    assert images == (report / "report.html").read_text().count("<img ")
    assert hidden is not scripts


def test_on_a_phone_all_repetitions_are_in_sight(tab, report):
    tab.size(390, 844, phone=True)
    tab.open(report / "report.html")
    tab.value("""document.querySelectorAll(".grid tr").forEach(row => {
      for (let more = 0; more < 6; more++) row.append(row.lastElementChild.cloneNode(true));
    })""")
    found = tab.value("""[...document.querySelectorAll(".grid td")].map(cell =>
      [getComputedStyle(cell, "::before").content, cell.getBoundingClientRect().right])""")
    assert [name for name, _ in found] == ['"No. 1"', *['"No. 2"'] * 7] * 2, "two numbers of eight deliveries"
    assert max(right for _, right in found) <= 390


def test_the_skeleton_is_drawn_for_the_picture_that_is_shown(page):
    for row in (0, 1, 31, 59, 30, 7):
        page.value(f"(slider.value = {PTS_MS[row] / 1000}, slider.dispatchEvent(new Event('input')))")
        page.until(SETTLED)
        assert page.until(f"{SHOWN}[0] === {row} && {SHOWN}") == [row, row]
    thigh = "[...drawn.getContext('2d').getImageData(284, 300, 1, 1).data]"
    assert page.value(thigh) == [240, 150, 20, 255], "the left one, orange"
    page.value("skeleton.click()")
    assert page.value(thigh) == [0, 0, 0, 0]


def test_the_skeleton_follows_the_video_as_it_plays(page):
    page.click("#play")
    page.until("clip.currentTime > 0.7")
    page.value("clip.pause()")
    page.until(SETTLED)
    shown, said = page.until(f"{SHOWN}[0] === {SHOWN}[1] && {SHOWN}")
    assert shown == said > 15
    assert page.value("play.textContent") == "Play"
    assert page.value("clock.textContent").startswith(f"0:00.{PTS_MS[said]}" if PTS_MS[said] < 1000 else "0:01")


def test_a_pause_that_comes_before_the_word_of_a_picture_goes_back_to_the_one_that_is_drawn(page):
    """As if the browser had shown pictures without saying which: it does so with the last one before a pause."""
    page.click("#play")
    page.until("clip.currentTime > 0.3")
    page.value("clip.requestVideoFrameCallback = () => 0")
    page.until("clip.currentTime > 0.8")
    page.value("clip.pause()")
    page.until(SETTLED)
    shown, said = page.until(f"{SHOWN}[0] === {SHOWN}[1] && {SHOWN}")
    assert shown == said < PTS_MS.index(next(ms for ms in PTS_MS if ms > 750))


def test_words_timeline_and_plots_seek(page):
    page.click("#priorities .see a")
    page.until("document.activeElement === slider")
    assert page.value("location.hash") == "#video"
    assert page.value("drawn.dataset.row") == "6", "0.2 s"
    page.click(".strip", 0.5)
    middle = PTS_MS[-1] / 2000
    assert page.value("Number(slider.value)") == pytest.approx(middle, abs=0.04)
    page.click(".plot", 0.9)
    left, right, start, end = page.value(
        "(({left, right, start, end}) => [left, right, start, end].map(Number))"
        "(document.querySelector('.plot .playhead').dataset)"
    )
    there = start + (0.9 - left) / (right - left) * (end - start)
    assert page.value("Number(slider.value)") == pytest.approx(there, abs=0.04)
    place = page.value("parseFloat(document.querySelector('.plot .playhead').style.left)")
    assert place == pytest.approx(90, abs=3)


def test_a_sentence_leads_to_its_moment(page):
    told = "document.querySelector('#assessment .said')"
    assert page.value(f"[{told}.textContent, {told}.dataset.metrics]") == [
        "Judged from 1 delivery: speed kept.", "run_up_speed_ratio"]  # fmt: skip
    page.click("#assessment .seek")
    page.until("document.activeElement === slider")
    assert page.value("drawn.dataset.row") == "6", "0.2 s"


def test_a_sentence_leads_to_its_moment_by_keyboard(page):
    page.value("document.body.focus()")
    for _ in range(2):  # past the link to the findings
        page.press("Tab", code=9)
    assert page.value("[document.activeElement.className, getComputedStyle(document.activeElement).outlineStyle]") == [
        "seek", "solid"]  # fmt: skip
    page.press("Enter", code=13, text="\r")
    page.until("drawn.dataset.row === '6' && document.activeElement === slider")


def test_it_works_by_keyboard_alone(page):
    page.value("document.body.focus()")
    page.press("Tab", code=9)
    assert page.value("document.activeElement.textContent") == "To the findings"
    seen = []
    for _ in range(8):
        page.press("Tab", code=9)
        seen.append(page.value("document.activeElement.id"))
    places = [seen.index(name) for name in ("play", "back", "next", "speed", "skeleton", "slider")]
    assert places == sorted(places)
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.value(outline) == "solid"
    page.value("slider.focus()")
    for key, code, row in (("ArrowRight", 39, 1), ("ArrowRight", 39, 2), ("ArrowLeft", 37, 1), ("PageUp", 33, 31)):
        page.press(key, code=code)
        page.until(SETTLED)
        assert page.value("Number(drawn.dataset.row)") == row
    page.value("play.focus()")
    page.press(" ", code=32, text=" ")
    page.until("!clip.paused")
    page.press(" ", code=32, text=" ")
    page.until("clip.paused")


def test_a_screen_reader_finds_names_and_values(page):
    page.click("#priorities .see a")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")
    ]
    wanted = {("slider", "Moment of the clip"), ("button", "One picture on"), ("checkbox", "Skeleton"),
              ("link", "Show 0:00.200 of the video"),
              ("heading", "Deliveries side by side"), ("group", "Player"), ("combobox", "Speed")}  # fmt: skip
    assert wanted <= {(role, name) for role, name in named}
    assert all(name for role, name in named if role in {"image", "button", "link", "slider", "region", "Video"})
    assert page.value("slider.getAttribute('aria-valuetext')").startswith("0:00.198")


def test_motion_is_reduced_for_whoever_asks(page):
    behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
    for wish, found in (("no-preference", "smooth"), ("reduce", "auto")):
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": wish}])
        assert page.value(behaviour) == found
    page.call("Emulation.setEmulatedMedia", features=[])


def test_the_page_lets_no_other_script_run(tab, report):
    attacked = report / "attacked.html"
    html = (report / "report.html").read_text()
    attack = "<script>document.title = 'ran'</script><img src='x' onerror=\"document.title = 'ran'\"></header>"
    attacked.write_text(html.replace("</header>", attack))
    tab.open(attacked)
    tab.until(SETTLED)
    assert tab.value("document.title") == "Bowling report"
    assert any("Content Security Policy" in message for message in tab.messages)


def test_it_plays_under_the_policy_that_the_api_serves_it_with(tab, report):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self):
            self.send_header("Content-Security-Policy", artifacts._REPORT_POLICY)
            super().end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=report)) as served:
        threading.Thread(target=served.serve_forever).start()
        try:
            tab.open(f"http://127.0.0.1:{served.server_port}/report.html")
            tab.until(SETTLED)
            assert tab.value("location.origin + self.origin").endswith("null"), "an origin of its own"
            tab.click("#priorities .see a")
            tab.until(f"({SETTLED}) && {SHOWN}[0] === 6")
        finally:
            served.shutdown()


def test_the_overlay_plays(tab, report):
    tab.open(report / "play.html")
    video = "document.querySelector('video')"
    tab.until(f"{video}.readyState >= 2 && !{video}.seeking")
    played = json.loads(tab.value(f"JSON.stringify([{video}.duration, {video}.videoWidth, {video}.currentTime])"))
    assert played == [pytest.approx(2.0, abs=0.08), 640, 0.8]
