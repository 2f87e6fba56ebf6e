"""train: one run, whatever stops it and however many processes share it."""

import json
import os
import random
import shutil
import signal
import time
import warnings
from dataclasses import replace

import pytest
import torch

from gpt2_tutorial import checkpoint, precision, run, state_files, train
from gpt2_tutorial.checkpoint import CheckpointError
from gpt2_tutorial.config import ConfigChanged
from gpt2_tutorial.distributed import ALONE, setup
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.optim import SGD
from gpt2_tutorial.precision import choose_precision
from gpt2_tutorial.run import Run
from gpt2_tutorial.shards import ShardLoader
from gpt2_tutorial.train import fit
from small_run import CONFIG, trained, vector, write_letters
from team import team
from tiers import tiered


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return write_letters(tmp_path_factory.mktemp("shards"))


class Poisoned(ShardLoader):
    """From a certain batch on, hands out what makes the loss no number."""

    model, after = None, 10**9

    def next_batch(self):
        if self.position >= self.after:
            with torch.no_grad():
                self.model.transformer.wte.weight[0] = float("nan")
        return super().next_batch()


def bits(model):
    return vector(model).numpy().tobytes()


# --- one process


@pytest.mark.parametrize("dropout", tiered([0.0, 0.2], [0.2]))
def test_stopped_anywhere_it_goes_on_bit_for_bit(data, tmp_path, dropout):
    config = replace(CONFIG, dropout=dropout)
    whole, outcome, all_rows = trained(data, tmp_path / "whole", config)
    assert outcome.state == "done" and outcome.step == 20
    for stop_at in range(0, 100, 13):
        folder = tmp_path / str(stop_at)
        _, first, before = trained(data, folder, config, stop_at)
        model, second, after = trained(data, folder, config)
        assert first.state == ("stopped" if stop_at < 88 else "done")
        assert bits(model) == bits(whole) and second[:3] == outcome[:3]
        told = [row["loss"] for row in before + after if "loss" in row]
        assert told == [row["loss"] for row in all_rows if "loss" in row]


def test_a_run_that_is_done_stays_as_it_is(data, tmp_path):
    model, *_ = trained(data, tmp_path)
    again, outcome, rows = trained(data, tmp_path)
    assert bits(model) == bits(again) and outcome.state == "done" and rows == []


def test_looking_changes_nothing(data, tmp_path):
    often, *_ = trained(data, tmp_path / "often", replace(CONFIG, eval_every=1, dropout=0.2))
    never, *_ = trained(data, tmp_path / "never", replace(CONFIG, eval_every=10**6, dropout=0.2))
    assert bits(often) == bits(never)


def test_looking_twice_sees_the_same(data, tmp_path):
    config = replace(CONFIG, max_lr=0.0, min_lr=0.0, eval_every=1, max_steps=4)
    _, _, rows = trained(data, tmp_path, config)
    assert len({row["val"] for row in rows if "val" in row}) == 1


def test_pieces_of_any_size_take_the_same_steps(data, tmp_path):
    vectors = []
    for micro_batch in (1, 2, 4, 8):
        config = replace(CONFIG, micro_batch=micro_batch)
        folder = tmp_path / str(micro_batch)
        vectors.append(vector(trained(data, folder, config, dtype=torch.float64)[0]))
    for other in vectors[1:]:
        torch.testing.assert_close(vectors[0], other, atol=1e-10, rtol=0)


def test_the_learning_rate_goes_on_where_it_was(data, tmp_path):
    _, _, before = trained(data, tmp_path, stop_at=40)
    _, _, after = trained(data, tmp_path)
    rates = [row["lr"] for row in before + after if "lr" in row]
    assert rates == [CONFIG.lr(step) for step in range(20)]


def test_the_best_weights_are_kept_beside_the_newest(data, tmp_path):
    config = replace(CONFIG, eval_every=1, save_every=1, max_lr=1.0, min_lr=1.0, warmup_steps=0)
    _, _, rows = trained(data, tmp_path, config)
    losses = [row["val"] for row in rows if "val" in row]
    best = losses.index(min(losses))
    kept = sorted(int(path.name.removeprefix("step_")) for path in tmp_path.iterdir())
    assert kept == sorted({best, 19, 20})


@pytest.mark.parametrize("name", ["max_lr", "batch_tokens", "n_layer", "seed", "max_steps"])
def test_other_settings_in_the_same_folder_are_refused_by_name(data, tmp_path, name):
    trained(data, tmp_path, stop_at=10)
    changed = replace(CONFIG, **{name: getattr(CONFIG, name) * 2})
    with pytest.raises((ConfigChanged, ValueError), match=f"{name} was .* and is|another seed"):
        trained(data, tmp_path, changed)


def test_what_changes_rounding_only_may_change(data, tmp_path):
    trained(data, tmp_path, stop_at=30)
    config = replace(CONFIG, micro_batch=4, eval_every=3, keep=1)
    assert trained(data, tmp_path, config)[1].state == "done"


RACED = replace(CONFIG, precision="auto")


