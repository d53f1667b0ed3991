"""The `runwright` command."""
