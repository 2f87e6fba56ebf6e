"""What a long training run needs around its loop: a folder, signals, looking on, an ending."""
