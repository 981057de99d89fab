"""`python -m safelight` is the command `safelight`."""

from safelight.cli import main

main()
