"""What a LoRA is: where it comes from, and what its file says."""
