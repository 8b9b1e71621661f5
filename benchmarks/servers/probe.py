"""Says as JSON whether a loop can be made here: MODULE:FACTORY [MODULE...]."""
from __future__ import annotations

import importlib
import json
import platform
import sys
from importlib import metadata

from .common import resolve


def main() -> None:
    """Make the loop, close it, import the rest."""
    factory, *modules = sys.argv[1:]
    answer = {"reason": None, "python": platform.python_version(), "versions": {}}
    try:
        resolve(factory)().close()
        for name in modules:
            importlib.import_module(name)
    except Exception as error:
        answer["reason"] = f"{type(error).__name__}: {error}"
    for name in (factory.partition(":")[0], *modules):
        version = getattr(sys.modules.get(name), "__version__", None)
        try:
            version = version or metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
        if version:
            answer["versions"][name] = version
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
