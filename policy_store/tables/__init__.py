"""The tables: what is kept, and only here."""
