"""The page in a real browser, driven as a person does. `make test-web` runs these; `make test` does not."""
