"""Policies in and out: files, folders and static sites."""
