"""Names of taught modules that no notebook shows, each with its reason."""

# module: {name: reason}
NOT_SHOWN: dict[str, dict[str, str]] = {
    "bpe": {
        "_FORMAT": "the name of the file's format, no idea of the chapter",
        "_LISTS": "what a file holds, no idea of the chapter",
        "_Pieces": "a dictionary that remembers pieces, for speed alone",
        "_Splitter": "findall with the chapter's pattern, and refusals of other patterns",
        "_Streamer": "encodes texts that come in chunks, an idea of chapter 15",
        "_checked": "refuses damaged files, no idea of the chapter",
        "_names": "refuses special tokens that no text could hold",
        "_split_specials": "one call of re.split; the chapter shows what it does",
        "_tokens": "the loop that the chapter writes for its own merges, and refusals",
        "_whole_characters": "mends halves of characters that only broken programs hand in",
        "_write_aside": "keeps files whole, no idea of the chapter",
    },
}
