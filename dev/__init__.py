"""What a developer's machine needs to run the app without Azure: a host, the table service and sample policies."""
