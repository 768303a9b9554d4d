import pytest

from api.problems import Problem
from api.ranges import ByteRange, parse_range


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=10-", 10, 99),
        ("bytes=90-500", 90, 99),
        ("bytes=-10", 90, 99),
        ("bytes=-500", 0, 99),
        ("bytes= 5 - 7", 5, 7),
    ],
)
def test_one_range_of_a_hundred_bytes(header: str, first: int, last: int) -> None:
    found = parse_range(header, 100)
    assert found == ByteRange(first=first, last=last, size=100)
    assert found.length == last - first + 1
    assert found.content_range == f"bytes {first}-{last}/100"


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes=", "bytes=-", "bytes=9-5", "bytes=0-1,5-9", "items=0-1", "bytes=a-b", "bytes=١-٢", "0-1"],
)
def test_what_is_not_understood_means_the_whole(header: str | None) -> None:
    assert parse_range(header, 100) is None


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-5", 0)])
def test_behind_the_end_is_refused_with_the_size(header: str, size: int) -> None:
    with pytest.raises(Problem) as refused:
        parse_range(header, size)
    assert (refused.value.code, refused.value.status_code) == ("range_not_satisfiable", 416)
    assert refused.value.headers == {"Content-Range": f"bytes */{size}"}


def test_an_impossible_range_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="no such range"):
        ByteRange(first=5, last=4, size=10)
