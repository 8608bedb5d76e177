"""The container image: its header, its list of parts, its launcher, and what the build refuses.

None of the tests builds the whole image; docs/image.md says how two builds are compared.
"""

import importlib.util
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

CONTAINERS = Path(__file__).parents[2] / "containers"


def script(name):
    """Import a script of containers/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, CONTAINERS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


normalise = script("normalise")
sbom = script("sbom")
pip_settings = script("pip_settings")


# --- normalise.py


def made_up_image(path, *, time, identifier, user=0, content=b"squashfs"):
    """Write the parts of a SIF image that normalise.py knows, and one block of content."""
    table = 4096
    descriptors = b""
    for used in (1, 1, 0):
        descriptors += struct.pack("<i?3i3q", 0x4004, used, 1, 1, 0, 8192, len(content), 0)
        descriptors += struct.pack("<4q", time, time, user, user) + bytes(128 + 384)
    header = (
        b"#!/usr/bin/env run-singularity\n".ljust(32, b"\0") + b"SIF_MAGIC\0" + b"01\0" + b"02\0"
    )
    header += identifier + struct.pack(
        "<8q", time, time + 5, 1, 3, table, len(descriptors), 8192, len(content)
    )
    path.write_bytes(header.ljust(table, b"\0") + descriptors.ljust(8192 - table, b"\0") + content)
    return path


def test_images_with_the_same_content_become_the_same_bytes(tmp_path):
    one = made_up_image(tmp_path / "one.sif", time=1_700_000_000, identifier=b"1" * 16)
    two = made_up_image(tmp_path / "two.sif", time=1_800_000_000, identifier=b"2" * 16, user=1000)
    assert one.read_bytes() != two.read_bytes()
    identifier = normalise.normalise(one, 1_795_000_000)
    assert normalise.normalise(two, 1_795_000_000) == identifier
    assert one.read_bytes() == two.read_bytes()
    assert identifier.version == 8
    assert struct.unpack_from("<2q", one.read_bytes(), 64) == (1_795_000_000, 1_795_000_000)
    # What an unused descriptor holds means nothing.
    assert one.read_bytes()[4096 + 2 * 585 :][:585] == bytes(585)


def test_normalising_twice_changes_nothing(tmp_path):
    image = made_up_image(tmp_path / "image.sif", time=1_700_000_000, identifier=b"1" * 16)
    normalise.normalise(image, 0)
    once = image.read_bytes()
    normalise.normalise(image, 0)
    assert image.read_bytes() == once


def test_the_identifier_tells_contents_apart(tmp_path):
    one = made_up_image(tmp_path / "one.sif", time=0, identifier=bytes(16))
    two = made_up_image(tmp_path / "two.sif", time=0, identifier=bytes(16), content=b"squashfz")
    assert normalise.normalise(one, 0) != normalise.normalise(two, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not a SIF image"), (b"x" * 5000, "not a SIF image"), (None, "is cut short")],
)
def test_what_is_no_image_is_refused_and_left_as_it_was(tmp_path, content, message):
    image = made_up_image(tmp_path / "image.sif", time=1, identifier=bytes(16))
    image.write_bytes(image.read_bytes()[:5000] if content is None else content)
    before = image.read_bytes()
    done = subprocess.run(
        [sys.executable, CONTAINERS / "normalise.py", image], capture_output=True, text=True
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("normalise.py: error: ")
    assert message in line
    assert image.read_bytes() == before


def test_apptainer_reads_a_normalised_image(tmp_path):
    if not shutil.which("apptainer") or not shutil.which("mksquashfs"):
        pytest.skip("apptainer and mksquashfs are needed to make a small image")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").write_text("content\n")
    image = tmp_path / "image.sif"
    kind = ["--datatype", "4", "--parttype", "2", "--partfs", "1", "--partarch", "2"]
    for command in (
        ["mksquashfs", tmp_path / "root", tmp_path / "root.sq", "-quiet", "-no-progress"],
        ["apptainer", "sif", "new", image],
        ["apptainer", "sif", "add", *kind, image, tmp_path / "root.sq"],
    ):
        subprocess.run(command, check=True, capture_output=True)

    def ask(*question):
        command = ["apptainer", "sif", *question, image]
        return subprocess.run(command, check=True, capture_output=True).stdout

    content = ask("dump", "1")
    identifier = normalise.normalise(image, 1_795_000_000)
    assert str(identifier) in ask("header").decode()
    assert ask("dump", "1") == content
    assert content == (tmp_path / "root.sq").read_bytes()


# --- sbom.py

LOCK = """numpy==2.4.6 ; sys_platform == 'linux' \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
Some_Package==1.0 \\
    --hash=sha256:{c}
