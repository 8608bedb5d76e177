"""In which number formats the constructions are exact (paper: precision p = Theta(log N))."""

import itertools
from collections.abc import Sequence

import pandas as pd
import torch

from logdepth.config.theory import Theory
from logdepth.theory.construction import HopTransformer, true_answers
from logdepth.theory.encodings import ENCODINGS, Encoding
from logdepth.theory.heads import BFLOAT16, BFLOAT16_LOGITS, FLOAT32, FLOAT64, Precision
from logdepth.theory.programs import hops_by_layer, ladder
from logdepth.theory.strings import hard_strings

FORMATS = (FLOAT64, FLOAT32, BFLOAT16, BFLOAT16_LOGITS)


def table(settings: Theory) -> pd.DataFrame:
    """Count wrong answers at the safe temperatures, for the two largest alphabets.

    Returns:
        A row per encoding, number format, length and alphabet: encoding, precision, length,
        alphabet, wrong, answers.
    """
    return wrong_answers(
        settings.measured_lengths,
        sorted(set(settings.alphabets))[-2:],
        hops=settings.max_hops,
        seed=settings.seed,
    )


def wrong_answers(
    lengths: Sequence[int],
    alphabets: Sequence[int],
    encodings: Sequence[Encoding] = ENCODINGS,
    precisions: Sequence[Precision] = FORMATS,
    *,
    hops: int = 32,
    seed: int = 0,
) -> pd.DataFrame:
    """Count wrong answers on ``hard_strings``, at every position.

    One transformer answers for several k, those that the ladder to ``hops`` passes through.

    Args:
        lengths: N.
        alphabets: numbers of symbols S.
        encodings: of positions and symbols.
        precisions: number formats.
        hops: largest k.
        seed: of the strings.

    Returns:
        As ``table``.
    """
    rows = []
    for length, alphabet in itertools.product(lengths, alphabets):
        strings = hard_strings(length, alphabet, seed)
        right = [true_answers(strings, k, alphabet) for k in hops_by_layer(hops)]
        for encoding, precision in itertools.product(encodings, precisions):
            model = HopTransformer(length, alphabet, ladder(hops), encoding, precision=precision)
            wrong = _wrong(model, strings, right)
            answers = len(right) * strings.numel()
            rows.append((encoding.name, precision.name, length, alphabet, wrong, answers))
    columns = ["encoding", "precision", "length", "alphabet", "wrong", "answers"]
    return pd.DataFrame(rows, columns=columns)


def _wrong(model: HopTransformer, strings: torch.Tensor, right: list[torch.Tensor]) -> int:
    """Count wrong answers after each layer from the second on."""
    wrong = 0
    # One string at a time: their attention matrices stay in the cache.
    for index, string in enumerate(strings[:, None]):
        stages = itertools.islice(model.stages(string), 1, None)
        for stage, answers in zip(stages, right, strict=True):
            wrong += int((stage.upper.symbol[0, 1:] != answers[index]).sum())
    return wrong
