"""The worker: claim, prepare, generate, publish."""
