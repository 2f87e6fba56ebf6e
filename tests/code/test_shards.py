"""shards: every token once, in the same order for any ranks."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_tutorial.shard_format import ShardError
from gpt2_tutorial.shards import ShardLoader, TokenRing, epoch_order
from small_shards import (
    counting,
    hasty,  # noqa: F401  a fixture of all tests here
)


def spec_batches(tokens, B, T, rank, world_size, seed, rounds):
    """The batches of one rank, with loops."""
    sequences = len(tokens) // T
    for k in range(rounds):
        x, y = [], []
        for row in range(B):
            number = k * B * world_size + rank * B + row
            epoch = number // sequences
            order = np.random.RandomState([seed, epoch]).permutation(sequences)
            start = (epoch * sequences + order[number % sequences]) * T
            x.append([tokens[(start + t) % len(tokens)] for t in range(T)])
            y.append([tokens[(start + t + 1) % len(tokens)] for t in range(T)])
        yield x, y


@settings(max_examples=60)
@given(st.data())
def test_batches_are_those_of_a_plain_loop(tmp_path_factory, data):
    size = data.draw(st.integers(2, 60), "tokens")
    folder = counting(tmp_path_factory.mktemp("s"), size, data.draw(st.integers(1, 20), "shard"))
    T = data.draw(st.integers(1, size), "T")
    world_size = data.draw(st.integers(1, min(4, size // T)), "world_size")
    B = data.draw(st.integers(1, size // T // world_size), "B")
    seed = data.draw(st.integers(0, 2**32 - 1), "seed")
    for rank in range(world_size):
        loader = ShardLoader(folder, "train", B, T, rank, world_size, seed)
        for x, y in spec_batches(list(range(size)), B, T, rank, world_size, seed, rounds=5):
            batch = loader.next_batch()
            assert [part.tolist() for part in batch] == [x, y]
            assert {(part.dtype, part.is_contiguous()) for part in batch} == {(torch.int64, True)}


@pytest.mark.parametrize("size", [512, 513, 519, 520, 1031])
@pytest.mark.parametrize("T", [8, 1])
def test_in_an_epoch_no_token_is_a_target_twice_and_over_epochs_none_is_left_out(tmp_path, size, T):
    loader = ShardLoader(counting(tmp_path, size, 100), "train", B=1, T=T, seed=3)
    assert loader.sequences == size // T
    total = Counter()
    for epoch in range(1, 4):
        targets = Counter(
            i for _ in range(loader.sequences) for i in loader.next_batch()[1].flatten().tolist()
        )
        assert set(targets.values()) == {1}
        assert size - len(targets) == size % T  # fewer than T, and the next epoch begins there
        total += targets
        times = [total[i] for i in range(size)]
        assert sum(times) == epoch * (size - size % T) and max(times) - min(times) <= 1


@settings(max_examples=10)
@given(st.integers(0, 3), st.integers(64, 300), st.sampled_from([1, 3, 4]))
def test_any_number_of_ranks_reads_the_same_sequences_in_the_same_step(
    tmp_path_factory, seed, size, T
):
    folder, steps, batch = counting(tmp_path_factory.mktemp("s"), size, 50), 12, 16
    seen = {}
    for world_size, B in [(1, 16), (1, 4), (2, 8), (2, 2), (4, 4), (8, 2), (8, 1), (16, 1)]:
        loaders = [
            ShardLoader(folder, "train", B, T, rank, world_size, seed) for rank in range(world_size)
        ]
        accumulation = batch // (B * world_size)
        seen[world_size, B] = [
            sorted(
                tuple(row)
                for _ in range(accumulation)
                for loader in loaders
                for row in loader.next_batch()[0].tolist()
            )
            for _ in range(steps)
        ]
    assert all(each == seen[1, 16] for each in seen.values())


def test_the_order_is_mixed_and_another_seed_or_epoch_has_another():
    orders = [epoch_order(500, seed, epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(map(tuple, orders))) == 4
    for order in orders:
        assert sorted(order) == list(range(500))
        assert abs(np.corrcoef(order, range(500))[0, 1]) < 0.2


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 200), st.integers(0, 60))
def test_the_ring_is_all_shards_round_and_round(sizes, start, size):
    ids = iter(range(100))
    ring = TokenRing([np.array([next(ids) for _ in range(n)], dtype="<u2") for n in sizes])
    assert ring.size == sum(sizes)
    assert ring.read(start, size).tolist() == [i % sum(sizes) for i in range(start, start + size)]


@settings(max_examples=30)
@given(st.data())
def test_a_loader_goes_on_to_the_bit_with_any_number_of_ranks(tmp_path_factory, data):
    folder = counting(tmp_path_factory.mktemp("s"), data.draw(st.integers(48, 90)), 20)
    worlds = data.draw(st.lists(st.sampled_from([1, 2, 4, 8]), min_size=2, max_size=5), "worlds")
    one = ShardLoader(folder, "train", 8, 3, seed=1)
    state = one.state_dict()
    for world_size in worlds:
        loaders = [
            ShardLoader(
                folder, "train", 8 // world_size, 3, rank, world_size, 1, prefetch=rank == 0
            )
            for rank in range(world_size)
        ]
        for loader in loaders:
            loader.next_batch()  # an old position that must be forgotten
            loader.load_state_dict(json.loads(json.dumps(state)))
        for _ in range(data.draw(st.integers(0, 4), "steps")):
            expected = one.next_batch()
            parts = [loader.next_batch() for loader in loaders]
            for mine, theirs in zip(expected, zip(*parts, strict=True), strict=True):
                assert torch.equal(mine, torch.cat(theirs))
        assert len({json.dumps(loader.state_dict()) for loader in loaders}) == 1
        state = loaders[-1].state_dict()
        assert state == one.state_dict()


@settings(max_examples=20)
@given(st.integers(1, 4), st.lists(st.booleans(), max_size=12))
def test_reading_ahead_changes_nothing(tmp_path_factory, B, choices):
    folder = counting(tmp_path_factory.mktemp("s"), 40, 15)
    plain = ShardLoader(folder, "train", B, 4)
    ahead = ShardLoader(folder, "train", B, 4, prefetch=True)
    start = plain.state_dict()
    for restart in choices:
        if restart:
            plain.load_state_dict(start)
            ahead.load_state_dict(start)
        for mine, theirs in zip(plain.next_batch(), ahead.next_batch(), strict=True):
            assert torch.equal(mine, theirs)
        assert plain.state_dict() == ahead.state_dict()


def test_a_batch_belongs_to_the_caller(tmp_path):
    loader = ShardLoader(counting(tmp_path, 40), "train", 2, 4)
    state = loader.state_dict()
    x, y = loader.next_batch()
    y += 1
    x.zero_()
    loader.load_state_dict(state)
    assert torch.equal(loader.next_batch()[1] + 1, y)


def test_a_state_of_another_loader_is_refused(tmp_path):
    loader = ShardLoader(counting(tmp_path / "a", 90), "train", 2, 4)
    state = loader.state_dict()
    for change in ({"seed": 1}, {"T": 8}, {"data": "00"}):
        (name,) = change
        with pytest.raises(ValueError, match=f"no state of this loader: {name} is"):
            loader.load_state_dict(state | change)
    with pytest.raises(ValueError, match="position is None there and 0 here"):
        loader.load_state_dict({k: v for k, v in state.items() if k != "position"})
    other = ShardLoader(counting(tmp_path / "b", 91), "train", 2, 4)
    with pytest.raises(ValueError, match="data is"):
        other.load_state_dict(state)


@pytest.mark.parametrize(
    ("B", "T", "rank", "world_size", "seed"),
    [(0, 4, 0, 1, 0), (1, 0, 0, 1, 0), (1, 4, 1, 1, 0), (1, 4, -1, 2, 0), (1, 4, 0, 0, 0),
     (1, 4, 0, 1, -1), (1, 4, 0, 1, 2**32)],
)  # fmt: skip
def test_sizes_that_make_no_sense_are_named(tmp_path, B, T, rank, world_size, seed):
    folder = counting(tmp_path, 40)
    with pytest.raises(ValueError, match=f"not B = {B}, T = {T}, rank {rank} of {world_size}"):
        ShardLoader(folder, "train", B, T, rank, world_size, seed)


def test_more_ranks_than_sequences_are_refused(tmp_path):
    folder = counting(tmp_path, 39)
    assert ShardLoader(folder, "train", 1, 13, 2, 3).next_batch()[0].shape == (1, 13)
    sentence = r"the 39 tokens of train in .* are 3 sequences of 13, and 4 are wanted at once"
    ways = r"a T \(--block-size\) of at most 9, or a world_size of at most 3, or more text"
    with pytest.raises(ShardError, match=rf"{sentence}.*: take {ways}"):
        ShardLoader(folder, "train", 1, 13, 2, 4)
    with pytest.raises(ShardError, match="are 0 sequences of 40"):
        ShardLoader(folder, "train", 1, 40)


def test_a_split_without_documents_and_one_that_does_not_exist_are_named(tmp_path):
    folder = counting(tmp_path, 39)
    with pytest.raises(ShardError, match="holds no val tokens"):
        ShardLoader(folder, "val", 1, 4)
    with pytest.raises(ValueError, match="split must be train or val, not 'test'"):
        ShardLoader(folder, "test", 1, 4)
