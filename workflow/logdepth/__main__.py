"""``python -m logdepth``."""

from logdepth.cli.main import main

main()
