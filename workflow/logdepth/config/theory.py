"""How much of the theory a study runs: sizes, and numbers of instances."""

from typing import Annotated

from pydantic import Field

from logdepth.settings import Settings

Size = Annotated[int, Field(ge=1)]
Machines = Annotated[int, Field(ge=4)]


class Theory(Settings):
    """Sizes of what is tried and measured; the defaults are those of the published claims."""

    seed: int = Field(0, ge=0)
    """Seed of all random instances."""
    instances: int = Field(50, ge=2)
    """Random instances of each protocol, reduction and size."""
    lengths: tuple[Size, ...] = Field((1, 2, 3, 5, 8, 16, 33, 64, 100, 128, 200, 256), min_length=1)
    """Lengths N of the strings on which the hop_k transformers are tried."""
    alphabets: tuple[Size, ...] = Field((1, 2, 4, 26), min_length=1)
    """Sizes of their alphabets; one of N symbols is always tried as well."""
    max_hops: int = Field(32, ge=1)
    """Largest k; every k from 0 to this is tried."""
    machines: tuple[Machines, ...] = Field((64, 256, 1024, 4096), min_length=1)
    """Machines of the protocols that are run, and compiled into transformers."""
    measured_lengths: tuple[Size, ...] = Field((16, 32, 64, 128, 256, 512, 1024), min_length=1)
    """Lengths N at which temperature and precision are measured."""
    fans: tuple[Size, ...] = Field((1, 2, 3, 4, 6, 8), min_length=1)
    """Messages s that a token sends and receives, where the width of routing is measured."""
    tokens: tuple[Machines, ...] = Field(
        (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096), min_length=1
    )
    """Tokens M of the attention whose rounds and machines are counted."""
    diameters: tuple[Annotated[int, Field(ge=2)], ...] = Field(
        (2, 4, 8, 16, 32, 64, 128, 256, 512), min_length=1
    )
    """Diameters D of the graphs whose components are found."""
