"""fsdp: weights and AdamW cut over real processes take the steps of one process that has all."""

import json
import os
import pickle
import shutil
import signal
import warnings
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from torch.distributed.tensor import DTensor

import small_run
from gpt2_tutorial import checkpoint
from gpt2_tutorial.checkpoint import CheckpointError
from gpt2_tutorial.config import PRESETS, ConfigChanged, TrainConfig
from gpt2_tutorial.distributed import ALONE, any_rank, mean_over_ranks, setup
from gpt2_tutorial.generate import generate
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.run import Run
from gpt2_tutorial.runs import sharded_run
from gpt2_tutorial.runs.fsdp import run_class, whole
from gpt2_tutorial.runs.sharded_run import ShardedRun
from gpt2_tutorial.shards import ShardLoader
from gpt2_tutorial.step import chunked_loss
from gpt2_tutorial.train import fit
from small_run import vector
from team import team

resource = pytest.importorskip("resource")  # Windows cannot limit or fork a process

CONFIG = TrainConfig(
    block_size=5,  # four processes cut it into 2, 2, 1 and nothing
    vocab_size=11,
    n_layer=2,
    n_head=2,
    n_embd=18,
    batch_tokens=20,
    micro_batch=1,
    max_norm=0.1,  # every step is clipped
    max_steps=10,
    warmup_steps=3,
    max_lr=0.01,
    save_every=3,
    eval_every=5,
    eval_batches=2,
    precision="fp32",  # runs are compared here: on some processors two formats race
    shard=True,
)


class Worker:
    """One of several processes, and what it has to say in the end."""

    def __init__(self, data, out):
        self.ranks, self.data, self.out = setup("cpu", timeout_s=120), data, out
        self.said = {"log": []}

    def loader(self, split):
        place = (CONFIG.micro_batch, CONFIG.block_size, self.ranks.rank, self.ranks.world_size)
        return ShardLoader(self.data, split, *place, CONFIG.seed)

    def model(self):
        torch.manual_seed(CONFIG.seed + self.ranks.rank)  # rank 0's weights have to win
        return GPT(CONFIG.gpt()).double()

    def trained(self, folder, stop_at=None, config=CONFIG, **more):
        asked, model = iter(range(10**9)), self.model()
        last = self.ranks.rank == self.ranks.world_size - 1  # one is asked to stop; all do
        end = fit(
            model,
            self.loader("train"),
            config,
            folder=self.out / folder,
            ranks=self.ranks,
            val_loader=self.loader("val"),
            run_class=run_class(config),
            asked_to_stop=lambda: next(asked) == stop_at and last,
            **more,
        )
        return model, end

    def finished(self, name):
        model, self.said["end"] = self.trained(name, log=self.said["log"].append)
        torch.save(vector(whole(model)), self.out / f"{name}-{self.ranks.rank}.pt")
        return model

    def refused(self, what, action):
        try:
            action()
        except Exception as error:
            self.said[what] = f"{type(error).__name__}: {error}"

    def sizes(self):
        """Count what this process holds after a step, and in between."""
        run = ShardedRun(self.model(), self.loader("train"), CONFIG, self.ranks)
        at_work = []

        def poll():
            at_work.extend(own(p.grad) for p in run.model.parameters() if p.grad is not None)

        run.take_step(poll)
        said, ps = self.said, list(run.model.parameters())
        said["weights"], said["gradients"] = [own(p) for p in ps], [own(p.grad) for p in ps]
        for name in ("exp_avg", "exp_avg_sq"):
            said[name] = [own(run.optimizer.state[p][name]) for p in ps]
        said["whole at work"], said["seen at work"] = at_work.count(WHOLE), len(at_work)

    def judged(self, model):
        """Return what the whole model says of the validation text."""
        full, batches, seen = whole(model), self.loader("val"), []
        self.said["tied"] = full.lm_head.weight is full.transformer.wte.weight
        with torch.no_grad():
            for _ in range(CONFIG.eval_batches):
                seen.append(chunked_loss(full, *batches.next_batch()).item())
        return mean_over_ranks(torch.tensor(seen, dtype=torch.float64).mean()).item()

    def look(self, run, poll):
        full = whole(run.model)
        if not self.ranks.is_first:
            return {}  # nobody needs this process for what follows
        start = torch.zeros(1, 1, dtype=torch.long)
        return {"sample": generate(full, start, 4, temperature=0).tolist()}

    def no_room(self):
        self.trained("full", stop_at=10)
        self.said["before"] = checkpoint.latest(self.out / "full").path.name
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        if self.ranks.rank == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
        self.refused("full", lambda: self.trained("full"))
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        self.said["after"] = checkpoint.latest(self.out / "full").path.name
        (self.out / "a file").touch()
        self.refused("no folder", lambda: self.trained("a file"))

    def killed(self):
        """Die with a part that is written and not yet summed up."""
        usual = sharded_run.fingerprint

        def deadly(file):
            if "step_00000006" in str(file) and "shard-" in file.name:
                os.kill(os.getpid(), signal.SIGKILL)
            return usual(file)

        sharded_run.fingerprint = deadly
        self.trained("killed")

    def tell(self, name):
        file = self.out / f"said-{name}-{self.ranks.rank}.json"
        file.write_text(json.dumps(self.said))
        any_rank(False)  # wait for the others


