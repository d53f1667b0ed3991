"""The clouds' own emulators, real programs on loopback: Azurite for Azure, fake-gcs-server for Google."""
