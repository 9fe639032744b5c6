"""The function apps that the app is held against."""
