"""Temperature and precision that the hand-written transformers need (paper: Lemma A.2)."""

import itertools
import math
from collections.abc import Callable, Sequence

import pandas as pd
import torch

from logdepth.config.run import Task
from logdepth.evaluation.errors import evaluation_set
from logdepth.models.transformer import Transformer
from logdepth.tasks.hop import HopTask
from logdepth.theory.compiled import compile_fast
from logdepth.theory.construction import (
    HopTransformer,
    Temperatures,
    safe_temperatures,
    true_answers,
)
from logdepth.theory.encodings import ENCODINGS, Encoding
from logdepth.theory.heads import BFLOAT16, BFLOAT16_LOGITS, FLOAT32, FLOAT64, Precision
from logdepth.theory.programs import ladder

HEADS = ("look-up", "last occurrence")
PRECISIONS = (FLOAT64, FLOAT32, BFLOAT16, BFLOAT16_LOGITS)

# Inverse temperature times margin that is far more than any length here needs.
_COLD = 60.0


def hard_strings(length: int, alphabet: int, seed: int) -> torch.Tensor:
    """Return strings that a construction may well get wrong, int64 (7, length).

    Uniform; without equal neighbours; constant; of period ``alphabet``; last symbol with its only
    match at the greatest distance; last symbol new; every symbol twice in a row.
    """
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.randint(alphabet, (length,), generator=generator)
    steps = torch.randint(max(1, alphabet - 1), (length,), generator=generator) + 1
    i = torch.arange(length)
    is_last = i == length - 1
    filler = torch.full_like(i, min(1, alphabet - 1))
    return torch.stack(
        [
            uniform,
            steps.cumsum(0) % alphabet,
            0 * i,
            i % alphabet,
            filler.masked_fill((i == 0) | is_last, 0),
            filler.masked_fill(is_last, 0),
            i // 2 % alphabet,
        ]
    )


