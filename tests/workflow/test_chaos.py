"""The kill campaign in small; `make chaos` is the whole."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from chaos import campaign


def test_after_twenty_kills_the_same_command_makes_the_same_bytes(finished, capfd):
    # In a fork: it imports the source of a checkout.
    with ProcessPoolExecutor(1, get_context("fork")) as pool:
        well = pool.submit(campaign, 20, seed=15, lanes=1, study=finished).result()
    assert well, capfd.readouterr().out
