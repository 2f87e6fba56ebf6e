"""The recipe modern: a run of Muon and AdamW keeps every promise of the faithful one."""

import json
import math
import os
import random
import shutil
import signal
import time
import warnings
from dataclasses import asdict, replace

import pytest
import torch
import torch.nn.functional as F

import small_run
from gpt2_tutorial import checkpoint, ledger
from gpt2_tutorial.commands import doctor
from gpt2_tutorial.config import PRESETS, ConfigChanged, TrainConfig
from gpt2_tutorial.distributed import ALONE, setup
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.launch import train_gpt2
from gpt2_tutorial.modern import ModernGPT
from gpt2_tutorial.muon import Muon, split_params
from gpt2_tutorial.run import Run
from gpt2_tutorial.runs import modern_run
from gpt2_tutorial.runs.fsdp import run_class, whole
from gpt2_tutorial.runs.modern_run import ModernRun
from gpt2_tutorial.shards import ShardLoader
from gpt2_tutorial.step import chunked_loss
from gpt2_tutorial.train import fit
from in_process import command
from oracles import randomise, rounding
from small_run import vector
from team import team
from tiers import compiles

CONFIG = replace(small_run.CONFIG, recipe="modern", weight_decay=0.3)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return small_run.write_letters(tmp_path_factory.mktemp("shards"))


def model_of(config, dtype=torch.float32):
    torch.manual_seed(config.seed)
    made = GPT(config.gpt()) if config.recipe == "gpt2" else modern_run.gpt(config)
    return made.to(dtype)


def loader(data, split="train", config=CONFIG, ranks=ALONE):
    place = config.micro_batch, config.block_size, ranks.rank, ranks.world_size, config.seed
    return ShardLoader(data, split, *place)


def trained(data, folder, config=CONFIG, stop_at=None, dtype=torch.float32, ranks=ALONE):
    """Train from the start or go on; `stop_at` counts how often training asks."""
    asked, rows, model = iter(range(10**9)), [], model_of(config, dtype)
    result = fit(
        model,
        loader(data, "train", config, ranks),
        config,
        folder=folder,
        ranks=ranks,
        val_loader=loader(data, "val", config, ranks),
        log=rows.append,
        asked_to_stop=lambda: next(asked) == stop_at,
        run_class=run_class(config),
    )
    return model, result, rows


def losses(rows):
    return [row["loss"] for row in rows if "loss" in row]


# --- one process


def test_stopped_anywhere_it_goes_on_bit_for_bit(data, tmp_path):
    config = replace(CONFIG, dropout=0.2)
    unbroken, outcome, all_rows = trained(data, tmp_path / "whole", config)
    assert outcome.state == "done" and outcome.step == 20
    for stop_at in (0, 13, 45, 80):
        folder = tmp_path / str(stop_at)
        _, first, before = trained(data, folder, config, stop_at)
        model, second, after = trained(data, folder, config)
        assert first.state == "stopped" and second[:3] == outcome[:3]
        assert torch.equal(vector(model), vector(unbroken))
        assert losses(before + after) == losses(all_rows)


def test_a_checkpoint_holds_what_both_optimizers_remember(data, tmp_path):
    """Without Muon's velocities or AdamW's averages, the next steps would be others."""
    _, outcome, _ = trained(data, tmp_path, stop_at=45)
    state = checkpoint.load(checkpoint.latest(tmp_path))
    model = model_of(CONFIG)
    matrices, rest = split_params(model)
    muon, adamw = (state["optimizer"][name] for name in "01")
    assert [one["velocity"].shape for one in muon["state"].values()] == [p.shape for p in matrices]
    assert all(one["velocity"].abs().max() > 0 for one in muon["state"].values())
    assert len(adamw["state"]) == len(rest)
    assert all(one["step"] == outcome.step > 0 for one in adamw["state"].values())


