"""The engine: a child process that holds the weights, and what its parent says to it."""