WHOLE = -1


def own(tensor):
    """Count the numbers that this process holds of a tensor that is cut."""
    return tensor.to_local().numel() if isinstance(tensor, DTensor) else WHOLE


def two(worker):
    worker.sizes()
    model = worker.finished("two")
    worker.said["judged"] = worker.judged(model)
    worker.trained("stopped", stop_at=17, extra_metrics=worker.look)
    again, _ = worker.trained("stopped", extra_metrics=worker.look, log=worker.said["log"].append)
    worker.said["bit for bit"] = torch.equal(vector(whole(again)), vector(whole(model)))
    worker.trained("moved", stop_at=5)
    worker.no_room()
    uncut, fp16 = replace(CONFIG, shard=False), replace(CONFIG, precision="fp16")
    worker.refused("changed", lambda: worker.trained("two", config=uncut))
    worker.refused("fp16", lambda: worker.trained("fp16", config=fp16))
    worker.tell("two")
    worker.killed()


def four(worker):
    worker.sizes()
    worker.finished("four")
    worker.trained("moved", stop_at=3)
    worker.tell("four")


def two_again(worker):
    worker.finished("killed")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        worker.finished("moved")
    worker.said["warned"] = [str(w.message) for w in caught if "skipped" in str(w.message)]
    worker.tell("two_again")


def work(scenario, *facts):
    worker = Worker(*facts)
    scenario(worker)


def launched(data, folder, processes, scenario, ends_with=0):
    """Run it in that many processes; return what each of them said."""
    assert team(processes, work, scenario, data, folder) == [ends_with] * processes
    said = [folder / f"said-{scenario.__name__}-{rank}.json" for rank in range(processes)]
    return [json.loads(file.read_text()) for file in said]


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return small_run.write_letters(tmp_path_factory.mktemp("shards"))


def trained(data, folder, config=CONFIG, **more):
    """Train in this one process."""
    more |= {"dtype": torch.float64, "run_class": run_class(config)}
    return small_run.trained(data, folder, config, **more)


@pytest.fixture(scope="module")
def told(data, tmp_path_factory):
    """By 2, 1, 4 and again 2 processes: what each said, and the weights they ended with."""
    folder = tmp_path_factory.mktemp("cut")
    said = {"two": launched(data, folder, 2, two, ends_with=-signal.SIGKILL)}
    said["killed at"] = sorted(path.name for path in (folder / "killed").iterdir())
    _, said["one"], _ = trained(data, folder / "moved", stop_at=6)
    said["four"] = launched(data, folder, 4, four)
    newest = checkpoint.latest(folder / "moved")
    said["moved to"] = newest.path.name
    torn = folder / "moved" / "step_00000099"  # newer still, with one bit of a part turned
    shutil.copytree(newest, torn)
    manifest = json.loads((torn / "manifest.json").read_text())
    (torn / "manifest.json").write_text(json.dumps(manifest | {"step": 99}))
    part = bytearray((torn / "shard-00003-model-00001-of-00001.safetensors").read_bytes())
    part[-1] ^= 1
    (torn / "shard-00003-model-00001-of-00001.safetensors").write_bytes(part)
    said["two again"] = launched(data, folder, 2, two_again)
    return folder, said


def weights(told, name, rank=0):
    return torch.load(told[0] / f"{name}-{rank}.pt", weights_only=True)


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    """What one process gets that knows nothing of all this."""
    config = replace(CONFIG, shard=False)
    model, _, rows = trained(data, tmp_path_factory.mktemp("alone"), config)
    return vector(model), {row["step"]: row for row in rows if "loss" in row}


