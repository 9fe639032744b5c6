"""The app's packages without the app."""
