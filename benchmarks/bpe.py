"""Byte-pair encoding against tokenizers and tiktoken: training, encoding, memory of a stream.

    .venv/bin/python benchmarks/bpe.py

Checks first that all give the same ids. Then times them in turn, A B A B, in CPU-seconds of one
thread, and reports medians, and the ratio of each pair with its smallest and largest. Writes
results/runs/bpe.json. Takes about five minutes.
"""

from __future__ import annotations

import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

os.environ |= {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
os.environ |= {"OMP_NUM_THREADS": "1", "TIKTOKEN_CACHE_DIR": ""}

import tiktoken
import tokenizers
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tiktoken_ext.openai_public import r50k_pat_str

from gpt2_tutorial import assets, bpe
from gpt2_tutorial.bpe_export import spelled_vocabulary, to_hugging_face
from gpt2_tutorial.text import load_shakespeare

ROOT = Path(__file__).resolve().parents[1]
PAIRS = int(os.environ.get("PAIRS", "11"))
SIZES = (512, 1024, 4096)
STREAM_MEGABYTES = 100


def seconds(action: Callable[[], object]) -> float:
    """CPU-seconds of this process."""
    start = time.process_time()
    action()
    return time.process_time() - start


def paired(ours: Callable[[], float], theirs: Callable[[], float]) -> dict:
    """Time both in turn; a ratio below 1 means that ours took less."""
    rows = [(ours(), theirs()) for _ in range(PAIRS)]
    ratios = [mine / other for mine, other in rows]
    return {
        "ours": round(statistics.median(mine for mine, _ in rows), 4),
        "theirs": round(statistics.median(other for _, other in rows), 4),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_min_max": [round(min(ratios), 3), round(max(ratios), 3)],
        "pairs": PAIRS,
    }


def rust_trained(text: str, size: int) -> tokenizers.Tokenizer:
    """Train with the Rust trainer behind Hugging Face's tokenizers."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    level = tokenizers.pre_tokenizers.ByteLevel
    tokenizer.pre_tokenizer = level(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size, show_progress=False, initial_alphabet=level.alphabet()
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def training(text: str) -> dict:
    """Time both trainers, and say how many of their tokens are the same (ties differ)."""
    rows = {}
    for size in SIZES:
        row = paired(
            lambda size=size: seconds(lambda: bpe.BPETokenizer.train(text, size)),
            lambda size=size: seconds(lambda: rust_trained(text, size)),
        )
        ours = set(spelled_vocabulary(bpe.BPETokenizer.train(text, size)))
        row["same_tokens"] = len(ours & set(rust_trained(text, size).get_vocab()))
        rows[str(size)] = row
        print("train", size, row, flush=True)
    return rows


def released() -> tiktoken.Encoding:
    """GPT-2's encoding, from the released files by tiktoken's own reader."""
    files = [str(assets.path(name)) for name in ("vocab.bpe", "encoder.json")]
    ranks = data_gym_to_mergeable_bpe_ranks(*files)
    special = {"<|endoftext|>": 50256}
    return tiktoken.Encoding(
        "gpt2", pat_str=r50k_pat_str, mergeable_ranks=ranks, special_tokens=special
    )


def encoding(text: str) -> dict:
    """Time our encoder, cold and warm, against both others, after checking the ids."""
    gpt2, theirs = bpe.GPT2Tokenizer(), released()
    face = tokenizers.Tokenizer.from_str(to_hugging_face(gpt2))
    assert gpt2.encode(text) == theirs.encode_ordinary(text) == face.encode(text).ids

    def cold() -> float:
        fresh = bpe.GPT2Tokenizer()
        return seconds(lambda: fresh.encode(text))

    def warm() -> float:
        return seconds(lambda: gpt2.encode(text))

    def tik() -> float:
        return seconds(lambda: theirs.encode_ordinary(text))

    def hugging_face() -> float:
        fresh = tokenizers.Tokenizer.from_str(to_hugging_face(gpt2))
        return seconds(lambda: fresh.encode(text))

    rows = {
        "cold_against_tiktoken": paired(cold, tik),
        "warm_against_tiktoken": paired(warm, tik),
        "cold_against_tokenizers": paired(cold, hugging_face),
        "stream_against_encode_warm": paired(
            lambda: seconds(lambda: list(gpt2.encode_iterable([text]))), warm
        ),
    }
    for name, row in rows.items():
        row["megabytes_per_second"] = round(len(text.encode()) / 1e6 / row["ours"], 2)
        row["speed"] = round(1 / row["ratio"], 3)  # how many times as fast as the other
        print(name, row, flush=True)
    return rows


def write_file(path: Path, text: str) -> None:
    """Half Shakespeare again and again, half words of chance, most of them new."""
    rng, written = random.Random(0), 0
    with path.open("w", encoding="utf-8") as file:
        while written < STREAM_MEGABYTES * 10**6:
            words = (f"{rng.getrandbits(40):x}é" for _ in range(len(text) // 12))
            written += file.write(text) + file.write("\n".join(words))


STREAM = """
import sys
from pathlib import Path
from gpt2_tutorial.bpe import GPT2Tokenizer
def peak():  # of this program alone; ru_maxrss would count what started it
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
tokenizer, ids = GPT2Tokenizer(), 0
start = peak()
with open(sys.argv[1], encoding="utf-8", newline="") as lines:
    for _ in tokenizer.encode_iterable(lines):
        ids += 1
print(ids, start, peak() - start)
"""


def stream(text: str) -> dict:
    """Encode a large file line by line in a process of its own; report its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.txt")
        write_file(path, text)
        size = path.stat().st_size
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        found = subprocess.run(
            [sys.executable, "-c", STREAM, str(path)], check=True, capture_output=True, text=True
        )
        spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    ids, start, above = found.stdout.split()
    row = {"file_megabytes": round(size / 1e6, 1), "ids": int(ids), "cpu_seconds": round(spent, 1)}
    row |= {"start_mebibytes": round(float(start), 1), "above_start": round(float(above), 1)}
    print("stream", row, flush=True)
    return row


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    """Measure everything and write the report."""
    text, load = load_shakespeare(), os.getloadavg()[0]
    about = {
        "command": "python benchmarks/bpe.py",
        "date": date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores, one thread used",
        "python": platform.python_version(),
        **{name: version(name) for name in ("tiktoken", "tokenizers", "regex")},
        "unit": "CPU-seconds; ratio = ours / theirs, median of the pairs",
    }
    report = {"about": about, "train_against_tokenizers": training(text)}
    report["encode"] = encoding(text)
    # One curly apostrophe is enough to send a text the slower way, by regex.
    report["encode_not_ascii"] = encoding(text.replace("'", "’"))
    report["stream"] = stream(text)
    about |= {"load_before": round(load, 1), "load_after": round(os.getloadavg()[0], 1)}
    out = ROOT / "results" / "runs" / "bpe.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
