"""``python -m logdepth``."""

from logdepth.cli import main

main()