@pytest.fixture
def race(monkeypatch):
    """Let bfloat16 win or lose, on whatever processor this is."""

    def won(gain):
        able = {"avx512_bf16": True}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
        times = {torch.float32: gain, torch.bfloat16: 1.0}
        monkeypatch.setattr(precision, "race", lambda config: times)

    return won


@pytest.mark.parametrize(("first", "then"), [(1.5, 0.7), (0.7, 1.5)])
def test_a_run_keeps_the_format_it_began_with_whoever_wins_the_race_later(
    data, tmp_path, race, first, then
):
    race(first)
    began = "bf16" if first > 1 else "fp32"
    unbroken, _, rows = trained(data, tmp_path / "unbroken", RACED)
    said = f"a block is {first:.2f} times as fast in {'it' if first > 1 else 'bfloat16'}"
    assert rows[0] == {"step": 0, "precision": began, "because": said}
    _, stopped, _ = trained(data, tmp_path / "broken", RACED, stop_at=17)
    race(then)
    broken, outcome, rows = trained(data, tmp_path / "broken", RACED)
    assert outcome.state == "done" and bits(broken) == bits(unbroken)
    because = "the run began with it"
    assert rows[0] == {"step": stopped.step, "precision": began, "because": because}
    other, _, _ = trained(data, tmp_path / "other", RACED)
    assert bits(other) != bits(unbroken)  # so the format does matter here


def test_a_run_that_is_told_another_format_is_refused_in_a_sentence(data, tmp_path, race):
    race(1.5)
    trained(data, tmp_path, RACED, stop_at=17)
    with pytest.raises(ConfigChanged, match="precision was 'bf16' and is 'fp32'"):
        trained(data, tmp_path, CONFIG)
    bf16 = replace(CONFIG, precision="bf16")  # the very one that it has
    assert trained(data, tmp_path, bf16)[1].state == "done"


def test_all_processes_compute_in_float32_if_it_won_in_one_of_them(monkeypatch, race):
    race(1.5)
    assert run.precision_for_all(RACED, ALONE).name == "bf16"
    monkeypatch.setattr(run, "any_rank", lambda flag: True)
    chosen = run.precision_for_all(RACED, ALONE)
    assert chosen.name == "fp32" and "another process" in chosen.reason
    race(0.7)
    assert "0.70 times" in run.precision_for_all(RACED, ALONE).reason


