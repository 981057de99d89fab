"""Every benchmark, one after the other; what they print also goes into `benchmarks/figures.txt`.

python -m benchmarks [NAME …]
"""

from __future__ import annotations

import argparse
import os
import pkgutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

FIGURES = Path(__file__).parent / "figures.txt"
NAMES = sorted(info.name for info in pkgutil.iter_modules([str(Path(__file__).parent)]))
NO_SCRIPTS = {"__main__", "_harness", "raw", "models", "gpu"}


def main() -> None:
    """Run them. Exits with 1 when one of them broke."""
    known = [name for name in NAMES if name not in NO_SCRIPTS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    names = parser.parse_args().names or known
    if unknown := set(names) - set(known):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    with open(FIGURES, "w", encoding="utf-8") as figures:
        broken = [name for name in names if not _run(name, figures)]
    if broken:
        sys.exit(f"broke: {', '.join(broken)}")


def _run(name: str, figures: TextIO) -> bool:
    """Run one benchmark; show what it prints and keep it."""
    _tell(f"\n== python -m benchmarks.{name}  ({datetime.now(UTC):%Y-%m-%d %H:%M} UTC)\n\n", figures)
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    # Not in a terminal's colours: the figures are kept.
    environment = os.environ | {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            _tell(line, figures)
    return process.returncode == 0


def _tell(text: str, figures: TextIO) -> None:
    print(text, end="", flush=True)
    figures.write(text)
    figures.flush()


if __name__ == "__main__":
    main()
