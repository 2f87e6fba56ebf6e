"""Whether what lies in a folder is the run that is asked for: its settings, and its data."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gpt2_tutorial.checkpoint import Checkpoint
from gpt2_tutorial.config import TrainConfig, check_same_run
from gpt2_tutorial.state_files import read_part


@dataclass(frozen=True)
class Asked:
    """The run that is asked for.

    >>> asked = Asked(TrainConfig(), "data/a", "5d8d81ac")
    >>> asked.check(asked.settings() | {"data": "54b770f7"})
    Traceback (most recent call last):
    ValueError: data/a is not the data this run began with: take that data, or an empty folder
    """

    config: TrainConfig
    folder: str | Path  # of the data, as it was typed
    data: str  # their fingerprint

    def settings(self) -> dict[str, Any]:
        """Return all that makes it this run and no other."""
        return asdict(self.config) | {"data": self.data}

    def check(self, began: dict[str, Any]) -> None:
        """Refuse a run that began otherwise."""
        if began.get("data") != self.data:
            raise ValueError(
                f"{self.folder} is not the data this run began with: take that data, or an "
                "empty folder"
            )
        check_same_run(began, asdict(self.config))

    def check_found(self, found: Checkpoint) -> None:
        """Refuse a checkpoint of another run, before anything is done with it."""
        try:
            began = read_part(found.path, "run")["config"]
            began = began | {"data": read_part(found.path, "loader")["data"]}
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"{found.path} holds no run of this script: take an empty folder"
            ) from None
        self.check(began)