# --- many processes


@pytest.mark.slow
@pytest.mark.parametrize(("name", "processes"), [("two", 2), ("four", 4)])
def test_cut_weights_take_the_steps_of_whole_ones(told, alone, name, processes):
    for rank in range(processes):
        torch.testing.assert_close(weights(told, name, rank), alone[0], atol=1e-10, rtol=0)
        assert torch.equal(weights(told, name, rank), weights(told, name))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two", "four"])
def test_loss_and_length_of_the_gradient_are_those_of_all_processes(told, alone, name):
    by_step = alone[1]
    for said in told[1][name]:
        rows = [row for row in said["log"] if "loss" in row][: CONFIG.max_steps]
        assert [row["step"] for row in rows] == list(range(1, 11))
        for row in rows:
            assert row["loss"] == pytest.approx(by_step[row["step"]]["loss"], abs=1e-6)
            assert row["norm"] == pytest.approx(by_step[row["step"]]["norm"], abs=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "processes"), [("two", 2), ("four", 4)])
def test_each_process_holds_its_part_and_no_more(told, name, processes):
    shapes = [p.shape for p in GPT(CONFIG.gpt()).parameters()]
    for what in ("weights", "gradients", "exp_avg", "exp_avg_sq"):
        of_ranks = [said[what] for said in told[1][name]]
        for shape, *parts in zip(shapes, *of_ranks, strict=True):
            assert sum(parts) == shape.numel()  # nothing twice, nothing missing
            assert max(parts) == -(-shape[0] // processes) * shape[1:].numel()
    for said in told[1]["two"]:  # not even between two micro-batches
        assert said["whole at work"] == 0 < said["seen at work"]


@pytest.mark.slow
def test_it_is_judged_as_the_whole_model_would_be(told):
    for said in told[1]["two"]:
        assert said["end"][2] == pytest.approx(said["judged"], abs=1e-12)
        assert said["tied"]
    vals = [[row["val"] for row in said["log"] if "val" in row] for said in told[1]["two"]]
    assert vals[0] == vals[1] and len(vals[0]) >= 3


@pytest.mark.slow
def test_looking_at_the_whole_model_is_possible_and_changes_nothing(told):
    first, second = told[1]["two"]
    assert first["bit for bit"] and second["bit for bit"]  # it was stopped in between as well
    samples = [row["sample"] for row in first["log"] if "sample" in row]
    assert samples and len(samples[0][0]) == 5


@pytest.mark.slow
def test_a_checkpoint_moves_from_two_processes_to_one_to_four_and_back(told, alone):
    assert told[1]["one"].state == "stopped" and told[1]["moved to"] > "step_00000004"
    for rank in range(2):
        torch.testing.assert_close(weights(told, "moved", rank), alone[0], atol=1e-10, rtol=0)


@pytest.mark.slow
def test_one_altered_bit_of_one_part_and_an_earlier_checkpoint_is_taken(told):
    for said in told[1]["two again"]:
        (warned,) = said["warned"]
        assert "step_00000099 is skipped: shard-00003-model" in warned
        assert "is not what was written" in warned


@pytest.mark.slow
def test_killed_while_its_part_is_being_saved_it_goes_on_bit_for_bit(told):
    stump = [name for name in told[1]["killed at"] if name.endswith(".part")]
    assert len(stump) == 1 and "step_00000006" in stump[0]  # torn, and never counted
    assert "step_00000003" in told[1]["killed at"]
    for rank in range(2):
        assert torch.equal(weights(told, "killed", rank), weights(told, "two"))
    assert not list((told[0] / "killed").glob(".*"))


@pytest.mark.slow
def test_one_process_without_room_fails_all_and_the_earlier_checkpoint_stays(told):
    first, second = told[1]["two"]
    assert first["full"] == second["full"]
    assert "CheckpointError: step " in first["full"]
    assert "process 1: [Errno 27] File too large" in first["full"]
    assert "earlier checkpoints are whole" in first["full"]
    for said in (first, second):
        assert said["before"] == said["after"]
    assert not list((told[0] / "full").glob(".*"))
    assert first["no folder"] == second["no folder"]
    assert "CheckpointError: step 0 could not be saved" in first["no folder"]


@pytest.mark.slow
def test_refusals_are_a_sentence_in_every_process(told):
    for said in told[1]["two"]:
        assert "ConfigChanged" in said["changed"]
        assert "shard was True and is False" in said["changed"]
        assert said["fp16"].startswith("ValueError: a run with shard knows no fp16")


@pytest.mark.slow
def test_every_process_writes_a_part_and_none_is_a_pickle(told):
    (path,) = (told[0] / "four").glob("step_00000010")
    names = sorted(file.name for file in path.iterdir())
    parts = [f"shard-0000{n}-model-00001-of-00001.safetensors" for n in (1, 2, 3, 4)]
    assert names == ["manifest.json", "rng.safetensors", *parts, "state.json"]
    sums = json.loads((path / "manifest.json").read_text())["sha256"]
    assert set(sums) == {*names} - {"manifest.json"}
    for name in names:
        held = (path / name).read_bytes()
        if name.endswith(".json"):
            json.loads(held)
            continue
        head = int.from_bytes(held[:8], "little")  # the format's own account of every byte
        told_of = json.loads(held[8 : 8 + head])
        ends = [about["data_offsets"][1] for about in told_of.values() if "data_offsets" in about]
        assert 8 + head + max(ends) == len(held)
    with safe_open(path / parts[3], "pt") as part:  # the fourth of 5 and of 11 rows
        assert part.get_slice("model.transformer.wpe.weight").get_shape() == [0, 18]
        assert part.get_slice("exp_avg.transformer.wte.weight").get_shape() == [2, 18]


# --- one process


def banned(*args, **kwargs):
    raise AssertionError("somebody opened a pickle")


def test_alone_it_is_a_run_like_any_other_and_reads_no_pickle(data, tmp_path, alone, monkeypatch):
    for where, name in ((pickle, "load"), (pickle, "loads"), (torch, "load")):
        monkeypatch.setattr(where, name, banned)
    monkeypatch.setattr(pickle, "Unpickler", banned)
    model, outcome, _ = trained(data, tmp_path, stop_at=33)
    assert outcome.state == "stopped"
    model, outcome, _ = trained(data, tmp_path)
    assert outcome.state == "done" and torch.equal(vector(model), alone[0])
    assert whole(model) is model


def test_kinds():
    assert run_class(CONFIG) is ShardedRun and run_class(replace(CONFIG, shard=False)) is Run
    cut = [name for name, config in PRESETS.items() if config.shard]
    assert cut == ["8xh100-xl"] and PRESETS["8xh100-xl"].gpt() == GPT.SIZES["gpt2-xl"]


def test_cut_and_uncut_checkpoints_do_not_mix(data, tmp_path):
    for shard in (True, False):
        folder = tmp_path / str(shard)
        trained(data, folder, replace(CONFIG, shard=shard), stop_at=20)
        with pytest.raises(ConfigChanged, match=f"shard was {shard} and is {not shard}"):
            trained(data, folder, replace(CONFIG, shard=not shard))


def test_a_checkpoint_that_lacks_its_parts_is_a_sentence(data, tmp_path):
    trained(data, tmp_path, stop_at=30)
    path = checkpoint.latest(tmp_path).path
    (part,) = path.glob("shard-*")
    part.unlink()
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["sha256"][part.name]  # somebody made it fit
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"step_0000000\d cannot be used: process 0: "):
        trained(data, tmp_path)


def test_a_full_disk_is_a_sentence(data, tmp_path, monkeypatch):
    trained(data, tmp_path, stop_at=30)
    before = checkpoint.latest(tmp_path)
    writer = sharded_run.HuggingFaceStorageWriter

    class Full(writer):
        def write_data(self, *args):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sharded_run, "HuggingFaceStorageWriter", Full)
    with pytest.raises(CheckpointError, match=r"process 0: \[Errno 28\] No space left"):
        trained(data, tmp_path)
    assert checkpoint.latest(tmp_path) == before and not list(tmp_path.glob(".*"))


def test_a_part_on_another_machines_disk_is_a_sentence(data, tmp_path, monkeypatch):
    monkeypatch.setattr(ShardedRun, "_write_parts", lambda *_: ({"shard-00002": "00ff"}, ""))
    with pytest.raises(CheckpointError, match="shard-00002 is not here: all machines must share"):
        trained(data, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_said_about_being_alone(data, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = ShardedRun(
            GPT(CONFIG.gpt()), ShardLoader(data, "train", 1, 5, 0, 1, CONFIG.seed), CONFIG, ALONE
        )
        run.save(tmp_path)
        run.resume(checkpoint.latest(tmp_path))
