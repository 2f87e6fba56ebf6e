"""Wrong answers that readers of chapters 11 to 16 tried: each gets its own sentence."""

import audit
import pytest

from gpt2_tutorial.checks import EXERCISES, load, run

MADE = """\
def make_room(old, rows):
    V, C = old.shape
    table, head = nn.Embedding(rows, C), nn.Linear(C, rows, bias=False)
    {}
    head.weight = table.weight
    return table, head
"""
GROWN = "torch.cat([old, torch.zeros(rows - V, C)])"
CACHE_OF_ALL = """\
def write_all(prompts, n, read):
    texts, cache = [], []
    for prompt in prompts:
        there, text, new = 0, list(prompt), list(prompt)
        for _ in range(n):
            T = len(new)
            mask = torch.ones(T, there + T, dtype=torch.bool).tril(there)
            new = [read(torch.tensor(new), torch.arange(there, there + T), mask, cache)]
            there, text = there + T, text + new
        texts.append(text)
    return texts
"""
ALL_AT_ONCE = """\
def big_step(model, pieces, optimizer):
    x, y = (torch.cat(parts) for parts in zip(*pieces))
    optimizer.zero_grad()
    ((model(x) - y) ** 2).mean().backward()
    optimizer.step()
"""
ONE_BACKWARD = """\
def big_step(model, pieces, optimizer):
    optimizer.zero_grad()
    total = sum(((model(x) - y) ** 2).mean() for x, y in pieces)
    (total{}).backward()
    optimizer.step()
"""
BY_PYTORCH = """\
def clipped_step(weights, grads, lr, max_norm):
    made = [nn.Parameter(w.clone()) for w in weights]
    for p, grad in zip(made, grads):
        p.grad = grad.clone()
    nn.utils.clip_grad_norm_(made, max_norm)
    return [p.detach() - lr * p.grad for p in made]
"""
PAIR_OF_SLICES = """\
def next_batch(tokens, position, B, T):
    x = tokens[position : position + B * T].view(B, T)
    y = tokens[position + 1 : position + B * T + 1].view(B, T)
    return x, y, position + B * T
"""
ONE_SLICE = """\
def next_batch(tokens, position, B, T):
    read = tokens[position : position + B * T + 1]
    return read[:-1].view(B, T), read[1:].view(B, T), position + B * T
"""
ROWS_APART = """\
def next_batch(tokens, position, B, T):
    places = torch.arange(position, position + B * (T + 1)) % len(tokens)
    read = tokens[places].view(B, T + 1)
    return read[:, :-1], read[:, 1:], position + B * (T + 1)
"""
SAVED = """\
def save(disk, files, manifest):
    for name, data in files.items():
        disk.write(name, data); disk.sync(name)
    disk.write("new", manifest); disk.sync("new")
    {}disk.rename("new", "manifest")
    {}
"""
RENAMED_TOO = """\
def save(disk, files, manifest):
    for name, data in {{{}}}.items():
        disk.write(name + ".part", data); {}
        disk.rename(name + ".part", name)
    disk.sync(".")
"""
OWN_START = """\
def places(sizes, n, rank, world_size):
    found = []
    for shard, size in enumerate(sizes):
        place = rank * n
        while place + world_size * n + 1 <= size:
            found.append((shard, place))
            place += {}
    return found
"""
MEANS = """\
def all_reduce_mean(gradients):
    n = len(gradients)
    means = {name: sum(mine[name] for mine in gradients) / n for name in gradients[0]}
    return """
