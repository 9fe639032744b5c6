"""The operations on policies: what a change means, what stands against it, and the one writer."""
