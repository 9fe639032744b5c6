"""How fast the app answers, beside functions that do the same work without it or less of it: `python -m bench`."""
