"""Write the list of parts of the container image, as CycloneDX 1.6: sbom.py IMAGE OUTPUT.

The same image gives the same list: its identifier comes from the hash of the image, its date is
SOURCE_DATE_EPOCH.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL


class DebianPackage(TypedDict):
    """A package that dpkg lists, with the text of its copyright file."""

    name: str
    version: str
    architecture: str
    source: str
    copyright: str


class PythonPackage(TypedDict):
    """A distribution that Python finds, with what its metadata says of its licence."""

    name: str
    version: str
    expression: str
    license: str
    classifiers: list[str]


class Inventory(TypedDict):
    """What is in the image.

    Attributes:
        release: number of the Debian release.
        locks: text of each lock file, by name.
        installed: one line ``name==version --hash=sha256:…`` for each file that pip took.
    """

    release: str
    locks: dict[str, str]
    installed: str
    debian: list[DebianPackage]
    python: list[PythonPackage]


# Runs in the image, by its Python.
COLLECT = r"""
import importlib.metadata, json, pathlib, subprocess, sys

def copyright_of(name):
    path = pathlib.Path("/usr/share/doc", name, "copyright")
    return path.read_text(errors="replace") if path.is_file() else ""

listing = subprocess.run(
    ["dpkg-query", "-W", "-f", r"${Package}\t${Version}\t${Architecture}\t${source:Package}\n"],
    check=True, capture_output=True, text=True,
).stdout
fields = ("name", "version", "architecture", "source")
debian = [dict(zip(fields, line.split("\t"))) for line in listing.splitlines()]
for package in debian:
    package["copyright"] = copyright_of(package["name"])
python = [
    {
        "name": d.metadata["Name"],
        "version": d.version,
        "expression": d.metadata.get("License-Expression") or "",
        "license": d.metadata.get("License") or "",
        "classifiers": d.metadata.get_all("Classifier") or [],
    }
    for d in importlib.metadata.distributions()
]
prefix = pathlib.Path(sys.prefix)
json.dump(
    {
        "release": pathlib.Path("/etc/debian_version").read_text().partition(".")[0].strip(),
        "locks": {p.name: p.read_text() for p in sorted(prefix.glob("locks/*.txt"))},
        "installed": (prefix / "installed.txt").read_text(),
        "debian": debian,
        "python": python,
    },
    sys.stdout,
)
"""


def collect(image: Path, apptainer: str) -> Inventory:
    """Ask an image what is in it."""
    done = subprocess.run(
        [apptainer, "--quiet", "exec", "--containall", str(image), "python", "-c", COLLECT],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    inventory: Inventory = json.loads(done.stdout)
    return inventory


def describe(inventory: Inventory, sha256: str, date: datetime) -> Bom:
    """Return the list of parts of an image.

    Args:
        inventory: what is in it.
        sha256: of the image, in hexadecimal digits.
        date: of the list.

    Raises:
        ValueError: a Python package did not come from the lock.
    """
    image = Component(
        type=ComponentType.CONTAINER,
        name="logdepth",
        bom_ref="image",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
        properties=[
            Property(name=f"logdepth:lock:{name}", value=hashlib.sha256(text.encode()).hexdigest())
            for name, text in inventory["locks"].items()
        ],
    )
    taken = _taken(inventory["installed"], "\n".join(inventory["locks"].values()))
    parts = [_debian(package, inventory["release"]) for package in inventory["debian"]]
    parts += [_python(package, taken) for package in inventory["python"]]
    bom = Bom(
        components=parts,
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"urn:sha256:{sha256}"),
    )
    bom.metadata.component = image
    bom.metadata.timestamp = date
    bom.register_dependency(image, parts)
    return bom


def text_of(bom: Bom) -> str:
    """Return a list of parts as JSON."""
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _taken(installed: str, locks: str) -> dict[str, str]:
    """Return the hash of the file that each package came from, by its name."""
    taken = {}
    for line in installed.splitlines():
        requirement, _, digest = line.partition(" --hash=sha256:")
        if f"--hash=sha256:{digest}" not in locks:
            raise ValueError(f"{requirement}: its hash {digest} is not in the lock of the image")
        taken[_normal(requirement.partition("==")[0])] = digest
    return taken


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _debian(package: DebianPackage, release: str) -> Component:
    qualifiers = {"arch": package["architecture"], "distro": f"debian-{release}"}
    # Security trackers go by the source package.
    if package["source"] != package["name"]:
        qualifiers["upstream"] = package["source"]
    purl = PackageURL("deb", "debian", package["name"], package["version"], qualifiers)
    names = sorted(set(_debian_licenses(package["copyright"])))
    return Component(
        name=package["name"],
        version=package["version"],
        purl=purl,
        bom_ref=purl.to_string(),
        licenses=[LicenseFactory().make_with_name(name) for name in names],
    )


def _debian_licenses(text: str) -> Sequence[str]:
    """Return the short names in a copyright file, if it is of the kind that machines can read."""
    if not text.startswith("Format:"):
        return ()
    return [name for name in re.findall(r"^License: *(.*\S)", text, re.M) if len(name) < 80]


def _python(package: PythonPackage, taken: Mapping[str, str]) -> Component:
    name = _normal(package["name"])
    if name not in taken:
        raise ValueError(f"{name}: in the image, but pip did not take it from the lock")
    purl = PackageURL("pypi", None, name, package["version"])
    return Component(
        name=package["name"],
        version=package["version"],
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=taken[name])],
        licenses=_python_licenses(package),
    )


def _python_licenses(package: PythonPackage) -> list[License]:
    factory = LicenseFactory()
    if package["expression"]:
        return [factory.make_from_string(package["expression"])]
    # Some put the whole text of their licence there.
    short = package["license"].strip()
    if short and short != "UNKNOWN" and "\n" not in short and len(short) < 80:
        return [factory.make_from_string(short)]
    names = {
        classifier.rpartition(" :: ")[2]
        for classifier in package["classifiers"]
        if classifier.startswith("License :: ") and classifier.count(" :: ") > 1
    }
    return [factory.make_with_name(name) for name in sorted(names)]


def main() -> None:
    """Write the list for the image named on the command line."""
    if len(sys.argv) != 3:
        sys.exit("sbom.py: error: two names are wanted; expected: sbom.py IMAGE OUTPUT")
    image, output = map(Path, sys.argv[1:])
    try:
        inventory = collect(image, os.environ.get("APPTAINER", "apptainer"))
        with image.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        date = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC)
        output.write_text(text_of(describe(inventory, sha256, date)), encoding="utf-8")
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"sbom.py: error: {error}")


if __name__ == "__main__":
    main()
