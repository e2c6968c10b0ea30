"""Who works here: accounts and sessions in a folder that servers share, and who looks by another server."""