""".format(a="a" * 64, b="b" * 64, c="c" * 64)


def inventory(**changes):
    return {
        "release": "12",
        "locks": {"cpu.txt": LOCK},
        "installed": f"numpy==2.4.6 --hash=sha256:{'b' * 64}\n"
        f"some-package==1.0 --hash=sha256:{'c' * 64}\n",
        "debian": [
            {
                "name": "libc6",
                "version": "2.36-9+deb12u14",
                "architecture": "amd64",
                "source": "glibc",
                "copyright": "Format: https://www.debian.org/doc/packaging-manuals/\n"
                "License: LGPL-2.1+\n text\n\nFiles: *\nLicense: BSD-3-clause\n\n"
                "License: LGPL-2.1+\n",
            },
            {
                "name": "adduser",
                "version": "1:3.134",
                "architecture": "all",
                "source": "adduser",
                "copyright": "Free text, License: who knows\n",
            },
        ],
        "python": [
            {
                "name": "numpy",
                "version": "2.4.6",
                "expression": "BSD-3-Clause AND MIT",
                "license": "",
                "classifiers": [],
            },
            {
                "name": "Some_Package",
                "version": "1.0",
                "expression": "",
                "license": "the whole\ntext of it",
                "classifiers": ["License :: OSI Approved :: MIT License", "Topic :: Text"],
            },
        ],
    } | changes


def listed(**changes):
    date = datetime(2026, 11, 24, tzinfo=UTC)
    return sbom.text_of(sbom.describe(inventory(**changes), "d" * 64, date))


def test_the_list_of_parts_is_valid():
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(listed()) is None


def test_the_list_of_parts_is_a_function_of_the_image():
    assert listed() == listed()
    parts = inventory()
    assert listed(debian=parts["debian"][::-1], python=parts["python"][::-1]) == listed()


def test_the_list_names_every_part_with_licence_and_hash():
    text = listed()
    content = json.loads(text)
    assert content["specVersion"] == "1.6"
    assert content["metadata"]["timestamp"].startswith("2026-11-24T00:00:00")
    assert content["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": "d" * 64}]
    parts = {part["purl"]: part for part in content["components"]}
    assert set(parts) == {
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12&upstream=glibc",
        "pkg:deb/debian/adduser@1:3.134?arch=all&distro=debian-12",
        "pkg:pypi/numpy@2.4.6",
        "pkg:pypi/some-package@1.0",
    }
    numpy = parts["pkg:pypi/numpy@2.4.6"]
    assert numpy["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    assert numpy["licenses"] == [{"expression": "BSD-3-Clause AND MIT"}]
    licences = [part.get("licenses", []) for part in content["components"]]
    names = [
        [entry["license"]["name"] for entry in each if "license" in entry] for each in licences
    ]
    assert sorted(names) == [[], [], ["BSD-3-clause", "LGPL-2.1+"], ["MIT License"]]


def test_a_package_from_outside_the_lock_is_refused():
    with pytest.raises(ValueError, match="pip did not take it from the lock"):
        listed(installed=f"numpy==2.4.6 --hash=sha256:{'b' * 64}\n")
    with pytest.raises(ValueError, match="is not in the lock"):
        listed(installed=f"numpy==2.4.6 --hash=sha256:{'e' * 64}\n")


# --- pip_settings.py


def test_the_stronger_of_pips_settings_wins():
    listing = (
        ":env:.cert='/strong.pem'\nglobal.cert='/weak.pem'\nglobal.find-links='/a /b'\n"
        "install.find-links='/c'\nfreeze.timeout='10'\nglobal.no-cache-dir='true'\n"
    )
    assert pip_settings.parse(listing) == {"cert": "/strong.pem", "find-links": "/c"}


def test_local_places_of_packages_are_mounted(tmp_path):
    for name in ("index/simple", "wheels", "settings"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "own.pem").write_text("certificate")
    folder = pip_settings.Folder(tmp_path / "settings")
    listing = (
        f"global.extra-index-url='file://{tmp_path}/index/simple https://u:p@host.invalid/simple'\n"
        f"global.find-links='{tmp_path}/wheels'\nglobal.cert='{tmp_path}/own.pem'\n"
    )
    pip_settings.write(folder, listing, {"https_proxy": "http://proxy.invalid:1", "HOME": "/root"})
    assert folder.mounts == [f"{tmp_path}/index:/media/0:ro", f"{tmp_path}/wheels:/media/1:ro"]
    assert (folder.path / "pip.sh").read_text().splitlines() == [
        "export PIP_CERT=/media/cert.pem",
        "export PIP_EXTRA_INDEX_URL='file:///media/0/simple https://u:p@host.invalid/simple'",
        "export PIP_FIND_LINKS=/media/1",
        "export https_proxy=http://proxy.invalid:1",
    ]
    assert (folder.path / "cert.pem").read_text() == "certificate"
    assert all((folder.path / name).is_dir() for name in ("0", "1"))


# --- launch.py


def launch(folder, *arguments):
    return subprocess.run(
        [sys.executable, CONTAINERS / "launch.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_the_launcher_runs_the_code_of_the_working_folder(tmp_path):
    package = tmp_path / "workflow" / "logdepth" / "cli"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "main.py").write_text("import sys\ndef main(): print('here', sys.argv[1:])\n")
    done = launch(tmp_path, "train", "--help")
    assert (done.returncode, done.stdout, done.stderr) == (0, "here ['train', '--help']\n", "")


def test_the_launcher_wants_the_root_of_a_clone(tmp_path):
    done = launch(tmp_path, "--help")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"logdepth: error: no workflow/logdepth in {tmp_path}; expected ")


# --- build.sh


@pytest.fixture
def build(tmp_path, root):
    """Run build.sh in a copy of its folder, with the named tools on the PATH and no others."""
    shutil.copytree(
        root / "containers", tmp_path / "containers", ignore=shutil.ignore_patterns("*.sif*")
    )
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "sed", "grep", "awk"):
        (tools / name).symlink_to(shutil.which(name))

    def run(*names, user=0, **environment):
        for name in names:
            (tools / name).write_text("#!/bin/sh\nexit 1\n")
            (tools / name).chmod(0o755)
        (tools / "id").write_text(f"#!/bin/sh\necho {user}\n")
        (tools / "id").chmod(0o755)
        return subprocess.run(
            [tmp_path / "containers" / "build.sh"],
            env={"PATH": str(tools), "HOME": os.environ["HOME"]} | environment,
            capture_output=True,
            text=True,
        )

    return run


TOOLS = ("apptainer", "debootstrap", "mksquashfs")


@pytest.mark.parametrize(
    ("tools", "settings", "message"),
    [
        (TOOLS, {"TORCH": "rocm"}, "TORCH is 'rocm'; expected cpu or cuda"),
        ((), {}, "neither apptainer nor singularity is on the PATH; expected "),
        (("singularity",), {}, "debootstrap is not on the PATH; expected: apt install "),
        (TOOLS[:2], {}, "mksquashfs is not on the PATH; expected: apt install "),
        (TOOLS, {"user": 1000}, "debootstrap needs root; expected: sudo make image"),
        (TOOLS, {}, "the tools of .venv are missing; expected: make image"),
    ],
)
def test_what_a_build_lacks_is_said_in_one_line(build, tmp_path, tools, settings, message):
    done = build(*tools, **settings)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"make image: error: {message}")
    assert not [path for path in (tmp_path / "containers").iterdir() if ".sif" in path.name]


def test_without_a_debian_mirror_one_is_asked_for(build, tmp_path):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    done = build(*TOOLS, "apt-get")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("make image: error: apt names no Debian mirror here; expected: ")


def test_the_definition_names_a_date_and_no_host():
    text = (CONTAINERS / "logdepth.def").read_text()
    assert len(re.findall(r"^ *date=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", text, re.M)) == 1
    assert "://" not in text