def test_it_takes_the_steps_of_plain_loops_with_two_rates_of_torch(data):
    """The model's own loss, torch's clipping and AdamW, and a schedule of torch for each rate."""
    config = replace(CONFIG, max_norm=0.1)  # every step is clipped
    run = ModernRun(model_of(config, torch.float64), loader(data), config)
    model, batches = model_of(config, torch.float64), loader(data)
    blocks = [p for p in model.transformer.h.parameters() if p.dim() == 2]
    tables = [model.transformer.wte.weight, model.lm_head.weight]
    gains = [p for p in model.parameters() if p.dim() == 1]
    assert len(blocks) + len(tables) + len(gains) == len(list(model.parameters()))
    muon = Muon(blocks, lr=0.02, weight_decay=0.3)
    decayed = {"params": tables, "weight_decay": 0.3}
    adamw = torch.optim.AdamW([decayed, {"params": gains, "weight_decay": 0.0}], lr=0.01,
                              betas=(0.9, 0.95))  # fmt: skip

    def share(step):  # 3 steps up, then a cosine down to 6e-5 of 0.01 by step 20
        if step < 3:
            return (step + 1) / 3
        low = 6e-5 / 0.01
        return low + (1 - low) * (1 + math.cos(math.pi * (step - 3) / 17)) / 2

    plans = [torch.optim.lr_scheduler.LambdaLR(one, share) for one in (muon, adamw)]
    for _ in range(8):
        loss, norm, lr = run.take_step(lambda: None)
        pieces = [batches.next_batch() for _ in range(4)]
        x, y = (torch.cat(part) for part in zip(*pieces, strict=True))
        model.zero_grad()
        own = model(x, y)[1]
        own.backward()
        length = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        for one in (muon, adamw):
            one.step()
        assert loss == pytest.approx(own.item(), abs=1e-6)  # which is handed on in float32
        assert norm == pytest.approx(length.item(), rel=1e-6) and norm > 0.1
        assert lr == pytest.approx(adamw.param_groups[0]["lr"], rel=1e-12)
        for plan in plans:
            plan.step()
    torch.testing.assert_close(vector(run.model), vector(model), atol=1e-10, rtol=0)


def test_pieces_of_any_size_take_the_same_steps(data, tmp_path):
    vectors = []
    for micro_batch in (1, 4):
        config = replace(CONFIG, micro_batch=micro_batch)
        folder = tmp_path / str(micro_batch)
        vectors.append(vector(trained(data, folder, config, dtype=torch.float64)[0]))
    torch.testing.assert_close(*vectors, atol=1e-10, rtol=0)


def test_in_float16_its_loss_is_scaled_and_it_goes_on_bit_for_bit(data, tmp_path):
    config = replace(CONFIG, precision="fp16")
    unbroken, outcome, rows = trained(data, tmp_path / "whole", config)
    trained(data, tmp_path / "broken", config, stop_at=45)
    model, _, _ = trained(data, tmp_path / "broken", config)
    assert outcome.state == "done" and losses(rows)[-1] < losses(rows)[0]
    assert torch.equal(vector(model), vector(unbroken))


def test_the_loss_in_chunks_is_the_models_own_with_its_gradients():
    found = []
    x, y = (torch.randint(11, (3, 8), generator=torch.Generator().manual_seed(s)) for s in (1, 2))
    for loss_of in (lambda m: chunked_loss(m, x, y, chunk=5), lambda m: m(x, y)[1]):
        model = model_of(CONFIG, torch.float64)
        randomise(model)
        loss = loss_of(model)
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in model.parameters())])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=rounding(theirs), rtol=0)


def test_a_cap_is_refused_where_logits_are_not_bent():
    model = model_of(CONFIG)
    model.config = replace(model.config, soft_cap=30.0)
    ids = torch.zeros(1, 8, dtype=torch.long)
    with pytest.raises(ValueError, match="chunked_loss bends no logits"):
        chunked_loss(model, ids, ids)


@pytest.mark.parametrize("first", ["gpt2", "modern"])
def test_the_other_recipe_in_the_same_folder_is_refused(data, tmp_path, first):
    config = replace(CONFIG, recipe=first)
    trained(data, tmp_path, config, stop_at=20)
    other = {"gpt2": "modern", "modern": "gpt2"}[first]
    with pytest.raises(ConfigChanged, match=f"recipe was '{first}' and is '{other}'"):
        trained(data, tmp_path, replace(CONFIG, recipe=other))


def test_a_run_that_began_before_there_were_recipes_goes_on(data, tmp_path):
    config = replace(CONFIG, recipe="gpt2")
    unbroken, *_ = trained(data, tmp_path / "whole", config)
    trained(data, tmp_path / "old", config, stop_at=45)
    path = checkpoint.latest(tmp_path / "old").path
    state = checkpoint.load(path)
    del state["run"]["config"]["recipe"], state["run"]["config"]["muon_lr"]
    shutil.rmtree(path)
    checkpoint.save(tmp_path / "old", state["run"]["step"], state)
    model, outcome, _ = trained(data, tmp_path / "old", config)
    assert outcome.state == "done" and torch.equal(vector(model), vector(unbroken))


