"""Messages at full load, and which of them a code loses (paper: Lemma 3.2)."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from logdepth.theory.mpc.codes import Code, Ints


def fans_for(tokens: int, fans: Iterable[int]) -> list[int]:
    """Return the numbers of messages that a token can send to different tokens, in order."""
    return sorted({min(fan, tokens) for fan in fans})


def full_load(tokens: int, fan: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw sources and destinations: ``fan`` different messages from and to every token."""
    shifts = rng.choice(tokens, fan, replace=False)
    order, names = rng.permutation(tokens), rng.permutation(tokens)
    source = np.tile(names, fan)
    destination = order[(np.arange(tokens)[None, :] + shifts[:, None]) % tokens].ravel()
    return source, destination


def private_columns(code: Code, source: Ints, destination: Ints) -> npt.NDArray[np.bool_]:
    """Return which columns of a message no other has that its receiver averages with it.

    A receiver averages all messages of all tokens that send to it. A message without a private
    column is lost.

    Args:
        code: columns of the messages.
        source: int64 (messages,) from 0.
        destination: int64 (messages,) from 0; no message occurs twice.

    Returns:
        bool (messages, columns of a message).
    """
    order = np.argsort(source, kind="stable")
    senders, starts, sizes = np.unique(source[order], return_index=True, return_counts=True)
    sender = np.searchsorted(senders, source)
    # Message a is heard, with all that its sender sends, by the receiver of a.
    count = sizes[sender]
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    heard = order[np.repeat(starts[sender], count) + offset]
    receiver = np.repeat(destination, count)
    columns = code.where(source, destination)
    cell = receiver[:, None] * code.columns + columns[heard]
    used = np.bincount(cell.ravel())
    mine = destination[:, None] * code.columns + columns
    private: npt.NDArray[np.bool_] = used[mine] == 1
    return private


def lost_messages(code: Code, source: Ints, destination: Ints) -> npt.NDArray[np.bool_]:
    """Return which messages are lost, bool (messages,); arguments as ``private_columns``."""
    return np.logical_not(private_columns(code, source, destination).any(axis=1))
