"""Names of taught modules that no notebook shows, each with its reason."""

# module: {name: reason}
NOT_SHOWN: dict[str, dict[str, str]] = {
    "bpe": {
        "_Pieces": "a dictionary that remembers pieces, for speed alone",
        "_Splitter": "findall with the chapter's pattern, and refusals of other patterns",
    },
    "generate": {
        "generate_batch": "pads prompts and calls `stream`, which the chapter shows",
    },
    "int8": {
        "_compile_rows": "asks torch.compile, and says in a sentence if it cannot",
        "by_columns": "the same numbers laid out for speed alone",
        "int8_row": "one row of weights times its step, written for the compiler",
    },
    "simple": {
        "_check_finite": "refuses a loss that is no number; the chapter shows what it says",
        "_check_texts": "refuses texts without a window, and ids without a row",
        "_describe": "puts names on what was chosen",
    },
    "shards": {
        "check_shards": "reads all bytes and compares checksums, as the chapter does by hand",
        "read_header": "refuses what is no whole shard; the chapter reads one by hand",
        "read_index": "refuses damaged files, no idea of the chapter",
        "vocabulary_hash": "a sha256 of all tokens; the chapter says what it is for",
        "write_shards": "the chapter cuts by hand; the rest is refusals and going on after a kill",
        "write_whole": "aside, sync, rename: the chapter's `sync`, and an exercise of its own",
        "_Ahead": "reads the next batch in a thread, for speed alone",
        "_check_enough": "refuses more readers than there are sequences",
        "_check_ids": "refuses ids outside the vocabulary",
        "_check_sizes": "refuses impossible numbers",
        "_open": "refuses missing, damaged and foreign files, and maps the others",
    },
    "checkpoint": {
        "_STRANGE": "the errors of somebody else's JSON",
        "_read_part": "puts tensors back into nested dictionaries, no idea of the chapter",
        "_steps": "lists folders by their step",
        "_write_parts": "takes tensors out of nested dictionaries, and syncs as `sync` is shown",
        "_write_text": "writes a text and syncs it",
    },
    "distributed": {
        "_from_environment": "reads three variables, and refuses half of them",
        "any_rank": "an all-reduce of one yes or no; the chapter says so",
        "from_all_ranks": "one call of all_gather, for the dice in a checkpoint",
    },
    "train": {
        "ALONE": "the Ranks of a single process",
        "ConfigChanged": "the name of a refusal",
        "Loader": "what a loader must have, which chapter 15 shows on its own",
        "MAY_CHANGE": "settings that may differ when a run goes on",
        "Outcome": "four fields; the chapter prints two of them",
        "Resumable": "collects what chapter 15 lists for a checkpoint, and puts it back",
        "SO_FAR": "names of what a checkpoint holds",
        "StopRequested": "the name of an end that somebody asked for",
        "_refuse_nonsense": "refuses settings that make no sense",
        "_uneven": "the sentence about a batch that cannot be cut",
        "check_same_run": "refuses to go on with other settings",
        "dice": "the random state as bytes, an idea of chapter 15",
        "evaluate": "the mean loss of some batches, as in chapter 12, shared by ranks",
        "fast_kernels": "insists on flash attention on a GPU, an idea of chapter 09",
        "apart": "the comparison that the chapter makes by hand, kept up while a run lasts",
        "look_at": "calls evaluate and keeps the best weights",
        "set_dice": "puts the random state back, an idea of chapter 15",
        "to_device": "one call of `to`, without waiting on a GPU",
    },
}
