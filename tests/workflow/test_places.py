"""A study where it is hard to work: the name of the folder, the user, the rights, the locale."""

import ctypes
import multiprocessing
import os
import shutil
import struct
import sys
from pathlib import Path

from checkout import Checkout

NOBODY = 65534
# <linux/capability.h> and <linux/prctl.h>
VERSION_3, MAY_READ_ALL = 0x20080522, 2
KEEP_CAPABILITIES, AMBIENT, RAISE = 8, 47, 2


def give_up_root() -> None:
    """Be a user who may read all, since Python may lie in the home of root, and do nothing else."""
    kernel = ctypes.CDLL(None, use_errno=True)
    kernel.prctl(KEEP_CAPABILITIES, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    mine = 1 << MAY_READ_ALL
    # Effective, permitted and inheritable: of the first 32 capabilities, and of the others.
    assert not kernel.capset(
        struct.pack("Ii", VERSION_3, 0), struct.pack("6I", mine, mine, mine, 0, 0, 0)
    )
    assert not kernel.prctl(AMBIENT, RAISE, MAY_READ_ALL, 0, 0)


def made_here(checkout: Checkout) -> list[Path]:
    parts = [checkout.results / name for name in ("data", "tables", "figures")]
    return [*parts, *checkout.results.glob("runs/*gpt2*")]


def test_a_study_in_an_odd_folder_of_a_user_without_rights_has_the_same_files(template, tmp_path):
    place = tmp_path / 'it\'s 50% "für" $HOME'
    place.mkdir()
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(place, NOBODY, NOBODY)

    def work() -> None:
        if is_root:
            give_up_root()
        os.umask(0o077)
        os.environ |= {"LC_ALL": "C", "HOME": "/proc", "XDG_CACHE_HOME": str(place / "cache")}
        checkout = template.copy(place / "clone")
        # All but the two models that take longest.
        for part in made_here(checkout):
            shutil.rmtree(part)
        done = checkout.snakemake(check=False)
        (place / "said").write_text(done.stdout + done.stderr)
        sys.exit(done.returncode)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == 0, (place / "said").read_text()
    made = Checkout(place / "clone")
    assert made.hashes() == template.hashes()
    for part in made_here(made):
        for path in (part, *part.rglob("*")):
            assert not path.stat().st_mode & 0o077, path
            assert path.stat().st_uid == (NOBODY if is_root else os.geteuid()), path
