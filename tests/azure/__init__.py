"""What the app and the command do in Azure."""
