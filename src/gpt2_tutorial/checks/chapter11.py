"""The exercises of chapter 11: counting, a wider table, places, three maps, first losses."""

import random

import torch
import torch.nn as nn

from gpt2_tutorial.checks.engine import exercise


@exercise("11.1", subgoal="count")
class CountACousin:
    stub = "answer = None  # for example 62_219_904"
    solution = 81_912_576
    solution_text = "answer = 81_912_576"
    mutants = {
        "half": (
            62_219_904,
            "You halved the whole model. The tables and the last norm stay as they are; only the "
            "blocks are half as many.",
        ),
        "untied": (
            120_509_952,
            "You counted the table of tokens twice. The head is the same table, tied.",
        ),
        "no places": (81_126_144, "You left out wpe, the table of places: 1,024 rows of 768."),
        "no last norm": (
            81_911_040,
            "Almost: ln_f is missing, a gain and a shift of 768 numbers each.",
        ),
        "blocks alone": (
            42_527_232,
            "Those are the six blocks. Add the two tables and the last norm.",
        ),
        "no tables but one": (
            81_124_608,
            "The table of tokens and the blocks are there. Add the places and the last norm.",
        ),
        "large maps alone": (
            81_852_672,
            "You counted 12C² for a block. Biases, gains and shifts are another 13C.",
        ),
        "all twelve": (124_439_808, "That is GPT-2 with its twelve blocks. Here there are six."),
    }


def make_room(old, rows):
    V, C = old.shape
    table = nn.Embedding(rows, C)
    head = nn.Linear(C, rows, bias=False)
    with torch.no_grad():
        table.weight.zero_()
        table.weight[:V] = old
    head.weight = table.weight
    return table, head


def make_room_by_loops(old, rows):
    V, C = old.shape
    numbers = [[0.0] * C for _ in range(rows)]
    for v in range(V):
        for c in range(C):
            numbers[v][c] = old[v, c].item()
    shared = nn.Parameter(torch.tensor(numbers))
    table, head = nn.Embedding(rows, C), nn.Linear(C, rows, bias=False)
    table.weight = head.weight = shared
    return table, head


def tables_to_widen(rng: random.Random):
    """The numbers of a table, and how many rows the new one shall have."""
    for i in range(22):
        V, C = rng.randint(2, 5), rng.randint(2, 4)
        dice = torch.Generator().manual_seed(rng.randrange(2**31))
        yield torch.randn(V, C, generator=dice), V + rng.randint(0 if i > 2 else 1, 3)


def what_was_made(make, old, rows):
    """What matters of two modules: their shapes, their numbers, and whether they share them."""
    table, head = make(old, rows)
    entrance, way_out = table.weight, head.weight
    return {
        "head goes from and to": (head.in_features, head.out_features),
        "bias of the head": getattr(head, "bias", None) is not None,
        "rows of the table": tuple(entrance.shape),
        "rows of the head": tuple(way_out.shape),
        "table": entrance.detach().clone(),
        "head": way_out.detach().clone(),
        "one parameter": way_out is entrance,
        "learns": isinstance(entrance, nn.Parameter) and entrance.requires_grad,
    }


def widened(order="old first", fill=0.0, keep=True, tie="share"):
    """A wider table and head with one thing wrong."""

    def make_room(old, rows):
        V, C = old.shape
        kept = old if keep else torch.full((V, C), 0.02)
        new = torch.full((rows - V, C), fill)
        numbers = torch.cat([kept, new] if order == "old first" else [new, kept])
        table, head = nn.Embedding(rows, C), nn.Linear(C, rows, bias=False)
        table.weight = nn.Parameter(numbers.clone())
        if tie == "share":
            head.weight = table.weight
        elif tie == "copy":
            head.weight = nn.Parameter(numbers.clone())
        elif tie == "old":
            head = nn.Linear(C, V, bias=False)
            head.weight = nn.Parameter(old.clone())
        return table, head

    return make_room


def one_row_repeated(old, rows):
    table, head = make_room(old, rows)
    with torch.no_grad():
        table.weight[len(old) :] = old[-1]
    return table, head


def tied_too_early(old, rows):
    V, C = old.shape
    table, head = nn.Embedding(rows, C), nn.Linear(C, rows, bias=False)
    head.weight = table.weight
    numbers = torch.zeros(rows, C)
    numbers[:V] = old
    table.weight = nn.Parameter(numbers)  # another one, which the head does not know
    return table, head


def new_rows_left_random(old, rows):
    V, C = old.shape
    table, head = nn.Embedding(rows, C), nn.Linear(C, rows, bias=False)
    with torch.no_grad():
        table.weight[:V] = old
    head.weight = table.weight
    return table, head


def tied_the_wrong_way(old, rows):
    V, C = old.shape
    table, head = nn.Embedding(rows, C), nn.Linear(C, rows, bias=False)
    with torch.no_grad():
        table.weight.zero_()
        table.weight[:V] = old
    table.weight = head.weight
    return table, head


def head_with_bias(old, rows):
    table, head = make_room(old, rows)
    head.bias = nn.Parameter(torch.zeros(rows))
    return table, head