@pytest.mark.parametrize(
    ("capability", "precision", "kernel"),
    [((9, 0), "bf16", "FLASH_ATTENTION"), ((7, 5), "fp16", "EFFICIENT_ATTENTION"),
     ((7, 5), "bf16", None), ((9, 0), "fp32", None)],
)  # fmt: skip
def test_the_kernel_that_is_insisted_on_is_one_that_the_gpu_has(
    monkeypatch, capability, precision, kernel
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(train, "sdpa_kernel", lambda backend: backend.name)
    found = train.fast_kernels(torch.device("cuda"), choose_precision("cpu", precision))
    assert kernel == (found if isinstance(found, str) else None)


def test_a_loss_that_is_no_number_stops_with_the_last_good_checkpoint(data, tmp_path):
    torch.manual_seed(CONFIG.seed)
    loader = Poisoned(data, "train", 2, 8, seed=CONFIG.seed)
    loader.model, loader.after = (model := GPT(CONFIG.gpt())), 4 * 2 * 10
    outcome = fit(model, loader, CONFIG, folder=tmp_path)
    assert outcome[:2] == ("failed", 10) and "at step 10 the gradient's length is nan" in outcome[3]
    kept = checkpoint.load(checkpoint.latest(tmp_path))
    assert kept["run"]["step"] == 8
    assert all(tensor.isfinite().all() for tensor in kept["model"].values())


def test_a_disk_that_is_full_is_a_sentence_and_the_earlier_checkpoint_is_whole(
    data, tmp_path, monkeypatch
):
    def full(*args):
        raise OSError(28, "No space left on device")

    trained(data, tmp_path, stop_at=30)
    before = checkpoint.latest(tmp_path)
    monkeypatch.setattr(state_files, "save_file", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        trained(data, tmp_path)
    assert checkpoint.latest(tmp_path) == before


def test_a_folder_that_cannot_be_written_is_a_sentence(data):
    with pytest.raises(CheckpointError, match="could not be saved in"):
        trained(data, "/proc/nowhere")


def test_a_run_without_its_optimizer_is_refused(data, tmp_path):
    trained(data, tmp_path, stop_at=30)
    path = checkpoint.latest(tmp_path).path
    (path / "optimizer.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"optimizer\.safetensors"):
        checkpoint.load(path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, when it compiles
def test_files_know_nothing_of_wrappers(data, tmp_path):
    torch.manual_seed(0)
    loader = ShardLoader(data, "train", 2, 8)
    run = Run(GPT(CONFIG.gpt()), loader, replace(CONFIG, compile=True), ALONE)
    run.losses = torch.nn.parallel.DataParallel(run.losses)
    assert set(run.state_dict()["model"]) == set(GPT(CONFIG.gpt()).state_dict())


@pytest.mark.soak
def test_twenty_kills_at_random_moments_change_no_bit(data, tmp_path):
    """kill -9, saves included; the run goes on after each until it is done."""
    config = replace(CONFIG, max_steps=40, save_every=1, dropout=0.1)
    whole, *_ = trained(data, tmp_path / "whole", config)
    folder, rng, kills = tmp_path / "killed", random.Random(0), 0
    began = time.perf_counter()
    trained(data, tmp_path / "timed", config)
    usual = time.perf_counter() - began
    while kills < 20:
        child = os.fork()
        if child == 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trained(data, folder, config)
            os._exit(0)
        time.sleep(rng.uniform(0.02, usual / 8))
        os.kill(child, signal.SIGKILL)
        kills += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        if checkpoint.latest(folder) and checkpoint.latest(folder).step == 40:
            for path in folder.iterdir():  # it got to the end too early: take it back a little
                if path.name > "step_00000020":
                    shutil.rmtree(path)
    model, outcome, _ = trained(data, folder, config)
    assert outcome.state == "done" and bits(model) == bits(whole)


# --- many processes


def work(data, out, config):
    """What each of the processes does: train, take steps by hand, be asked to stop."""
    ranks = setup("cpu", timeout_s=120)

    def loader(split):
        place = config.micro_batch, config.block_size, ranks.rank, ranks.world_size, config.seed
        return ShardLoader(data, split, *place)

    def model(dtype):
        torch.manual_seed(config.seed)
        return GPT(config.gpt()).to(dtype)

    said, rows, m = {}, [], model(torch.float64)
    more = {"val_loader": loader("val"), "log": rows.append}
    outcome = fit(m, loader("train"), config, folder=out / "adamw", ranks=ranks, **more)
    said["apart"] = [row["apart"] for row in rows if "val" in row]
    said["state"], said["val"] = outcome.state, outcome.val
    torch.save(vector(m), out / f"adamw-{ranks.rank}.pt")

    run = Run(model(torch.float32), loader("train"), config, ranks)
    run.optimizer = SGD(run.model.parameters(), lr=0.1)
    for _ in range(20):
        run.take_step(lambda: None)
    torch.save(vector(run.model), out / f"sgd-{ranks.rank}.pt")

    asked = iter(range(10**9))  # only the last rank is asked to stop; all of them do
    last = ranks.rank == ranks.world_size - 1
    more = {"asked_to_stop": lambda: last and next(asked) == 10 * run.pieces}
    m = model(torch.float64)
    outcome = fit(m, loader("train"), config, folder=out / "stopped", ranks=ranks, **more)
    said["stopped"] = outcome.state, outcome.step
    (out / f"said-{ranks.rank}.json").write_text(json.dumps(said))


@pytest.fixture(scope="module")
def shared(data, tmp_path_factory):
    """The same training by 1, 2 and 4 processes."""
    folder, config = tmp_path_factory.mktemp("shared"), replace(CONFIG, micro_batch=1)
    for processes in (1, 2, 4):
        out = folder / str(processes)
        out.mkdir()
        assert team(processes, work, data, out, config) == [0] * processes
    return folder, config


def result(shared, kind, processes, rank=0):
    return torch.load(shared[0] / str(processes) / f"{kind}-{rank}.pt", weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize(("kind", "tol"), [("adamw", 1e-10), ("sgd", 1e-6)])
def test_many_processes_end_with_the_weights_of_one(shared, kind, tol, processes):
    alone = result(shared, kind, 1)
    for rank in range(processes):
        torch.testing.assert_close(result(shared, kind, processes, rank), alone, atol=tol, rtol=0)
        assert torch.equal(result(shared, kind, processes, rank), result(shared, kind, processes))


@pytest.mark.slow
def test_all_processes_judge_alike(shared):
    """Each judges its own windows; together they are those of one process with as many."""
    for processes in (1, 2, 4):
        said = [
            json.loads((shared[0] / str(processes) / f"said-{rank}.json").read_text())
            for rank in range(processes)
        ]
        assert {row["state"] for row in said} == {"done"}
        assert len({row["val"] for row in said}) == 1
        assert all(row["apart"] == [0.0] * 4 for row in said)  # at steps 0, 7, 14 and 20


def test_weights_that_drift_apart_are_told(monkeypatch):
    model = torch.nn.Linear(3, 2)
    monkeypatch.setattr(run, "from_all_ranks", lambda value: [value, value + 0.5])
    assert run.max_rank_divergence(model) == 0.5


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_one_that_is_asked_stops_all_and_another_number_of_processes_goes_on(
    shared, data, processes
):
    folder, config = shared[0] / str(processes), shared[1]
    for rank in range(processes):
        said = json.loads((folder / f"said-{rank}.json").read_text())
        assert said["stopped"] == ["stopped", 10]
    model, outcome, _ = trained(data, folder / "stopped", config, dtype=torch.float64)
    assert outcome.state == "done"
    alone = result(shared, "adamw", 1)
    torch.testing.assert_close(vector(model), alone, atol=1e-10, rtol=0)
