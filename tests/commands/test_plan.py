"""gpt2 plan: the sheet against sums done by hand, and prices that make no sense."""

import json
from dataclasses import replace

import pytest

from gpt2_tutorial import ledger
from gpt2_tutorial.commands import plan
from gpt2_tutorial.config import PRESETS, TrainConfig
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.step import flops_per_token
from in_process import command


@pytest.fixture
def gpt2(capsys):
    return command(capsys, "plan")


def test_parameters_are_those_of_the_paper_and_of_a_model_that_is_made():
    V, T, C, L = 50257, 1024, 768, 12
    block = 12 * C * C + 13 * C  # four maps and their biases, two norms
    assert plan.parameters(TrainConfig()) == V * C + T * C + L * block + 2 * C == 124_439_808
    small = PRESETS["cpu"]
    made = sum(p.numel() for p in GPT(small.gpt()).parameters())
    assert plan.parameters(small) == made


def test_work_is_that_of_the_literature():
    assert round(flops_per_token(TrainConfig(vocab_size=50304).gpt()) / 1e6, 1) == 854.7


@pytest.mark.parametrize("name", PRESETS)
def test_memory_is_the_sum_of_parts_that_a_hand_can_check(name):
    config, machine = PRESETS[name], plan.MACHINES[name]
    parts = plan.memory(config, machine)
    n, wide = plan.parameters(config), config.micro_batch * config.block_size
    own = n / machine.processes if config.shard else n
    assert parts["weights"] == parts["gradients"] == 4 * own
    assert parts["AdamW's two averages"] == 8 * own
    assert parts["activations"] == 34 * wide * config.n_embd * config.n_layer
    assert parts["one chunk of logits"] == 12 * min(wide, 4096) * config.vocab_size
    sheet = plan.plan(name, config)
    assert sheet["memory_total"] == sum(parts.values()) < machine.memory


def test_gpt2_xl_is_cut_and_a_device_gathers_two_blocks_of_it_at_a_time():
    config, machine = PRESETS["8xh100-xl"], plan.MACHINES["8xh100-xl"]
    V, T, C = 50257, 1024, 1600
    block = 12 * C * C + 13 * C
    assert plan.parameters(config) == V * C + T * C + 48 * block + 2 * C == 1_557_611_200
    assert plan.gathered(config) == V * C + T * C + 2 * block + 2 * C
    parts = plan.memory(config, machine)
    assert parts["gathered for a while"] == 8 * plan.gathered(config)  # with their gradients
    assert "DDP's buckets" not in parts
    uncut = plan.memory(replace(config, shard=False), machine)
    kept = ("weights", "gradients", "AdamW's two averages")
    assert sum(uncut[part] for part in kept) == 8 * sum(parts[part] for part in kept)
    assert 3.1e9 < sum(parts[part] for part in kept) < 3.2e9 and uncut["weights"] > 6.2e9


def test_more_sequences_at_a_time_need_more_memory_and_some_do_not_fit(gpt2):
    config, machine = PRESETS["1xh100"], plan.MACHINES["1xh100"]
    small = sum(plan.memory(replace(config, micro_batch=8), machine).values())
    assert small < sum(plan.memory(config, machine).values())
    sheet = plan.plan("1xh100", replace(config, micro_batch=512))
    assert "DOES NOT FIT" in "\n".join(plan.lines(sheet))


