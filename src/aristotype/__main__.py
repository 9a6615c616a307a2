"""`python -m aristotype` is the command `aristotype`."""

from aristotype.cli import main

main()
