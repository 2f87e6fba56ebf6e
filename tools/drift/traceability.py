"""From each promise of a chapter to where it is kept: a step, an exercise and a question.

Behind each objective stands a comment that no reader sees:

    <!-- step: c07-013 · exercise: 07.5 · question: 07.3 c07-029 -->

A step is a cell of the chapter. A question is one of a quiz, by chapter and number, or the cell of
a prediction or a recall. Exercises and questions may stand in a later chapter.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from drift import exercises
from drift.glossary_order import Term, pattern, read
from drift.prose import COMMENT, blank
from drift.reading import Cell, Notebook, notebooks

OBJECTIVE = re.compile(r"(?m)^- (?P<text>.+)$")
TRACE = re.compile(
    r"<!-- step: (?P<step>[\w -]+) · exercise: (?P<exercise>[\d. ]+)"
    r" · question: (?P<question>[\w. -]+) -->"
)
QUIZ = re.compile(r"(?ms)^\*(?P<number>\d+)\. (?P<question>.+?)^<details>.*?</details>")
WORDS = re.compile(r"(?m)^\**In your own words:.*$")
RECALL = re.compile(r"(?s)<details>\s*<summary>Recall, from .*?</details>")
THREAD = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+/(?:issues|pull)/\d+")
SYMPTOM = re.compile(r"\d|\b(?:no|an) error\b")
NOT_A_STEP = ("card", "here", "exercises", "recap", "next")

# What the walkthrough that this book grew out of introduces, and the words that ask for it.
CONCEPTS: dict[str, tuple[str, ...]] = {
    "guess the next token": ("next id", "next character", "next token", "guesser"),
    "probability distribution": ("bets", "chances", "probabilities"),
    "generation by feeding back": ("writes", "write n ids", "continued", "generating"),
    "autocomplete by counting": ("count table", "counts", "bigram table"),
    "bigram": ("bigram",),
    "context": ("context", "memory", "histories", "looks back"),
    "one mole, three meanings": ("mole",),
    "Sheila and Bobby": ("Sheila", "Bobby"),
    "more words are not enough": ("six words", "order 9", "what came before"),
    "token": ("token",),
    "embedding matrix": ("embedding", "lookup", "rows of the table", "wte", "entrance"),
    "tokenization by BPE": ("merges", "BPE", "byte-pair encoding"),
    "neural network": ("network", "neuron"),
    "backpropagation": ("backward", "blame"),
    "optimizer": ("optimizer", "AdamW", "SGD"),
    "attention": ("attention",),
    "cross-attention": ("cross-attention",),
    "flash attention": ("flash attention", "flash_reference"),
    "transformer": ("block", "transformer"),
    "GPT": ("GPT", "GPT-2"),
    "pre-trained weights": ("load", "loaded", "pre-trained", "OpenAI's weights"),
    "data parallel training": ("DDP", "ranks"),
}
# Other words by which an exercise or a question asks for a term of the glossary.
ASKED_AS: dict[str, tuple[str, ...]] = {
    "Adam": ("AdamW",),
    "attention head": ("head",),
    "attention weight": ("grid",),
    "backpropagation": ("backward",),
    "bigram model": ("bigram",),
    "broadcasting": ("keepdim",),
    "byte-pair encoding": ("merges",),
    "central difference": ("nudging",),
    "computation graph": ("graph",),
    "contamination": ("read the exam",),
    "distributed data parallel": ("wrap",),
    "early stopping": ("patience",),
    "gradient accumulation": ("pieces",),
    "gradient clipping": ("clipping",),
    "greedy": ("temperature 0",),
    "hidden layer": ("self.hidden",),
    "initialisation": ("fresh", "first loss"),
    "key vector": ("keys",),
    "linear layer": ("nn.Linear",),
    "loss scaling": ("scaler",),
    "micro-batch": ("micro_batch",),
    "multi-head attention": ("12 heads",),
    "multilayer perceptron": ("network",),
    "n-gram": ("count table",),
    "online softmax": ("sum of weights",),
    "output projection": ("c_proj",),
    "parameter group": ("decays",),
    "position embedding": ("places",),
    "pre-tokenization": ("cut_up",),
    "rank of a process": ("ranks",),
    "replacement character": ("�",),
    "residual stream": ("stream",),
    "sampling": ("multinomial", "nothing is drawn"),
    "scaled dot-product attention": ("causal_attention",),
    "self-attention": ("attention function",),
    "skip connection": ("skip",),
    "special token": ("token `end`",),
    "standard error": ("± 0.02",),
    "tokenizer": ("vocabulary",),
    "training data": ("training text",),
    "underflow": ("rounded to 0",),
    "UTF-8": ("bytes",),
    "validation data": ("validation text",),
    "value vector": ("values",),
    "variance": ("spread",),
    "weight decay": ("decay",),
    "weight tying": ("tied",),
}
# term: why it need not be asked in two chapters
NOT_ASKED: dict[str, str] = {
    "back end": "a word of PyTorch's manual: nothing in the book depends on it",
    "induction head": "stands in a part of chapter 13 that is optional",
    "Kneser–Ney": "stands in a part of chapter 01 that is optional",
    "logit lens": "stands in a part of chapter 13 that is optional",
    "rendezvous": "comes at the end of chapter 17, for runs on several machines",
} | dict.fromkeys(
    (
        *("grouped-query attention", "Muon", "QK-norm", "ReLU²", "RMSNorm", "rotary positions"),
        *("singular value", "soft cap", "SwiGLU"),
    ),
    "comes in the last chapter, which asks for it",
)
# beginning of a symptom: why no exercise and no question asks for this bug
NO_EXERCISE: dict[str, str] = {
    "no error; long texts count less": "chapter 14 tells it, and asks for pieces of one size",
}


# --- objectives


def traced(notebook: Notebook) -> Iterator[tuple[Cell, str]]:
    """Each objective of a chapter, with the cell that it stands in."""
    for part, cell in notebook.sections():
        if part == "here" and cell.kind == "markdown":
            yield from ((cell, match["text"]) for match in OBJECTIVE.finditer(cell.source))


def questions(notebook: Notebook) -> Iterator[tuple[str, str]]:
    """What a chapter asks beside its exercises: (the number or the cell, the text)."""
    for cell in notebook.cells:
        if cell.kind != "markdown":
            continue
        for match in QUIZ.finditer(cell.source):
            yield f"{notebook.chapter}.{match['number']}", match[0]
        if cell.tagged("section:") == "predict":
            yield cell.id, cell.source
        for match in RECALL.finditer(cell.source):
            yield cell.id, match[0]


def words_asked(notebook: Notebook) -> list[str]:
    """The lines that ask for words, those of the chapter and earlier ones."""
    return [line for cell in notebook.cells for line in WORDS.findall(cell.source)]


def missing(text: str, known: dict[str, set[str]]) -> list[str]:
    """What an objective lacks, as the ends of sentences."""
    if not (trace := TRACE.search(text)):
        return ["has no `<!-- step: … · exercise: … · question: … -->` behind it: write one"]
    return [
        f"leads to {kind} {name}, which does not exist: name one"
        for kind, names in known.items()
        for name in trace[kind].split()
        if name not in names
    ]


def objectives(root: Path) -> list[str]:
    """Every objective of every chapter has a step, an exercise and a question."""
    books, complaints, known_exercises = notebooks(root), [], set(exercises.known_exercises())
    asked = {name for book in books for name, _ in questions(book)}
    for book in books:
        found = list(traced(book))
        if not found:
            complaints.append(f"{book.file}: no objective stands in “You are here”: write some.")
        steps = {cell.id for part, cell in book.sections() if part not in NOT_A_STEP}
        known = {"step": steps, "exercise": known_exercises, "question": asked}
        for cell, text in found:
            words = " ".join(blank(COMMENT, text).split())
            complaints += [f"{cell.where}: {words!r} {what}." for what in missing(text, known)]
    return complaints


# --- concepts and terms


def asking(notebook: Notebook) -> str:
    """All that a chapter asks: questions, words, tasks of exercises and their stubs."""
    texts = [text for _, text in questions(notebook)] + words_asked(notebook)
    for place, cell in enumerate(notebook.cells):
        if cell.tagged("exercise:"):
            texts += [notebook.cells[place - 1].source, cell.source]
    return blank(COMMENT, "\n\n".join(texts))


def chapters_asking(root: Path, terms: list[Term]) -> dict[Term, list[str]]:
    """For each term the chapters that ask for it."""
    texts = {notebook.chapter: asking(notebook) for notebook in notebooks(root)}
    finders = {term: pattern([term]) for term in terms}  # a word may ask for two terms
    return {
        term: [chapter for chapter, text in texts.items() if finder.search(text)]
        for term, finder in finders.items()
    }


def asked_for(root: Path) -> list[Term]:
    """The concepts, and the terms of the glossary with all the words that ask for them."""
    chapters = {notebook.chapter for notebook in notebooks(root)}
    terms = [term for term in read(root)[0] if term.chapter in chapters]
    concepts = [Term(name, "", words) for name, words in CONCEPTS.items()]
    return concepts + [
        Term(term.name, term.chapter, term.forms + ASKED_AS.get(term.name, ())) for term in terms
    ]


def asked_twice(root: Path) -> list[str]:
    """Every concept and every word of the glossary is asked in two chapters or has a reason."""
    complaints = []
    for term, chapters in chapters_asking(root, asked_for(root)).items():
        kind = "book/glossary.md" if term.chapter else "traceability.CONCEPTS"
        if len(chapters) < 2 and term.name not in NOT_ASKED:
            where = f"in chapter {chapters[0]} alone" if chapters else "nowhere"
            complaints.append(f"{kind}: {term.name!r} is asked {where}: ask it once more.")
        elif len(chapters) >= 2 and term.name in NOT_ASKED:
            complaints.append(f"traceability.NOT_ASKED: {term.name!r} is asked: take it out.")
    names = {term.name for term in asked_for(root)}
    for table, listed in (("NOT_ASKED", NOT_ASKED), ("ASKED_AS", ASKED_AS)):
        unknown = listed.keys() - names
        complaints += [f"traceability.{table}: no term is {name!r}." for name in sorted(unknown)]
    return complaints


# --- bugs that people really made


def bug_rows(root: Path) -> Iterator[list[str]]:
    """The rows of the tables in book/bugs.md: symptom, cause, invariant, place."""
    path = root / "book" / "bugs.md"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        if line.startswith("| ") and not line.startswith("| what you see"):
            yield [cell.strip() for cell in line.strip("| ").split(" | ")]


def bug_complaints(row: list[str], asked: set[str]) -> Iterator[str]:
    """What an entry lacks, as the ends of sentences."""
    if len(row) != 4 or not all(row):
        yield "has not four cells that say something: symptom, cause, invariant, place"
        return
    symptom, cause, _, place = row
    if not SYMPTOM.search(symptom):
        yield "gives no measured symptom: a number, “an error” or “no error”"
    if not THREAD.search(cause):
        yield "links to no thread on GitHub"
    found = re.findall(r"(?:Exercise (\d+)\.|chapter (\d+), question )(\d+)", place)
    named = [f"{(task or quiz).zfill(2)}.{number}" for task, quiz, number in found]
    if not named and not any(symptom.startswith(start) for start in NO_EXERCISE):
        yield "names no exercise and no question that asks for it"
    yield from (f"names {name}, which nobody asks" for name in named if name not in asked)


def bugs_are_whole(root: Path) -> list[str]:
    """Every entry of book/bugs.md has a measured symptom, a thread, an invariant, an exercise."""
    books = notebooks(root)
    asked = {name for book in books for name, _ in questions(book)} | {*exercises.known_exercises()}
    rows = list(bug_rows(root))
    complaints = [
        f"book/bugs.md: {row[0]!r} {what}." for row in rows for what in bug_complaints(row, asked)
    ]
    for start in NO_EXERCISE:
        if not any(row[0].startswith(start) for row in rows):
            complaints.append(f"traceability.NO_EXERCISE: no bug begins {start!r}: take it out.")
    return complaints
