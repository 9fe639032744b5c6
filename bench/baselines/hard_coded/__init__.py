"""One policy written into the code."""
