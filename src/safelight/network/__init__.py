"""The only door to the network, and which addresses it opens to."""
