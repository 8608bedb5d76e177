"""One Snakemake at a time works on a study."""

import sys
from pathlib import Path

from filelock import FileLock, Timeout

from logdepth.errors import UserError

_held: list[FileLock] = []


def hold(study: str) -> None:
    """Hold a study until this process ends, however it does.

    The kernel releases the lock, where a killed Snakemake leaves its own behind.

    Raises:
        UserError: another process holds it.
    """
    lock = FileLock(Path(".snakemake", f"{study}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise UserError(
            f"results/{study}: another Snakemake is at work here; wait for it, or stop it"
        ) from error
    except (OSError, NotImplementedError) as error:
        # A file system may have no locks; work goes on, and its owner has to take care.
        print(
            f"results/{study}: cannot be locked ({error}); expected no second Snakemake here",
            file=sys.stderr,
        )
        return
    _held.append(lock)
