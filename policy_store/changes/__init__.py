"""The operations on policies: what a change means, every reason against it, and the one writer."""
