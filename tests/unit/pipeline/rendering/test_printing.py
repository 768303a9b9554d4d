import re
import subprocess
import sys
import zlib

from pipeline.rendering.printing import printed

PAGE = """<!DOCTYPE html><html lang="en"><head><title>Bowling report</title></head><body><h1>Knee ± 8°</h1>
<p hidden>unseen</p></body></html>"""
CODE = "import sys; from pipeline.rendering.printing import printed; sys.stdout.buffer.write(printed(sys.argv[1]))"


def streams(pdf):
    return b"".join(
        zlib.decompress(found) if found[:1] == b"x" else found
        for found in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    )


def test_the_same_page_gives_the_same_bytes_in_every_process():
    other = {"PYTHONHASHSEED": "1", "SOURCE_DATE_EPOCH": "1700000000", "HOME": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", CODE, PAGE], check=True, capture_output=True, env=other)
    assert done.stdout == printed(PAGE)


def test_nothing_says_when_or_where_it_was_made():
    pdf = printed(PAGE)
    assert b"CreationDate" not in pdf
    assert b"ModDate" not in pdf
    assert b"/home" not in pdf


def test_nothing_is_fetched(tmp_path):
    secret = tmp_path / "secret.svg"
    secret.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>')
    there = f'<img src="{secret.as_uri()}"><link rel="attachment" href="{secret.as_uri()}"><p hidden>'
    attack = PAGE.replace("<p hidden>", there)
    assert len(printed(attack)) < len(printed(PAGE)) + 400


def test_it_is_tagged_and_speaks_its_language():
    pdf = printed(PAGE)
    assert b"/StructTreeRoot" in pdf + streams(pdf)
    assert b"/Lang" in pdf + streams(pdf)