def smallest_temperatures(
    lengths: Sequence[int] = (16, 64, 256),
    alphabets: Sequence[int] = (4,),
    encodings: Sequence[Encoding] = ENCODINGS,
    *,
    hops: Sequence[int] = (1, 2, 7, 31),
    steps: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """Find the smallest inverse temperature of each kind of head that makes no mistake, in float64.

    By bisection on ``hard_strings`` between 0 and 60 over the margin, where the other kind of head
    stays. The outcome is a property of these strings; ``safe_temperatures`` holds for all.

    Returns:
        A row an encoding, length, alphabet and head: encoding, length, alphabet, head, margin (at
        inverse temperature 1), temperature, scaled (their product), log (ln 4N, to compare).
    """
    rows = []
    for encoding, length, alphabet in itertools.product(encodings, lengths, alphabets):
        strings = hard_strings(length, alphabet, seed)
        margins = (encoding.lookup(length)[2], encoding.last_margin(length, alphabet))
        exact = _Exactness(strings, alphabet, hops, encoding, margins)
        for head, name in enumerate(HEADS):
            scaled = _bisect(exact.of(head), _COLD, steps)
            margin = margins[head]
            temperature = scaled / margin
            log = math.log(4 * length)
            rows.append((encoding.name, length, alphabet, name, margin, temperature, scaled, log))
    columns = ["encoding", "length", "alphabet", "head", "margin", "temperature", "scaled", "log"]
    return pd.DataFrame(rows, columns=columns)


def exactness(
    lengths: Sequence[int] = (16, 64, 256),
    alphabets: Sequence[int] = (4, 26),
    encodings: Sequence[Encoding] = ENCODINGS,
    precisions: Sequence[Precision] = PRECISIONS,
    *,
    hops: Sequence[int] = (1, 5, 16),
    seed: int = 0,
) -> pd.DataFrame:
    """Count wrong answers on ``hard_strings`` at the safe temperatures, by number format.

    Returns:
        A row an encoding, format, length and alphabet: encoding, precision, length, alphabet,
        wrong, answers.
    """
    rows = []
    for length, alphabet in itertools.product(lengths, alphabets):
        strings = hard_strings(length, alphabet, seed)
        for encoding, precision in itertools.product(encodings, precisions):
            scales = safe_temperatures(encoding, length, alphabet)
            wrong = _wrong(strings, alphabet, hops, encoding, scales, precision)
            answers = len(hops) * strings.numel()
            rows.append((encoding.name, precision.name, length, alphabet, wrong, answers))
    columns = ["encoding", "precision", "length", "alphabet", "wrong", "answers"]
    return pd.DataFrame(rows, columns=columns)


def observed_margins(
    lengths: Sequence[int] = (16, 64, 256),
    alphabets: Sequence[int] = (4,),
    encodings: Sequence[Encoding] = ENCODINGS,
    *,
    hops: int = 31,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare the margins that occur on ``hard_strings`` with those that the encodings promise.

    Returns:
        A row an encoding, length, alphabet and layer: encoding, length, alphabet, layer (from 1),
        promised, observed (the least over tokens), both at inverse temperature 1.
    """
    rows = []
    for encoding, length, alphabet in itertools.product(encodings, lengths, alphabets):
        strings = hard_strings(length, alphabet, seed)
        scales = safe_temperatures(encoding, length, alphabet)
        model = HopTransformer(length, alphabet, ladder(hops), encoding)
        unseen = torch.ones(length + 1, length + 1, dtype=torch.bool).triu(1)
        for number, stage in enumerate(model.trace(strings), 1):
            is_last = number == 2
            scale = scales.last if is_last else scales.lookup
            logits = stage.layer.logits.masked_fill(unseen, -torch.inf)
            best, _ = logits[:, 1:].topk(2)
            promised = (
                encoding.last_margin(length, alphabet) if is_last else encoding.lookup(length)[2]
            )
            observed = float((best[..., 0] - best[..., 1]).min()) / scale
            rows.append((encoding.name, length, alphabet, number, promised, observed))
    columns = ["encoding", "length", "alphabet", "layer", "promised", "observed"]
    return pd.DataFrame(rows, columns=columns)


def compiled_sizes(
    contexts: Sequence[int] = (16, 32, 64, 99, 128, 256, 512, 1024),
    hops: Sequence[int] = (1, 2, 4, 8, 16, 32),
    alphabet: int = 4,
) -> pd.DataFrame:
    """Return the size of the compiled models.

    Returns:
        A row a context and largest k: context, alphabet, max_hops, depth, heads, width, parameters.
    """
    rows = []
    for context, k in itertools.product(contexts, hops):
        built = compile_fast(Task(context=context, alphabet=alphabet, max_hops=k))
        parameters = sum(tensor.numel() for tensor in built.weights.values())
        spec = built.spec
        rows.append((context, alphabet, k, spec.depth, spec.heads, spec.width, parameters))
    columns = ["context", "alphabet", "max_hops", "depth", "heads", "width", "parameters"]
    return pd.DataFrame(rows, columns=columns)


@torch.no_grad()
def compiled_exactness(
    tasks: Sequence[Task] = (
        Task(context=48, alphabet=4, max_hops=8),
        Task(context=99, alphabet=4, max_hops=16),
        Task(context=257, alphabet=26, max_hops=32),
    ),
    *,
    sequences: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """Count wrong answers of the compiled models, "no such position" included, for each k.

    In bfloat16 the matrix products of the linear layers are rounded, as in training; attention and
    the residual stream stay float32.

    Returns:
        A row a task and format: context, alphabet, max_hops, precision, wrong, answers.
    """
    rows = []
    for task in tasks:
        built = compile_fast(task)
        model = Transformer(built.spec).eval()
        model.load_state_dict(built.weights)
        data = evaluation_set(task, tuple(range(task.max_hops + 1)), sequences, seed)
        first = HopTask(task.context, task.alphabet, task.max_hops).first_symbol
        for name in ("float32", "bfloat16"):
            wrong = 0
            for tokens, targets in zip(data["tokens"], data["targets"], strict=True):
                with torch.autocast("cpu", torch.bfloat16, enabled=name == "bfloat16"):
                    answers = model(tokens.long()).argmax(-1) + first
                wrong += int((answers != targets)[:, 1:].sum())
            count = data["targets"][..., 1:].numel()
            rows.append((task.context, task.alphabet, task.max_hops, name, wrong, count))
    columns = ["context", "alphabet", "max_hops", "precision", "wrong", "answers"]
    return pd.DataFrame(rows, columns=columns)


class _Exactness:
    """Whether a construction is exact as the temperature of one head varies."""

    def __init__(
        self,
        strings: torch.Tensor,
        alphabet: int,
        hops: Sequence[int],
        encoding: Encoding,
        margins: tuple[float, float],
    ) -> None:
        self.arguments = (strings, alphabet, hops, encoding)
        self.margins = margins

    def of(self, head: int) -> Callable[[float], bool]:
        """Return the question as a function of temperature times margin of one head."""

        def is_exact(scaled: float) -> bool:
            wanted = [_COLD, _COLD]
            wanted[head] = scaled
            scales = Temperatures(
                *(x / margin for x, margin in zip(wanted, self.margins, strict=True))
            )
            return not _wrong(*self.arguments, scales, FLOAT64)

        return is_exact


def _wrong(
    strings: torch.Tensor,
    alphabet: int,
    hops: Sequence[int],
    encoding: Encoding,
    scales: Temperatures,
    precision: Precision,
) -> int:
    """Count wrong answers over strings and values of k."""
    wrong = 0
    for k in hops:
        model = HopTransformer(
            strings.shape[1],
            alphabet,
            ladder(k),
            encoding,
            precision=precision,
            temperatures=scales,
        )
        wrong += int((model(strings) != true_answers(strings, k, alphabet)).sum())
    return wrong


def _bisect(is_enough: Callable[[float], bool], high: float, steps: int) -> float:
    """Return the least number that is enough, to within high / 2^steps."""
    low = 0.0
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
