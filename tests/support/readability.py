"""How hard an English text is to read, by Flesch's formula."""

from __future__ import annotations

import re
from collections.abc import Sequence


def words_of(text: str) -> list[str]:
    """The words without numbers, units and marks."""
    return re.findall(r"[A-Za-z]+(?:['’-][A-Za-z]+)*", text)


def syllables(word: str) -> int:
    """Groups of vowels, a silent e or ed at the end not counted, at least one. Good to about one in ten words."""
    plain = re.sub(r"[^a-z]", " ", word.lower())
    count = 0
    for part in plain.split():
        own = len(re.findall(r"[aeiouy]+", part))
        if re.search(r"[^aeiouyl]e$|[^aeioutdy]ed$|[^aeiouysxzcgh]es$", part) and own > 1:
            own -= 1
        count += max(own, 1)
    return count


def reading_ease(sentences: Sequence[str]) -> float:
    """206.835 - 1.015 · words/sentences - 84.6 · syllables/words (Flesch 1948, J Appl Psychol 32:221).

    90 is for readers of 10 to 11, 80 of 11 to 12, 70 of 12 to 13, 60 of 13 to 15, below 30 of a university.
    """
    words = [word for sentence in sentences for word in words_of(sentence)]
    return 206.835 - 1.015 * len(words) / len(sentences) - 84.6 * sum(map(syllables, words)) / len(words)
