"""The `lerax` command."""
