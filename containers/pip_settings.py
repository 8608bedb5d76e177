"""Prepare a folder that tells the pip of a build where pip finds packages here.

``pip_settings.py FOLDER`` writes FOLDER/pip.sh, settings for sh, and copies certificates beside it.
The build sees the folder as /media. Local folders of packages shall be mounted below it: what to
mount is printed, one ``source:target:ro`` a line. None of it may end up in the image, nor be shown:
an address can hold a password.
"""

import ast
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MEDIA = "/media"
PLACES = ("index-url", "extra-index-url", "find-links")
CERTIFICATES = ("cert", "client-cert")
OTHERS = ("no-index", "trusted-host", "proxy", "timeout", "retries")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def parse(listing: str) -> dict[str, str]:
    """Return the settings in the output of ``pip config list``; the stronger source wins.

    Args:
        listing: lines such as ``global.index-url='...'`` or ``:env:.cert='...'``.
    """
    found = dict[str, str]()
    for section in ("global", "install", ":env:"):
        for line in listing.splitlines():
            key, _, value = line.partition("=")
            name = key.removeprefix(f"{section}.")
            if name != key and name in (*PLACES, *CERTIFICATES, *OTHERS):
                found[name] = str(ast.literal_eval(value))
    return found


@dataclass
class Folder:
    """The folder of the settings, and what to mount below it.

    Attributes:
        path: where it is on this machine.
        mounts: ``source:target:ro``, in order.
    """

    path: Path
    mounts: list[str] = field(default_factory=list)

    def place(self, word: str) -> str:
        """Return a place of packages as the build sees it; a local one is mounted."""
        if word.startswith("file://"):
            # The pages of an index refer to files beside it.
            local = Path(word.removeprefix("file://")).resolve()
            return f"file://{self._mount(local.parent)}/{local.name}"
        if "://" in word:
            return word
        local = Path(word).expanduser().resolve()
        return self._mount(local) if local.is_dir() else f"{self._mount(local.parent)}/{local.name}"

    def certificate(self, name: str, source: str) -> str:
        """Copy a certificate into the folder; return its name in the build."""
        shutil.copyfile(Path(source).expanduser(), self.path / f"{name}.pem")
        return f"{MEDIA}/{name}.pem"

    def _mount(self, source: Path) -> str:
        target = f"{MEDIA}/{len(self.mounts)}"
        (self.path / str(len(self.mounts))).mkdir()
        self.mounts.append(f"{source}:{target}:ro")
        return target


def write(folder: Folder, listing: str, environment: Mapping[str, str]) -> None:
    """Fill the folder from the output of ``pip config list``; add the proxies."""
    settings = parse(listing)
    # What this machine trusts: the certificate of a company is often in this file only.
    if "cert" not in settings and Path(BUNDLE).is_file():
        settings["cert"] = BUNDLE
    variables = {}
    for name, value in sorted(settings.items()):
        if name in CERTIFICATES:
            value = folder.certificate(name, value)
        elif name in PLACES:
            value = " ".join(map(folder.place, value.split()))
        variables[f"PIP_{name.upper().replace('-', '_')}"] = value
    for name in (*PROXIES, *map(str.upper, PROXIES)):
        if name in environment:
            variables[name] = environment[name]
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    (folder.path / "pip.sh").write_text("".join(lines))


def main() -> None:
    """Ask the pip of this environment."""
    if len(sys.argv) != 2:
        sys.exit("pip_settings.py: error: expected: pip_settings.py FOLDER")
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    folder = Folder(Path(sys.argv[1]))
    write(folder, listing, os.environ)
    for mount in folder.mounts:
        print(mount)


if __name__ == "__main__":
    main()
