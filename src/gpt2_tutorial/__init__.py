"""The code of “GPT-2 from scratch”: one module per idea, in the order of the chapters.

    00  text
    01  ngram
    02  bigram, loop
    03  autograd
    04  optim
    05  mlp
    06  (bpe_input), (bpe_stream), bpe, bpe_export
    07  attention
    08  attention
    09  attention
    10  block
    11  gpt, (weight_files), (weight_checks), pretrained
    12  precision, (simple_input), simple
    13  (generate_input), sampling, cache, generate, int8, (evaluate_input), evaluate
    14  step
    15  (shard_format), (shard_folder), (shard_writer), shards, (state_files), checkpoint
    16  distributed
    17  config, run, train
    18  ngram_embedding, modern, muon

In brackets stand back rooms, which no chapter need show. Around the book:
assets, exam_files, scoreboard, ladder, probes, ledger, figures, checks, grader,
commands, launch, runs.
"""

__version__ = "0.1.0"
