"""The script of the last chapter, as `make export` writes it."""