def test_kinds():
    assert run_class(CONFIG) is ModernRun and run_class(small_run.CONFIG) is Run
    assert {config.recipe for config in PRESETS.values()} == {"gpt2"}
    with torch.device("meta"):
        model = modern_run.gpt(TrainConfig(recipe="modern"))
    assert isinstance(model, ModernGPT) and whole(model) is model
    faithful = asdict(TrainConfig().gpt())
    theirs = {name: getattr(model.config, name) for name in faithful}
    assert theirs == faithful | {"bias": False}


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, when it compiles
@compiles
def test_compiled_it_takes_the_same_steps_and_files_know_nothing_of_it(data, tmp_path):
    """A step of Muon is as long whatever the slope, so 1e-5 in 20 steps says they are the same."""
    torch.compiler.reset()
    eager, *_ = trained(data, tmp_path / "eager")
    trained(data, tmp_path / "compiled", replace(CONFIG, compile=True), stop_at=45)
    model, outcome, _ = trained(data, tmp_path / "compiled", replace(CONFIG, compile=True))
    assert outcome.state == "done"
    torch.testing.assert_close(vector(model), vector(eager), atol=1e-5, rtol=0)
    names = checkpoint.load(checkpoint.latest(tmp_path / "compiled"))["model"].keys()
    assert names == model_of(CONFIG).state_dict().keys()


@pytest.mark.soak
@pytest.mark.skipif(os.name == "nt", reason="Windows cannot fork a process")
def test_kills_at_random_moments_change_no_bit(data, tmp_path):
    """kill -9, saves included: six at least, and the run goes on after each."""
    config = replace(CONFIG, max_steps=40, save_every=1, dropout=0.1)
    began = time.perf_counter()
    unbroken, *_ = trained(data, tmp_path / "whole", config)
    usual, rng = time.perf_counter() - began, random.Random(0)
    folder, kills, newest = tmp_path / "killed", 0, None
    while kills < 6:
        if (child := os.fork()) == 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trained(data, folder, config)
            os._exit(0)
        time.sleep(rng.uniform(0.05, usual / 5))
        os.kill(child, signal.SIGKILL)
        kills += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        if (newest := checkpoint.latest(folder)) and newest.step == config.max_steps:
            for path in folder.glob("step_000000[2-4]*"):  # too early: take it back a little
                shutil.rmtree(path)
    model, outcome, _ = trained(data, folder, config)
    assert outcome.state == "done" and torch.equal(vector(model), vector(unbroken))


# --- many processes


def work(data, out):
    """What each of the processes does."""
    config = replace(CONFIG, micro_batch=1)
    ranks = setup("cpu", timeout_s=120)
    model, outcome, rows = trained(data, out / "run", config, dtype=torch.float64, ranks=ranks)
    said = {"state": outcome.state, "val": outcome.val}
    said["apart"] = [row["apart"] for row in rows if "val" in row]
    (out / f"said-{ranks.rank}.json").write_text(json.dumps(said))
    torch.save(vector(model), out / f"{ranks.rank}.pt")
    last = ranks.rank == ranks.world_size - 1
    _, stopped, _ = trained(
        data, out / "stopped", config, 45 if last else None, torch.float64, ranks
    )
    assert stopped.state == "stopped"


@pytest.mark.slow
def test_two_processes_end_with_the_weights_of_one_and_one_goes_on_for_two(data, tmp_path):
    config = replace(CONFIG, micro_batch=1)
    alone, *_ = trained(data, tmp_path / "alone", config, dtype=torch.float64)
    assert team(2, work, data, tmp_path) == [0, 0]
    weights = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert torch.equal(*weights)
    torch.testing.assert_close(weights[0], vector(alone), atol=1e-10, rtol=0)
    said = [json.loads((tmp_path / f"said-{rank}.json").read_text()) for rank in (0, 1)]
    assert said[0] == said[1] and said[0]["apart"] == [0.0] * 4
    model, outcome, _ = trained(data, tmp_path / "stopped", config, dtype=torch.float64)
    assert outcome.state == "done"
    torch.testing.assert_close(vector(model), vector(alone), atol=1e-10, rtol=0)


# --- the script, and what reads its folder

SMALL = "--device cpu --recipe modern --n-layer 2 --n-embd 16 --n-head 2 --block-size 16"
SMALL += " --batch-tokens 256 --max-steps 6 --warmup-steps 2 --eval-every 3 --eval-batches 1"
SMALL += " --save-every 3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of the script, from its first step to its last."""
    out = tmp_path_factory.mktemp("launched") / "run"
    assert train_gpt2.main([*SMALL.split(), "--out", str(out)]) == 0
    return out