@pytest.mark.parametrize("name", PRESETS)
def test_time_and_money_follow_from_speed(name):
    sheet = plan.plan(name, PRESETS[name], dollars=10.0)
    seconds = sheet["tokens"] / sheet["tokens_per_s"]
    assert sheet["hours"] == pytest.approx(seconds / 3600)
    assert sheet["dollars"] == pytest.approx(10 * sheet["hours"])
    assert sheet["step_seconds"] == pytest.approx(seconds / PRESETS[name].max_steps)
    machine = plan.MACHINES[name]
    work = sheet["tokens"] * sheet["flops_per_token"] / (seconds * machine.peak)
    assert 0.05 < work / machine.processes < 0.6  # a share of the peak that somebody reached


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Put a made-up log of the script where the plan looks; without one, there is none."""

    def put(device="NVIDIA H200", tiny=False, **more):
        about = {"device": device, "date": "2026-11-28", "tiny": tiny}
        text = json.dumps({"about": about, "preset": "1xh100"} | more)
        (tmp_path / "gpu_script.json").write_text(text)

    monkeypatch.setattr(ledger, "_results", lambda kind: tmp_path)
    return put


def speeds() -> dict[str, tuple[float, str]]:
    return {name: plan.share_of_peak(name) for name in PRESETS}


ESTIMATED = {name: (machine.share, "estimated") for name, machine in plan.MACHINES.items()}


def test_without_a_log_every_speed_is_estimated(measured):
    assert speeds() == ESTIMATED
    said = "\n".join(plan.lines(plan.plan("1xh100", PRESETS["1xh100"])))
    assert "(estimated)" in said and "measured" not in said


@pytest.mark.parametrize(
    ("device", "preset"),
    [
        ("NVIDIA H100 80GB HBM3", "1xh100"),
        ("NVIDIA H200", "1xh100"),
        ("NVIDIA GeForce RTX 4090", "4090"),
        ("Tesla T4", "t4"),
    ],
)
def test_a_log_says_the_speed_of_its_own_card(measured, device, preset):
    before = plan.plan(preset, PRESETS[preset])
    measured(device, mfu=0.5)
    assert plan.measured_share(preset) == 0.5
    after = plan.plan(preset, PRESETS[preset])
    assert after["speed_is"] == f"measured on one {device}, 2026-11-28"
    assert f"({after['speed_is']})" in "\n".join(plan.lines(after))
    speed = 0.5 * plan.MACHINES[preset].peak / after["flops_per_token"]
    assert after["tokens_per_s"] == pytest.approx(speed) != before["tokens_per_s"]
    assert before["parameters"] == after["parameters"]
    others = {name for name in PRESETS if "measured" in plan.share_of_peak(name)[1]}
    assert others == {preset}


def test_many_of_a_measured_card_are_estimated_from_it(measured):
    measured("NVIDIA H200", mfu=0.205)  # half of what one H100 is taken to reach
    found = speeds()
    for name in ("8xh100", "2x8xh100"):
        share, known = found.pop(name)
        assert known == "estimated from one NVIDIA H200, 2026-11-28"
        assert share == pytest.approx(plan.MACHINES[name].share / 2) and share < 0.205
    assert found.pop("1xh100") == (0.205, "measured on one NVIDIA H200, 2026-11-28")
    assert found == {name: ESTIMATED[name] for name in found}  # gpt2-xl and the A100 too


@pytest.mark.parametrize(
    "log",
    [
        {"mfu": 0.5, "tiny": True},
        {"mfu": 0.5, "device": "CPU"},
        {"mfu": 0.5, "device": "NVIDIA H100 PCIe"},
        {"mfu": 0.5, "device": "NVIDIA A100-SXM4-80GB"},
        {"mfu": None},  # the peak of that card is not known
        {"failed": "out of memory"},
    ],
    ids=str,
)
def test_other_logs_leave_the_estimates(measured, log):
    measured(**log)
    assert speeds() == ESTIMATED


@pytest.mark.parametrize("name", PRESETS)
def test_a_bucket_holds_the_data_two_checkpoints_and_the_model(name):
    config = PRESETS[name]
    sheet, n = plan.plan(name, config), plan.parameters(config)
    reads = config.max_steps * config.batch_tokens
    data = 2 * min(reads, 10_000_000_000)  # a token takes two bytes; the sample has ten billion
    # weights and AdamW's two averages, four bytes each; and once more the weights
    assert sheet["bucket"] == {"data": data, "checkpoints": 24 * n, "model": 4 * n}
    gb = (data + 28 * n) / 1e9
    assert sheet["bucket_total"] == pytest.approx(1e9 * gb)
    month, once = sheet["bucket_a_month"], sheet["bucket_a_reading"]
    assert month["Cloudflare R2"] == pytest.approx(0.015 * gb)
    assert month["Backblaze B2"] == pytest.approx(6.95 * gb / 1000)
    assert once["Cloudflare R2"] == 0  # nothing is asked for what leaves it
    assert once["Backblaze B2"] == pytest.approx(0.01 * data / 1e9)


def test_the_bucket_has_its_lines_with_the_date_of_its_prices(gpt2):
    _, out, _ = gpt2("--preset", "1xh100")
    said = out.splitlines()[-4:]
    assert said == [
        "bucket       23.5 GB (20.0 data, 3.0 checkpoints, 0.5 model)",
        "             dollars a month, at most: 0.35 at Cloudflare R2, 0.16 at Backblaze B2",
        "             dollars to read the data once, at most: 0.00 at Cloudflare R2, "
        "0.20 at Backblaze B2",
        f"             ({plan.BUCKETS_SEEN})",
    ]
    assert "2026" in plan.BUCKETS_SEEN


def test_every_preset_has_its_machine():
    assert list(plan.MACHINES) == list(PRESETS)


def test_the_command_prints_one_machine_or_all(gpt2):
    code, out, err = gpt2("--preset", "8xh100")
    assert (code, err) == (0, "")
    assert "124,439,808 parameters" in out and "9,999,745,024 tokens" in out
    code, out, _ = gpt2()
    assert code == 0 and all(f"{name}: " in out for name in PRESETS)


def test_json_is_a_list_of_sheets(gpt2):
    code, out, _ = gpt2("--preset", "cpu", "--json")
    (sheet,) = json.loads(out)
    assert code == 0 and sheet["preset"] == "cpu" and sheet["dollars"] == 0
    assert [sheet["preset"] for sheet in json.loads(gpt2("--json")[1])] == list(PRESETS)


def test_a_reader_has_other_prices(gpt2, tmp_path):
    table = tmp_path / "prices.json"
    table.write_text('{"8xh100": 16, "t4": 0.2}')
    sheets = {sheet["preset"]: sheet for sheet in json.loads(gpt2("--prices", table, "--json")[1])}
    assert sheets["8xh100"]["dollars_per_hour"] == 16 and sheets["8xh100"]["prices"] == "yours"
    assert sheets["1xh100"]["dollars_per_hour"] == plan.MACHINES["1xh100"].dollars
    words = ("--preset", "8xh100", "--price", "2.5", "--prices", table, "--json")
    assert json.loads(gpt2(*words)[1])[0]["dollars_per_hour"] == 2.5  # the nearer word counts


BAD = ["", "[1]", "3", "{", '{"9xh100": 1}', '{"t4": "cheap"}', '{"t4": -1}', '{"t4": null}']
BAD += ['{"t4": NaN}', '{"t4": Infinity}', '{"t4": true}', "[" * 100_000, '{"t4": 1e999}']


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_prices_that_are_none_are_a_sentence(gpt2, tmp_path, text):
    table = tmp_path / "prices.json"
    table.write_text(text)
    code, out, err = gpt2("--prices", table)
    assert (code, out, err.count("\n")) == (1, "", 1) and "price" in err


def test_files_and_words_that_are_none_are_a_sentence(gpt2, tmp_path):
    for words in (["--prices", tmp_path / "none"], ["--prices", tmp_path], ["--price", "3"]):
        code, out, err = gpt2(*words)
        assert code == 1 and out == "" and err.count("\n") == 1
    (tmp_path / "b").write_bytes(b"\xff\xfe")
    assert gpt2("--prices", tmp_path / "b")[0] == 1
    for price in ("-1", "nan", "inf", "free"):
        code, _, err = gpt2("--preset", "t4", "--price", price)
        assert code in (1, 2) and err.count("\n") == 1
    assert gpt2("--preset", "9xh100")[0] == 2


def test_every_option_is_explained_with_its_default(gpt2):
    _, out, _ = gpt2("--help")
    for option in ("--preset", "--price", "--prices", "--json"):
        assert option in out
    assert out.count("(default:") == 4
