"""Names of taught modules that no notebook shows, each with its reason."""

# module: {name: reason}
NOT_SHOWN: dict[str, dict[str, str]] = {}
