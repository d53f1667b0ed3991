"""`python -m runwright_cli` is the `runwright` command."""

from runwright_cli.main import main

main()
