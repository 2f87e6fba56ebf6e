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
        "_describe": "puts names on what was chosen",
    },
    "shards": {
        "Prefetcher": "reads the next batch in a thread, for speed alone",
        "_check_enough": "refuses more readers than there are sequences",
        "_check_sizes": "refuses impossible numbers",
    },
    "distributed": {
        "_from_environment": "reads three variables, and refuses half of them",
    },
    "modern": {
        "check_groups": "refuses heads that cannot share their keys equally",
        "check_switches": "refuses switches that stand where there is nothing",
    },
    "muon": {
        "Together.load_state_dict": "hands each optimizer the state that it saved",
        "Together.state_dict": "the state of each optimizer, by its number",
    },
}
