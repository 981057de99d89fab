"""What requests cost, and the books of it."""
