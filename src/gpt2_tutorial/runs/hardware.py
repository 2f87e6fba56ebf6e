"""The machines that the presets are for, and what a GPU can do at best."""

from dataclasses import dataclass

PRICES_SEEN = "third-party pages, April and May 2026; ask for today's price"


@dataclass(frozen=True)
class Machine:
    """What one preset runs on; `share` is the share of the peak that a run is taken to reach."""

    words: str
    processes: int
    peak: float  # dense FLOP/s of one device in the format that is used
    share: float  # model FLOPs utilisation, estimated; a log of this card replaces it
    memory: float  # bytes of one device
    dollars: float  # per hour, for all devices together


MACHINES = {
    "cpu": Machine("a laptop, two processes", 2, 0.1e12, 0.4, 8e9, 0.0),
    "t4": Machine("one T4 (16 GB), free in Colab", 1, 65e12, 0.25, 16e9, 0.35),
    "4090": Machine("one RTX 4090 (24 GB)", 1, 165e12, 0.40, 24e9, 0.45),
    "1xh100": Machine("one H100 SXM (80 GB)", 1, 989e12, 0.41, 80e9, 3.0),
    "8xh100": Machine("eight H100 SXM", 8, 989e12, 0.40, 80e9, 23.0),
    "8xa100": Machine("eight A100 (80 GB)", 8, 312e12, 0.45, 80e9, 14.0),
    "2x8xh100": Machine("two machines with eight H100 each", 16, 989e12, 0.38, 80e9, 46.0),
    "8xh100-xl": Machine("eight H100 SXM, for gpt2-xl", 8, 989e12, 0.38, 80e9, 23.0),
}

# Dense FLOP/s in bf16 (a T4's and V100's in fp16), by NVIDIA's data sheets; the first that fits.
PEAKS = {"H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "B200": 2250e12}
PEAKS |= {"A100": 312e12, "A10G": 70e12, "A10": 125e12, "L40S": 362e12, "L4": 121e12}
PEAKS |= {"RTX 4090": 165e12, "RTX 3090": 71e12, "V100": 125e12, "T4": 65e12}


def peak_of(name: str) -> float | None:
    """Return what one GPU could do at best, or None for one that is not in the table.

    >>> peak_of("NVIDIA H100 80GB HBM3"), peak_of("a loom")
    (989000000000000.0, None)
    """
    return next((peak for words, peak in PEAKS.items() if words in name), None)
