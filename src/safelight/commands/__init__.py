"""The commands, a module for each group of them; `cli.py` registers them, `shared.py` is what they share.

Whatever takes long to import is imported inside a command: `safelight --help` answers at once.
"""
