#!/usr/bin/env bash
# Regenerate the hash locks from the *.in files, for Linux and macOS, Python 3.11 or newer. Needs uv;
# the CPU wheel of torch must be in one of the places that UV_FIND_LINKS, UV_INDEX or PIP_FIND_LINKS
# name.
set -euo pipefail
cd "$(dirname "$0")/.."
export UV_FIND_LINKS="${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}"
export UV_CUSTOM_COMPILE_COMMAND="make lock"

compile() { # compile NAME [more options]
    local name=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes "$@" \
        "envs/$name.in" --output-file "envs/$name.txt" >/dev/null
}

# A name of its own, because the locks mention it.
versions=.venv/cpu-versions.txt
mkdir -p .venv

compile cpu
python3 - envs/cpu.txt envs/torch-cpu-wheels.txt <<'PYTHON'
import pathlib, re, sys

lock, wheels = map(pathlib.Path, sys.argv[1:])
public = re.findall(r"^[0-9a-f]{64}", wheels.read_text(), re.M)
lines = lock.read_text().splitlines(keepends=True)
start = next(i for i, line in enumerate(lines) if line.startswith("torch==2.13.0+cpu"))
end = next(i for i in range(start + 1, len(lines)) if "--hash" not in lines[i])
seen = re.findall(r"sha256:([0-9a-f]{64})", "".join(lines[start:end]))
hashes = sorted({*public, *seen})
lines[start + 1 : end] = [f"    --hash=sha256:{h} \\\n" for h in hashes[:-1]] + [
    f"    --hash=sha256:{hashes[-1]}\n"
]
lock.write_text("".join(lines))
PYTHON

# From here on torch must be the one of the package index.
unset UV_FIND_LINKS
# The CUDA lock and the tools take the very versions of the CPU lock.
sed -nE '/^torch==/d; s/^([a-z][^ ]*==[^\\]*)\\?$/\1/p' envs/cpu.txt >"$versions"
compile cuda --constraints "$versions"
compile article --constraints "$versions"
compile dev --constraints "$versions"
compile browser --constraints "$versions"
