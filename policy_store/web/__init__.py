"""The local page: it reads input, calls the operations, and shows the result. No rule of mail is in here."""