def head_backwards(old, rows):
    table, _ = make_room(old, rows)
    head = nn.Linear(rows, old.shape[1], bias=False)
    head.weight = table.weight
    return table, head


@exercise("11.2", subgoal="assemble")
class MakeRoom:
    stub = (
        "def make_room(old, rows):\n"
        "    # old (V, C), rows ≥ V → nn.Embedding and nn.Linear with `rows` rows, tied\n"
        "    ..."
    )
    solution = make_room
    spec = make_room_by_loops
    inputs = tables_to_widen
    observe = what_was_made
    mutants = {
        "copied": (
            widened(tie="copy"),
            "The numbers are right, and they are two copies: after one step of the optimizer they "
            "differ. Let the head's weight be the table's own parameter.",
        ),
        "old head": (
            widened(tie="old"),
            "Your head has its old rows: it cannot bet on the new tokens. It needs as many rows "
            "as the table.",
        ),
        "head of its own": (
            widened(tie="none"),
            "The table is right. Your head has the numbers nn.Linear drew for it: tie it.",
        ),
        "tied too early": (
            tied_too_early,
            "You tied the head to a table that you replaced afterwards. Tie last.",
        ),
        "new rows first": (
            widened(order="new first"),
            "The new rows stand before the old ones, so every old id points at another token. "
            "Put them at the end.",
        ),
        "old rows lost": (
            widened(keep=False),
            "The old tokens have lost their rows. Copy the V old rows first.",
        ),
        "new rows 1": (
            widened(fill=1.0),
            "The new rows are 1, so a new token gets a bet from the start. Let them be 0.",
        ),
        "last row repeated": (
            one_row_repeated,
            "The new rows repeat the last token. Let them be 0.",
        ),
        "new rows random": (
            new_rows_left_random,
            "The new rows have the numbers that nn.Embedding drew. Set the whole table to 0 "
            "before you copy the old rows.",
        ),
        "tied the wrong way": (
            tied_the_wrong_way,
            "Both parts have the numbers that nn.Linear drew, and the old rows are lost. Tie the "
            "other way round: head.weight = table.weight.",
        ),
        "bias": (
            head_with_bias,
            "Your head has a bias, and GPT-2's has none: nn.Linear(C, rows, bias=False).",
        ),
        "backwards": (
            head_backwards,
            "Your head says that it goes from `rows` numbers to C. It goes from C numbers to "
            "`rows` bets: nn.Linear(C, rows, bias=False).",
        ),
    }
    hints = {"copied": 1, "tied too early": 1, "tied the wrong way": 1}


def places_of(real):
    return (real.cumsum(1) - 1).clamp(min=0)


def places_by_loops(real):
    found = []
    for row in real.tolist():
        places, seen = [], 0
        for is_real in row:
            places.append(seen if is_real else 0)
            seen += is_real
        found.append(places)
    return torch.tensor(found)


def padded_prompts(rng: random.Random):
    """Which places of a batch hold real tokens: padding on the left, one row at least with some."""
    yield torch.tensor([[False, False, True, True], [True, True, True, True]])
    for _ in range(22):
        B, T = rng.randint(2, 4), rng.randint(3, 6)
        lengths = [rng.randint(1, T - 2), T - 1, *(rng.randint(1, T) for _ in range(B - 2))]
        yield torch.tensor([[t >= T - n for t in range(T)] for n in lengths])


class NotWhole(TypeError):
    """Places that no table can be indexed with."""


def usable_places(make, real):
    """The places, if nn.Embedding would take them."""
    places = make(real)
    if isinstance(places, torch.Tensor) and places.is_floating_point():
        raise NotWhole(f"places of {places.dtype}")
    return places


@exercise("11.3", subgoal="assemble")
class PlacesOf:
    stub = (
        "def places_of(real):\n"
        "    # real (B, T): True for a token, False for padding on its left → places (B, T)\n"
        "    ..."
    )
    solution = places_of
    spec = places_by_loops
    inputs = padded_prompts
    observe = usable_places
    mutants = {
        "columns": (
            lambda real: torch.arange(real.shape[1]).expand(real.shape).clone(),
            "You numbered the columns. A short prompt then begins at place 2 or 3, as if "
            "something stood before it: count real tokens only.",
        ),
        "from one": (
            lambda real: real.cumsum(1),
            "You begin at 1. The first token of a prompt has place 0: count those before it.",
        ),
        "below zero": (
            lambda real: real.cumsum(1) - 1,
            "Padding has place −1, and a table indexed with −1 gives its last row. Make it 0.",
        ),
        "down the batch": (
            lambda real: (real.cumsum(0) - 1).clamp(min=0),
            "You counted down the batch, from prompt to prompt. Count along each row, axis 1.",
        ),
        "from the right": (
            lambda real: real.flip(1).cumsum(1).flip(1) - 1,
            "You counted from the right. The last token then has place 0, and it should have the "
            "highest.",
        ),
        "columns, padding 0": (
            lambda real: torch.arange(real.shape[1]) * real,
            "Padding has place 0, as it should. Your tokens keep the number of their column; "
            "subtract how much padding stands before them.",
        ),
        "padding at one": (
            lambda real: (real.cumsum(1) - 1).masked_fill(~real, 1),
            "The tokens are right. Padding has place 1, as transformers does it; here it is 0.",
        ),
        "floats": (
            lambda real: places_of(real.float()),
            "Your places are floats, and nn.Embedding takes whole numbers only: leave `real` as "
            "it is, or end in .long().",
        ),
    }


