"""The house rule on words of CONTRIBUTING.md, as far as a search can check it."""

import re

import pytest

from tests.support import renovate

WORDS = {
    "whoever": ("anyone who", r"\bwhoever\b"),
    "of its own": ("its own, or separate", r"\bof (?:its|their|our|his|one's) own\b"),
    "is no": ("must be, or is not a", r"(?<!there )\bis no (?!longer\b|more\b|way\b)"),
    "are none": ("are not, or have no", r"(?<!there )\bare none\b"),
    "told": ("reported, printed or set", r"\b(?:told|tells?|telling)\b"),
    "look for drift": ("detect drift", r"\blook(?:s|ed)? for drift\b"),
    "lower-case": ("lowercase, whitespace", r"\b(?:lower|upper)[- ]case\b|\bwhite space\b"),
}
# They quote what not to write, or others wrote them.
QUOTES = ("CONTRIBUTING.md", "tests/test_words.py", "LICENSE")
TEXTS = {
    path: text
    for path, text in renovate.files()
    if path not in QUOTES and "__snapshots__" not in path and not path.endswith((".sum", ".lock"))
}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_house_rule_is_not_written(word: str) -> None:
    instead, pattern = WORDS[word]

    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: write {instead}"
        for path, text in TEXTS.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]

    assert found == []
