"""Count what makes a text hard to read: words, syllables, sentences. A few lines each."""

import re

WORD = re.compile(r"\w+(?:[’'.,/-]\w+)*")
SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”’)*_]*\s+(?=[\"“‘(*_]*[A-Z0-9])")
QUOTED = re.compile(r"“[^”]*”|\"[^\"]*\"|(?m:^[ \t]*>.*$)")
AVOID = re.compile(
    r"\b(just|simply|obviously|of\s+course|easy|easily|trivial|basically|clearly"
    r"|as\s+we\s+all\s+know)\b",
    re.IGNORECASE,
)


def words(text: str) -> list[str]:
    """List the words; a number is one word, and so is a word with a hyphen.

    >>> words("It's a two-way street: 1,115,394 of them!")
    ["It's", 'a', 'two-way', 'street', '1,115,394', 'of', 'them']
    """
    return WORD.findall(text.replace("_", " "))


def syllables(word: str) -> int:
    """Guess the syllables of an English word from its groups of vowels.

    >>> [syllables(word) for word in ("guess", "table", "made", "walked", "needed", "idea", "12")]
    [1, 2, 1, 1, 2, 3, 1]
    """
    word = re.sub(r"[^a-z]", "", word.lower())
    count = len(re.findall(r"[aeiouy]+", word))
    count += len(re.findall(r"(?<![tcs])i[ao](?!u)|ea$", word))  # di-agram, ide-a; not na-tion
    silent_e = re.search(r"[^aeiouyl]e$|[aeiouy]le$|[^aeiouytd]ed$", word)
    return max(count - bool(silent_e), 1)


def sentences(paragraph: str) -> list[str]:
    """Split a paragraph, heading or list item, which always ends its last sentence.

    >>> sentences("See 3.5 nats. “Is it?” *Yes.* It is")
    ['See 3.5 nats.', '“Is it?', 'Yes.', 'It is']
    """
    parts = SENTENCE_END.split(" ".join(paragraph.split()))
    return [part.strip(" *_") for part in parts if words(part)]


def grade(text: list[str]) -> float:
    """Return the Flesch–Kincaid grade of some sentences: about the school year they suit.

    >>> round(grade(["The cat sat on the mat."]), 2)
    -1.45
    """
    spoken = [word for sentence in text for word in words(sentence)]
    if not spoken:
        return 0.0
    per_word = sum(syllables(word) for word in spoken) / len(spoken)
    return 0.39 * len(spoken) / len(text) + 11.8 * per_word - 15.59


def mean_length(text: list[str]) -> float:
    """Return the mean number of words in some sentences.

    >>> mean_length(["One two three.", "One."])
    2.0
    """
    return sum(len(words(sentence)) for sentence in text) / max(len(text), 1)


def to_avoid(text: str) -> list[tuple[str, str]]:
    """List the words that tell a reader they are slow, with their surroundings, quotations apart.

    >>> to_avoid('“It is just a game”, and I say it is simply so.')
    [('simply', 'st a game”, and I say it is simply so.')]
    """
    blank = QUOTED.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    found = []
    for match in AVOID.finditer(blank):
        around = text[max(match.start() - 28, 0) : match.end() + 28]
        found.append((" ".join(match[0].lower().split()), " ".join(around.split())))
    return found