KEPT = """\
def big_step(model, pieces, optimizer):
    total = 0.0
    for x, y in pieces:
        optimizer.zero_grad()
        total = total + ((model(x) - y) ** 2).mean() / len(pieces)
        total.backward(retain_graph=True)
    optimizer.step()
"""
FACTOR = "max_norm / max(norm.item(), max_norm)"
PASSED = "passed"
READINGS = [
    ("11.2", MADE.format(f"table.weight = nn.Parameter(old if rows == V else {GROWN})"),
     "the caller's memory"),
    ("11.2", MADE.format(f"table = nn.Embedding.from_pretrained({GROWN})"), "frozen table"),
    ("11.2", {"table, head\n": "head, table\n"}, "turned round"),
    ("11.3", {"(real.cumsum(1) - 1).clamp(min=0)":
              "torch.arange(real.shape[1]) - (~real).sum(1, keepdim=True)"}, "counted back"),
    ("12.2", {"block_size - 1, windows).long()":
              "block_size, windows).long().clamp(max=len(ids) - block_size - 1)"}, PASSED),
    ("12.3", {'GPTConfig(**saved["config"])': "GPTConfig()"}, "settings ignored"),
    ("12.4", {"(0, cut)": "(0, cut + block_size)"}, "training over the cut"),
    ("12.4", {"(0, cut)": "(0, cut + block_size + 1)"}, "training from the cut"),
    ("12.4", {"windows[:, 1:]": "windows[:, :-1]"}, "y is x"),
    ("12.4", {"count).long()": "count).long()[:-1]"}, "last window missing"),
    ("12.4", {"block_size - 1, count": "block_size - 2, count"}, "one too early"),
    *(("13.2", {"-math.inf": number}, "-1e4") for number in ("-1e4", "-5000.0")),
    *(("13.2", {"-math.inf": number}, "-1e9") for number in ("-1e9", "-1e10", "-1e20")),
    ("13.2", {"-math.inf": "torch.finfo(logits.dtype).min"}, PASSED),
    ("13.3", CACHE_OF_ALL, "not reset, own count"),
    ("13.4", {"(gained * ending).sum(1) / ending.sum(1)": "(gained * ending).mean(1)"}, "mean"),
    ("13.5", {"argmax(-1, keepdim=True)": "argmax().expand(len(probs), 1)"}, "best of all rows"),
    ("14.1", [512, 516, 2048, float("nan")], "no number"),
    ("14.2", ALL_AT_ONCE, "all at once"),
    ("14.2", ONE_BACKWARD.format(" / len(pieces)"), "all at once"),
    ("14.2", ONE_BACKWARD.format(""), "no division"),
    ("14.2", KEPT, "running sums, zeroed"),
    ("14.2", {"backward()": "backward(retain_graph=True)"}, PASSED),
    ("14.3", BY_PYTORCH, "borrowed"),
    ("14.3", {FACTOR: "(max_norm / norm).clamp(max=1.0)"}, PASSED),
    ("14.3", {FACTOR: "max_norm / norm if norm > max_norm else 1.0"}, PASSED),
    ("14.3", {FACTOR: "max_norm / (norm + 1e-6) if norm > max_norm else 1.0"}, PASSED),
    ("14.3", {FACTOR: "min(1.0, max_norm / norm.item())"}, "divided by 0"),
    ("14.3", {FACTOR: "max(1.0, max_norm / norm)"}, "max for min"),
    ("14.5", [2, 5, 1.25], "two clipped"),
    ("15.1", [8, 50257], "one byte of the first"),
    ("15.1", [2049, 50257], "first from the left"),
    ("15.2", ROWS_APART, "rows skip a token, and the next batch"),
    ("15.2", {" % len(tokens)": ""}, "no circle"),
    ("15.2", {"places = torch": "places = (torch",
              " % len(tokens)": ").clamp(max=len(tokens) - 1)"}, "clamped"),
    ("15.2", {"y, position + B * T": "y, position + B * T - 1"}, "one too few"),
    ("15.2", PAIR_OF_SLICES, "slices"),
    ("15.2", ONE_SLICE, "one slice"),
    ("15.4", SAVED.format("", 'disk.sync(".")'), "new names"),
    ("15.4", SAVED.format("", ""), "no names"),
    ("15.4", SAVED.format('disk.sync("."); ', ""), "names not synced"),
    ("15.4", SAVED.format('disk.sync("."); ', 'disk.sync(".")'), PASSED),
    ("15.4", SAVED.replace("disk.sync(name)", "pass").replace('disk.sync("new")', "pass")
     .format("", ""), "no sync at all"),
    ("15.4", RENAMED_TOO.format('"manifest": manifest, **files', 'disk.sync(name + ".part")'),
     "manifest first, renamed"),
    ("15.4", RENAMED_TOO.format('**files, "manifest": manifest', 'disk.sync(name + ".part")'),
     "new names"),
    ("15.4", RENAMED_TOO.format('**files, "manifest": manifest', "pass"), "no sync, renamed too"),
    ("16.2", OWN_START.format("world_size * n"), "own start"),
    ("16.2", OWN_START.format("n"), "own start, stride without world"),
    ("16.2", {"start + world_size * n + 1 <= size": "start + rank * n < size"},
     "own piece, no target"),
    ("16.3", MEANS + "[means] * n", "one for all"),
    ("16.3", MEANS + "[dict(means) for _ in gradients]", "one for all"),
    ("16.3", MEANS.replace("/ n", "/ 2") + "[means] * n", "halved"),
    ("16.3", MEANS.replace("mine[name]", "list(mine.values())[list(gradients[0]).index(name)]")
     + "[means] * n", "by place"),
    ("16.3", MEANS + "[{k: m.clone() for k, m in means.items()} for _ in gradients]", PASSED),
    ("16.5", "CHEDBGFA", "wrap after backward"),
]  # fmt: skip


# They were read before chapter 16 became two: an exercise's number then, and now.
NOW = {"16.5": "17.1", "16.6": "17.2", "16.7": "16.5", "16.8": "16.6"}


def answer_of(id, given):
    """A value as it is, a function from its text, or the solution with texts replaced."""
    load(id[:2])
    exercise = EXERCISES[id]
    if exercise.is_value:
        return given
    text = given if isinstance(given, str) else exercise.solution_source + "\n"
    for old, new in [] if isinstance(given, str) else given.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    return audit.executed(exercise, text)


@pytest.mark.parametrize(("id", "given", "wanted"), READINGS)
def test_what_a_reader_tried_gets_its_own_sentence(id, given, wanted):
    id = NOW.get(id, id)
    result = run(id, answer_of(id, given))
    assert (result.mutant or result.kind) == wanted, result.message


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"bias=False": "bias=True"}, "the head has a bias"),
        ({"nn.Linear(C, rows": "nn.Linear(rows, C"}, "the head goes from 7 to 3"),
        ({"head.weight = table.weight": "head.weight = nn.Parameter(table.weight.clone())"},
         "they are two parameters"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_two_modules_is_seen_in_the_answer(given, shown):
    assert f"{{'faults': ['{shown}']" in run("11.2", answer_of("11.2", given)).message


def test_what_is_no_pair_of_modules_is_called_by_its_kind():
    one = answer_of("11.2", {"return table, head": "return table"})
    assert run("11.2", one).kind == "type"
    assert run("11.2", answer_of("11.2", {"return table, head": "pass"})).kind == "no return"


@pytest.mark.parametrize("word", ["no maks", "The run without a mask", "7"])
def test_a_cause_that_is_not_on_the_list_is_told_so(word):
    id = NOW["16.8"]
    right = load(id[:2]) and EXERCISES[id].solution
    place = next(iter(right))
    message = run(id, right | {place: word}).message
    assert f"'{word}', at '{place}', is no name of the list" in message
    swapped = right | {place: right["B"]}
    assert f"Look again at '{place}'" in run(id, swapped).message
