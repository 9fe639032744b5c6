"""The pages, one module for each kind: read what was asked, call the operations, show the result."""
