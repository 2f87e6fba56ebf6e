"""The code of “GPT-2 from scratch”: one module per idea, in reading order.

text → ngram are taught (chapters 00 and 01). assets, ledger, scoreboard, figures and checks
stand around the book and are imported by its notebooks.
"""

__version__ = "0.1.0"
