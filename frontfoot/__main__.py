"""`python -m frontfoot`."""

from frontfoot.cli import main

main()
