"""Names of taught modules that no notebook shows, each with its reason."""

# module: {name: reason}
NOT_SHOWN: dict[str, dict[str, str]] = {
    "bpe": {
        "_Pieces": "a dictionary that remembers pieces, for speed alone",
        "_Splitter": "findall with the chapter's pattern, and refusals of other patterns",
    },
    "evaluate": {
        "LENGTHS": "three ways to count a length; the chapter names them",
        "_check_item": "refuses items without text or answer",
        "_check_room": "refuses choices that are longer than the context",
        "_cheapest": "argmin of a list, and a refusal of nan",
        "harness_item": "tidies HellaSwag's text as EleutherAI's harness does",
        "hellaswag": "counts the right answers and the standard error, which the chapter works out",
        "load_hellaswag": "fetches the exam, no idea of the chapter",
        "plain_item": "one line of a file as an Item",
        "read_items": "lines of a file as Items",
        "text_losses": "the scoreboard's windows, which chapter 00 explains",
    },
    "generate": {
        "Int8Embedding": "the table of Int8Linear, read by token",
        "Int8Linear": "two lines round `to_int8`, which the chapter shows, and a way for GPUs",
        "by_columns": "the same numbers laid out for speed alone",
        "evaluating": "what model.eval() does, undone afterwards",
        "generate_batch": "pads prompts and calls `stream`, whose parts the chapter shows",
        "int8_row": "one row of weights times its step, written for the compiler",
        "quantize_int8": "puts Int8Linear in the place of every linear layer",
        "row_generators": "one source of chance for each row; the chapter says so",
        "stream": "the loop that the chapter writes by hand, for many rows and with a stop token",
        "_best_logits": "refuses logits that are no bets",
        "_check_cached": "refuses ids that do not fit the cache",
        "_compile_rows": "asks torch.compile, and says in a sentence if it cannot",
        "_check_ends": "refuses impossible numbers of tokens and stop tokens",
        "_check_id": "refuses ids that the model does not know",
        "_check_knobs": "refuses bad knobs before the first token",
        "_check_prompts": "refuses what is no (B, T) of ids",
    },
    "simple": {
        "_check_finite": "refuses a loss that is no number; the chapter shows what it says",
        "_check_texts": "refuses texts without a window, and ids without a row",
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
    "config": {
        "_refuse_nonsense": "refuses settings that make no sense",
        "_uneven": "the sentence about a batch that cannot be cut",
    },
    "run": {
        "Loader": "what a loader must have, which chapter 15 shows on its own",
        "to_device": "one call of `to`, without waiting on a GPU",
    },
    "train": {
        "fast_kernels": "insists on flash attention on a GPU, an idea of chapter 09",
    },
}
