"""What the engine reaches on a GPU, against diffusers on the same card; see docs/benchmarks.md."""
