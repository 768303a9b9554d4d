import re
from html.parser import HTMLParser

import pytest
import reports

from models.documents import Event, Repetition, ReportSection, Sentence, TimeSpan
from pipeline.measurements import Signal
from pipeline.rendering.encode import Piece
from pipeline.rendering.page import Pictures, build_page
from pipeline.rendering.plots import Plot
from pipeline.rendering.proxy import Proxy, packed_points
from pipeline.rendering.stills import Still
from pipeline.rendering.words import clock, inline_markdown, markdown

TIMES = [number / 30 for number in range(30)]
POSES = reports.poses(TIMES)
ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> ![x](http://x/) [y](javascript:alert(1))"
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Outline(HTMLParser):
    """Tags in order, those that stay open, and every attribute."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, attribute):
        return [value for _, name, value in self.attributes if name == attribute]


def still(row):
    return Still(row=row, frame=row, time_s=row / 30, jpeg=b"picture %d" % row, width=30, height=40)


def proxy(rows=range(30)):
    rows = list(rows)
    return Proxy(
        mp4=b"film",
        size=(128, 96),
        pieces=(Piece(start_s=rows[0] / 30, end_s=rows[-1] / 30, shown_s=0.0),),
        times_s=POSES.timestamps_s[rows],
        points=packed_points(POSES, rows, (128, 96)),
    )


def page(document=None, *, stills=(6, 12, 15), overlay=((0.0, 0.97),), film=None, **options):
    signal = Signal(
        id="s", label="Hip <speed>", unit="ratio", times_s=POSES.timestamps_s, values=POSES.timestamps_s * 2
    )
    pictures = Pictures(
        subject=still(9),
        evidence={row: still(row) for row in stills},
        plots=[Plot(signal=signal, svg=b"<svg/>")],
        overlay=tuple(TimeSpan(start_s=start, end_s=end) for start, end in overlay),
        proxy=film,
    )
    return build_page(document or reports.results(), POSES, pictures, **options)


def test_it_is_whole_and_equal_every_time():
    html = page()
    outline = Outline(html)
    assert outline.open == []
    assert outline.tags.count("h1") == 1
    ids = outline.all("id")
    assert len(ids) == len(set(ids))
    assert set(outline.all("aria-labelledby")) <= set(ids)
    assert html == page()


@pytest.mark.parametrize("film", [None, proxy()])
def test_it_fetches_nothing(film):
    outline = Outline(page(film=film))
    assert all(value.startswith("data:") for value in outline.all("src"))
    assert all(value.startswith("#") for value in outline.all("href"))
    assert not {"link", "iframe", "object", "form"} & set(outline.tags)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in "".join(outline.all("content"))


def test_without_a_video_there_is_no_script():
    outline = Outline(page())
    assert not {"script", "video", "canvas", "button"} & set(outline.tags)
    assert "script-src" not in page()


def test_words_lead_to_their_moment_where_the_video_shows_it():
    assert Outline(page()).all("data-at") == []
    whole = Outline(page(film=proxy())).all("data-at")
    assert whole.count("0.5") == 5, "the event, the close call and the knee, with a picture each of the last two"
    early = [float(time_s) for time_s in Outline(page(film=proxy(range(10)))).all("data-at")]
    assert early
    assert max(early) <= 0.3


def test_controls_have_names():
    outline = Outline(page(film=proxy()))
    assert "Moment of the clip" in outline.all("aria-label")
    assert "One picture on" in outline.all("aria-label")
    assert {value for tag, name, value in outline.attributes if (tag, name) == ("button", "type")} == {"button"}


def repetition(index, knee):
    start = index * 0.4
    metric = reports.METRICS["front_knee_min"].model_copy(update={"value": knee})
    return Repetition(
        index=index,
        start_s=start,
        end_s=start + 0.3,
        events={"release": Event(time_s=start + 0.2, half_width_s=0.02)},
        metrics={"front_knee_min": metric, "release_height": reports.METRICS["release_height"]},
    )


def test_repetitions_stand_side_by_side():
    html = page(reports.results(repetitions=[repetition(0, 120.0), repetition(1, None)]), stills=(6, 18))
    outline = Outline(html)
    assert "Deliveries side by side" in outline.text
    said = "the athlete at {}, you let go, with the detected skeleton drawn"
    pictures = {f"No. 1: {said.format('0:00.200')}", f"No. 2: {said.format('0:00.600')}"}
    assert pictures <= set(outline.all("alt"))
    assert "grid" not in outline.all("class"), "only one has the number"
    assert "of 2 deliveries" not in outline.text, "both are shown"
    one = page(reports.results(repetitions=[repetition(0, 120.0), repetition(1, None)]), stills=(6,))
    assert "Pictures of 1 of 2 deliveries." in one
    html = page(reports.results(repetitions=[repetition(0, 120.0), repetition(1, 131.0), repetition(2, None)]))
    table = html.split('<table class="grid">')[1].split("</table>")[0]
    cells = re.findall(r'<td data-repetition="(.*?)">(.*?)</td>', table, re.DOTALL)
    told = [(name, Outline(cell).text.split("Look")[0].strip()) for name, cell in cells]
    assert told == [("No. 1", "120 ± 8°"), ("No. 2", "131 ± 8°"), ("No. 3", "not measured")]
    assert "elease height" not in table


def test_one_repetition_has_nothing_beside_it():
    assert "side by side" not in page()


def test_pictures_say_what_they_show():
    outline = Outline(page())
    assert len(outline.all("alt")) == outline.tags.count("img") == 1 + 2 + 1 + 3 + 1
    assert all(outline.all("alt"))


def test_it_follows_the_reports_own_sections():
    outline = Outline(page())
    titles = [section.title for section in reports.SECTIONS]
    places = [outline.text.index(title) for title in titles]
    assert places == sorted(places)
    assert "Film a whole delivery." in outline.text
    assert "Filmed from the side." in outline.text


def test_a_finding_is_shown_with_number_reference_cue_and_drill():
    text = " ".join(Outline(page()).text.split())
    for words in ("You slow down", "14 % slower", "86 ± 3 %", "coaching convention", "Five run-throughs", "likely"):
        assert words in text
    assert "<em>through</em>" in page()
    assert "0:00.500 · frame 15 · front foot lands" in text


@pytest.mark.parametrize(("count", "pictures", "said"), [(6, 6, []), (8, 6, ["Pictures of 6 of these 8 moments."])])
def test_a_finding_says_which_of_its_moments_it_shows(count, pictures, said):
    times = [place / 10 for place in range(count)]
    finding = reports.FINDING.model_copy(update={"evidence": reports.evidence(*times)})
    rows = [3 * place for place in range(count)]
    html = page(reports.results(findings=[finding], watches=[]), stills=rows[:6])
    article = Outline(html.split('<article class="finding')[1].split("</article>")[0].split(">", 1)[1])
    assert article.tags.count("img") == pictures
    assert re.findall(r"Pictures of .*", article.text) == said
    look = article.text.split("Look at ")[1].split("\n")[0]
    assert look == ", ".join(clock(time_s) for time_s in times[:6]) + (" and 2 more" if count == 8 else "")


def test_moments_have_the_audience_s_names():
    assert "front foot lands" in Outline(page()).text
    assert "front foot contact" not in page()
    assert "front foot contact" in Outline(page(audience="analyst")).text


def test_a_strength_says_its_mark_in_its_text_alone():
    strength = reports.FINDING.model_copy(update={"type": "strength", "claim": None})
    sections = (*reports.SECTIONS, ReportSection(id="strengths", title="What you do well", text="…"))
    well = page(reports.results(findings=[strength], sections=sections)).split("What you do well")[1]
    assert "14 % slower" in well
    assert "Compared with" not in well
    assert "Compared with" in page()


def test_without_findings_the_numbers_still_have_pictures():
    sections = [section for section in reports.SECTIONS if section.id not in ("priorities", "watches")]
    document = reports.results(findings=[], watches=[], sections=sections)
    outline = Outline(page(document, stills=(15, 6)))
    assert "What to work on" not in outline.text
    assert "article" not in outline.tags
    assert len(outline.all("alt")) == 1 + 2 + 1


def test_numbers_carry_error_and_status_and_missing_ones_are_not_in_the_table():
    table = page().split("<table>")[1].split("</table>")[0]
    text = " ".join(Outline(f"<table>{table}</table>").text.split())
    assert "129 ± 8°" in text
    assert "less certain" in text
    assert "30 pictures a second" in text
    assert "elease height" not in text


def test_the_receipt_adds_up_in_words():
    assert "30 decoded = 20 analysed + 10 not sampled." in Outline(page()).text


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        (((0.0, 0.97),), "Every analysed frame with its skeleton, 0:00.000–0:00.970"),
        (
            ((1.0, 61.0), (200.0, 230.0)),
            "1:30.000 of 5:00.000, around what this report rests on (0:01.000–1:01.000, 3:20.000–3:50.000)",
        ),
    ],
)
def test_a_cut_overlay_is_said_to_be_cut(overlay, said):
    document = reports.results(duration_s=300.0 if len(overlay) > 1 else 1.0)
    assert said in " ".join(Outline(page(document, overlay=overlay)).text.split())


def test_nothing_that_is_said_becomes_markup():
    finding = reports.FINDING.model_copy(
        update=dict.fromkeys(("title", "text", "reference", "cue", "drill"), ATTACK) | {"metric": "run_up_speed_ratio"}
    )
    metrics = {
        name: metric.model_copy(update={"label": ATTACK, "reason": ATTACK, "advice": ATTACK, "method": ATTACK})
        for name, metric in reports.METRICS.items()
    }
    sections = [*reports.SECTIONS[1:], ReportSection(id="assessment", title=ATTACK, text=ATTACK)]
    watch = reports.WATCH.model_copy(update={"text": ATTACK})
    outline = Outline(page(reports.results(findings=[finding], metrics=metrics, sections=sections, watches=[watch])))
    assert outline.open == []
    assert "script" not in outline.tags
    assert all(value.startswith("#") for value in outline.all("href"))
    assert all(value.startswith("data:") for value in outline.all("src"))
    assert not [name for _, name, _ in outline.attributes if name.startswith("on")]


def test_analysts_read_their_own_words():
    assert "likely (&gt; 1 expected error)" in page(audience="analyst")


def test_a_player_meets_the_same_words_on_the_page_as_in_the_text():
    told = {"method": "RMS of it", "source": "Somebody 2007", "reason": "the athlete was seen in 9 frames"}
    metrics = {name: metric.model_copy(update=told) for name, metric in reports.METRICS.items()}
    document = reports.results(metrics=metrics)
    player, analyst = (Outline(page(document, audience=audience)).text for audience in ("player", "analyst"))
    for ours, theirs in (
        ("Front knee at its most bent", "Front knee, most bent"),
        ("Speed kept to the crease", "Speed kept"),
        ("you were seen in 9 pictures", "the athlete was seen in 9 frames"),
    ):
        assert ours.lower() in player.lower()
        assert ours.lower() not in analyst.lower()
        assert theirs.lower() in analyst.lower()
    for detail in ("RMS of it", "Somebody 2007"):
        assert detail in analyst
        assert detail not in player


def test_markdown_is_words_and_emphasis():
    assert markdown("**a** <b>") == "<p><strong>a</strong> &lt;b&gt;</p>\n"
    assert inline_markdown("*a* [b](c)") == "<em>a</em> [b](c)"
    assert inline_markdown("<http://x>") == "&lt;http://x&gt;"


@pytest.mark.parametrize(("time_s", "said"), [(0, "0:00.000"), (62.3454, "1:02.345"), (59.9996, "1:00.000")])
def test_clock(time_s, said):
    assert clock(time_s) == said


def told(*sentences):
    sections = [ReportSection(id="recording", title="About this video", sentences=sentences,
                              text="".join(one.before + one.text for one in sentences))]  # fmt: skip
    return page(reports.results(sections=sections), film=proxy(range(10, 20)))


def test_a_sentence_leads_to_the_first_of_its_moments_that_the_video_shows():
    seen = Sentence(text="Seen.", kind="fact", metrics=("a", "b"), evidence=reports.evidence(0.1, 0.5, 0.6))
    unseen = Sentence(before=" ", text="**Not** on the page.", kind="recording", evidence=reports.evidence(0.1))
    nothing = Sentence(before="\n\n", text="Without a moment.", kind="recording")
    html = told(seen, unseen, nothing)
    assert html.count('class="seek"') == 1
    assert '<a class="seek" href="#video" data-at="0.5">' in html
    assert "Show 0:00.500 of the video" in html
    assert '<span class="said" data-metrics="a b">Seen.</span>' in html
    assert "<strong>Not</strong> on the page.</span></p>" in html
    assert 'class="seek"' not in page(film=None), "on paper nothing plays"


def test_sentences_that_lead_to_one_moment_share_a_control():
    moments = [(0.5,), (0.5, 0.6), (), (0.5,), (0.6,)]
    html = told(*(Sentence(before=" " if place else "", text=f"Number {place}.", kind="recording",
                           evidence=reports.evidence(*times)) for place, times in enumerate(moments)))  # fmt: skip
    behind = [html[: found.start()].rpartition("Number ")[2][0] for found in re.finditer('class="seek"', html)]
    assert behind == ["1", "3", "4"]


def test_items_that_follow_one_another_are_one_list_and_what_is_in_them_is_text():
    lines = [("- ", "One."), (" ", "More of one."), ("\n- ", ATTACK), ("\n\n### 1. ", "Head."), ("\n\n", "End.")]
    html = told(*(Sentence(before=before, text=text, kind="method") for before, text in lines))
    assert Outline(html).open == []
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    section = html[html.index('id="recording"') :]
    section = section[: section.index("</section>")]
    assert (section.count("<ul>"), section.count("<li>"), section.count("<h3>"), section.count("<p>")) == (1, 2, 1, 1)