def three_maps(weight, bias):
    weights, biases = weight.chunk(3, 1), bias.chunk(3)
    return [(part.T, shift) for part, shift in zip(weights, biases, strict=True)]


def three_maps_by_loops(weight, bias):
    C = weight.shape[0]
    found = []
    for which in range(3):
        part, shift = torch.empty(C, C), torch.empty(C)
        for out in range(C):
            shift[out] = bias[which * C + out]
            for i in range(C):
                part[out, i] = weight[i, which * C + out]
        found.append((part, shift))
    return found


def stored_maps(rng: random.Random):
    """The weight (C, 3C) and the bias (3C,) of a c_attn, as OpenAI stores them."""
    for i in range(22):
        C = 3 if i < 2 else rng.choice([2, 3, 4, 6])
        dice = torch.Generator().manual_seed(rng.randrange(2**31))
        yield torch.randn(C, 3 * C, generator=dice), torch.randn(3 * C, generator=dice)


def pairs(weights, biases):
    return list(zip(weights, biases, strict=True))


@exercise("11.4", subgoal="load")
class ThreeMaps:
    stub = (
        "def three_maps(weight, bias):\n"
        "    # (C, 3C) and (3C,) → [(weight (C, C), bias (C,)) for q, for k, for v]\n"
        "    ..."
    )
    solution = three_maps
    spec = three_maps_by_loops
    inputs = stored_maps
    mutants = {
        "not turned": (
            lambda weight, bias: pairs(weight.chunk(3, 1), bias.chunk(3)),
            "The parts are right and lie on their side. They are square, so no shape tells you: "
            "turn each of them.",
        ),
        "reshaped": (
            lambda weight, bias: pairs(
                weight.reshape(3 * weight.shape[0], -1).chunk(3, 0), bias.chunk(3)
            ),
            "You reshaped (C, 3C) to (3C, C). That keeps the order of the numbers and cuts them "
            "elsewhere; .T turns.",
        ),
        "v first": (
            lambda weight, bias: three_maps(weight, bias)[::-1],
            "The first part is the values'. The order is queries, keys, values.",
        ),
        "k first": (
            lambda weight, bias: [three_maps(weight, bias)[i] for i in (1, 0, 2)],
            "Queries and keys have changed places. Queries come first.",
        ),
        "every third": (
            lambda weight, bias: [(weight[:, i::3].T, bias[i::3]) for i in range(3)],
            "You took every third column. The columns of the queries stand together, the first "
            "C of them; then come the keys'.",
        ),
        "every third, not turned": (
            lambda weight, bias: [(weight[:, i::3], bias[i::3]) for i in range(3)],
            "You took every third column and did not turn the parts. Cut the columns into three "
            "blocks of C, then turn each.",
        ),
        "wrong biases": (
            lambda weight, bias: pairs([w for w, _ in three_maps(weight, bias)], [bias[::3]] * 3),
            "The weights are right. Cut the bias as well: its first C numbers are the queries'.",
        ),
        "first bias thrice": (
            lambda weight, bias: pairs(
                [w for w, _ in three_maps(weight, bias)], [bias[: weight.shape[0]]] * 3
            ),
            "The weights are right, and all three have the queries' bias. Keys and values have "
            "their own.",
        ),
    }
    hints = {"not turned": 1, "reshaped": 2}


@exercise("11.5", subgoal="begin")
class FirstLosses:
    stub = "answer = None  # for A, B, C, D, such as [11, 11, 117, 740]"
    solution = [11, 740, 117, 11]
    mutants = {
        "A exact": (
            [10.98, 740, 117, 11],
            "10.98 is right, and more exact than asked. Write whole numbers: 11 for this one.",
        ),
        "A and D exact": (
            [10.98, 740, 117, 10.98],
            "All four are right, and two more exact than asked. Write 11 instead of 10.98.",
        ),
        "B and C": (
            [11, 117, 740, 11],
            "B and C are the other way round. Who holds a token against the row that it was made "
            "of?",
        ),
        "D is found out": (
            [11, 740, 11, 117],
            "D's logits are no larger than A's, for 1/√2304 is about 0.02. C's spread is 28.",
        ),
        "D like C": (
            [11, 740, 117, 117],
            "D is the trap. How large are the numbers that nn.Linear draws, 1/√(3 · 768)?",
        ),
        "D like B": (
            [11, 740, 117, 740],
            "D ties as B does, but to the head's numbers. How large are those?",
        ),
        "C like A": (
            [11, 740, 11, 11],
            "C's head has spread 1, so its logits have √768. That is no longer nearly uniform.",
        ),
        "B like C": (
            [11, 117, 117, 11],
            "B's logits are as large as C's, and one of them stands out: that of the token which "
            "x is made of.",
        ),
    }
