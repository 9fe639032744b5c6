"""The app in Azure, through the operator's own Azure CLI."""
