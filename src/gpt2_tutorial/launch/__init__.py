"""The script of chapter 17, as `make export` writes it."""
