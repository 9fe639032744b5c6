"""What the Azure CLI itself says of every command for it that the project prints, writes down or runs."""
