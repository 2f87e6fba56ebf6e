"""What the drift checks hold the book against: the table of chapters, limits, exceptions.

Every exception carries its reason, and one that is no longer needed is itself a complaint.
"""

# The one list of modules. Chapter: (name of the notebook, the modules it finishes), in the order of
# reading, which is that of imports. `make sync` writes it into pyproject.toml and help().
ROOMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "00": ("guessing_game", ("text",)),
    "01": ("bigram", ("ngram",)),
    "02": ("learned_bigram", ("bigram", "loop")),
    "03": ("backprop", ("autograd",)),
    "04": ("optimizers", ("optim",)),
    "05": ("embeddings", ("mlp",)),
    "06": ("bpe", ("bpe_input", "bpe_stream", "bpe", "bpe_export")),
    "07": ("attention", ("attention",)),
    "08": ("multi_head", ("attention",)),
    "09": ("flash_attention", ("attention",)),
    "10": ("gpt2_block", ("block",)),
    "11": ("gpt2", ("gpt", "weight_files", "weight_checks", "pretrained")),
    "12": ("simple_gpt", ("precision", "simple_input", "simple")),
    "13": (
        "generate_and_judge",
        ("generate_input", "sampling", "cache", "generate", "int8", "evaluate_input", "evaluate"),
    ),
    "14": ("fast_step", ("step",)),
    "15": (
        "never_lost",
        ("shard_format", "shard_folder", "shard_writer", "shards", "state_files", "checkpoint"),
    ),
    "16": ("ddp", ("distributed",)),
    "17": ("script", ("config", "run", "train")),
    "18": ("beyond_gpt2", ("ngram_embedding", "modern", "muon")),
}
GROUND = ("files", "assets")  # below all of them
# Modules that taught ones import and that no chapter need show: why it does without the room.
BACK_ROOMS: dict[str, str] = {
    "bpe_input": "refuses texts, special tokens, merges and files that no tokenizer can use",
    "bpe_stream": "encodes texts that come in chunks, for the shards of chapter 15",
    "files": "keeps files whole; chapter 15 shows how",
    "weight_files": "finds the files of a model, refuses damaged ones and pickles",
    "weight_checks": "refuses weights of another model, and numbers that are none",
    "simple_input": "refuses texts that cannot be trained on, and a loss that is no number",
    "generate_input": "refuses prompts, ids and logits that nobody can write from",
    "shard_format": "reads the files of chapter 15 and refuses damaged ones; it reads one by hand",
    "shard_folder": "refuses a folder that holds other text, or what is not ours to write over",
    "shard_writer": "writes them, and goes on after a kill; the chapter cuts a row by hand",
    "state_files": "takes tensors out of nested dictionaries and puts them back",
    "evaluate_input": "refuses texts and exam questions that nobody can judge",
}
ORDER = tuple(dict.fromkeys(name for _, modules in ROOMS.values() for name in modules))
TAUGHT = tuple(name for name in ORDER if name not in BACK_ROOMS)
CHAPTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    chapter: (name, tuple(module for module in modules if module in TAUGHT))
    for chapter, (name, modules) in ROOMS.items()
}

# notebooks may import these as well
SUPPORT = ("assets", "exam_files", "scoreboard", "ladder", "probes", "ledger", "figures", "checks")
# no notebook and no taught module may
BEHIND_THE_SCENES = ("__init__", "__main__", "grader", "commands", "launch", "runs")
TAUGHT_MAY_ALSO_IMPORT = ("assets",)
# cells tagged `export`: the script they become needs them
EXPORTED_MAY_ALSO_IMPORT = ("commands", "runs")

# what Google Colab has installed, beside the standard library
COLAB_HAS = ("torch", "numpy", "matplotlib", "tiktoken", "regex", "tqdm", "requests")
COLAB_HAS += ("safetensors", "huggingface_hub", "transformers", "datasets", "IPython", "ipywidgets")
COLAB_LINK = "https://colab.research.google.com/github/x-jesse/GPT-2/blob/main/notebooks/"
# where a chapter stands with its outputs, which the stored notebooks do not have
PAGE_LINK = "https://x-jesse.github.io/GPT-2/notebooks/"

KERNELSPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}
NOTEBOOK_METADATA = {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
CELL_METADATA = ("tags", "mystnb", "numbers")

PARTS = ("card", "problem", "here", "by-hand", "build")
PARTS += ("finished", "measure", "exercises", "recap", "next")
FLOATING_PARTS = ("predict", "wrong")  # wherever readers go wrong, between problem and recap

MAX_LINES = 25
MAX_SRC_LINES = 45
MAX_NEW_TERMS = 14
ALT_WORDS = (15, 60)
CAPTION_WORDS = (5, 26)

# words before a number that make it a version or a label instead of a claim
LABELS = (
    "Python|PyTorch|torch|numpy|CUDA|Jupyter Book|CC BY|CC BY-SA|Apache|Exercises?|Section|§|"
    "GPT-|Apache-|arXiv:|doi:"
)

# (chapter, part): why this chapter does without it
PARTS_LEFT_OUT: dict[tuple[str, str], str] = {}
# (chapter, cell id): why this cell is longer than the limit
LONG_CELLS: dict[tuple[str, str], str] = {
    ("17", "c17-060"): "all settings of a run with their sources: a reader looks things up in it",
}
# (chapter, glossary term): why this earlier chapter may use the word
EARLY_USE: dict[tuple[str, str], str] = {
    ("01", "attention head"): "a promise: what will solve Sheila and Bobby, and where",
    ("03", "gradient accumulation"): "a promise: the name that chapter 14 gives to the exercise",
    ("02", "temperature"): "a promise: the name of a wrong answer, and where it is right",
}
