"""The queue: what a job goes through, in whose turn, and what is told of it."""