def test_the_script_trains_it_and_transformers_loads_what_it_leaves(folder):
    from transformers import AutoModelForCausalLM

    newest = checkpoint.load(checkpoint.latest(folder / "checkpoints"))
    config = TrainConfig(**newest["run"]["config"])
    assert config.recipe == "modern" and newest["run"]["step"] == 6
    ours = modern_run.gpt(config)
    ours.load_state_dict(newest["model"])
    theirs = AutoModelForCausalLM.from_pretrained(folder / "model").eval()
    assert type(theirs).__name__ == "Qwen3ForCausalLM"
    x, y = (torch.randint(65, (2, 16), generator=torch.Generator().manual_seed(s)) for s in (1, 2))
    expected = theirs(x).logits
    # Two blocks, each off by the rounding of its sums and turns: see test_modern.
    torch.testing.assert_close(ours(x)[0], expected, atol=rounding(expected, 2 * 512), rtol=0)
    loss = F.cross_entropy(expected.flatten(0, 1), y.flatten())
    torch.testing.assert_close(ours(x, y)[1], loss, atol=rounding(loss, 2 * 512), rtol=0)


def test_sample_evaluate_export_and_doctor_read_it(folder, capsys, tmp_path):
    gpt2, model = command(capsys), folder / "model"
    wish = ["--prompt", "the", "--tokens", 20, "--temperature", 0, "--device", "cpu"]
    said = gpt2("sample", "--model", model, *wish)
    assert said.code == 0 and said.out.startswith("the") and said.err == ""
    text = tmp_path / "text"
    text.write_text("ROMEO: what light", encoding="utf-8")
    said = gpt2("evaluate", "--model", model, "--text", text, "--device", "cpu", "--json")
    assert said.code == 0 and 0 < json.loads(said.out)["nats_per_token"] < 6
    items = tmp_path / "items"
    items.write_text('{"ctx": "we", "endings": ["eat", "onion"], "label": 0}', encoding="utf-8")
    said = gpt2("evaluate", "--model", model, "--items", items, "--device", "cpu", "--json")
    assert said.code == 0 and json.loads(said.out)["acc_norm"] in (0, 1)
    assert gpt2("export", "--model", model, "--to", tmp_path / "again")[0] == 0
    again = (tmp_path / "again" / "model.safetensors").read_bytes()
    assert again == (model / "model.safetensors").read_bytes()
    said = gpt2("doctor", folder)
    assert said.code == 0 and "Its recipe is modern" in said.out
    said = gpt2("sample", "--model", model, "--int8", *wish)
    assert said.code == 1 and "this model has two: use it as it is" in said.err


def test_the_doctor_holds_no_other_recipe_against_the_bands_of_correct_runs():
    tokens = ledger.logged("broken_runs")["recipe"]["batch_tokens"]
    rows = [{"step": step, "loss": math.log(65), "tokens": step * tokens} for step in (1, 2)]
    for recipe in ("gpt2", "modern"):
        start = {"step": 0, "precision": "fp32", "recipe": recipe}
        assert doctor.Reference(doctor.Metrics([start, *rows])).like is (recipe == "gpt2")


@pytest.mark.parametrize("recipe", ["gpt2", "modern"])
def test_the_script_tells_the_recipe_and_refuses_the_other(folder, capsys, tmp_path, recipe):
    gpt2, out = command(capsys), folder
    if recipe == "gpt2":
        out = tmp_path / "run"
        assert gpt2("train", *SMALL.split(), "--recipe", "gpt2", "--out", out)[0] == 0
    first = json.loads((out / "metrics.jsonl").read_text().splitlines()[0])
    assert first.get("recipe", "gpt2") == recipe
    other = {"gpt2": "modern", "modern": "gpt2"}[recipe]
    said = gpt2("train", *SMALL.split(), "--recipe", other, "--out", out)
    assert said.code == 78 and f"recipe was '{recipe}' and is '{other}'" in said.err
    assert said.err.count("\n") == 1


def test_what_makes_no_sense_is_refused_in_a_sentence():
    for changes, words in (
        ({"recipe": "llama"}, "recipe must be gpt2 or modern, not 'llama'"),
        ({"shard": True}, "recipe modern cannot shard, for Muon needs every matrix whole"),
        ({"max_lr": 0.0, "min_lr": 0.0}, "recipe modern needs max_lr above 0"),
        ({"muon_lr": -1.0}, "muon_lr must be 0 or more, not -1"),
    ):
        with pytest.raises(ValueError, match=words):
            replace(CONFIG, **changes)
    with pytest.raises(ValueError, match="a head of 9 has one left over"):
        modern_run.gpt(replace(CONFIG, n_embd=18))
