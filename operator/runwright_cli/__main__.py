from runwright_cli.main import main

main()
