#!/usr/bin/env bash
# Create .venv and install the project from the hash locks: setup.sh [dev | article]
#
# .venv/setup.done names the folder that the environment was made in, and is there only while it is
# whole. One that was copied, moved or never finished is made again from nothing.
#
#   PYTHON  interpreter to use (that of .venv, or else python3)
#   TORCH   cpu or cuda: which lock to take. By default cuda where an NVIDIA GPU is seen, else cpu;
#           where pip finds no CPU wheel of torch, the CUDA build of the package index serves as well.
set -euo pipefail
cd "$(dirname "$0")/.."
place=$(pwd -P)
# One at a time; macOS has no flock.
exec 9<envs
if command -v flock >/dev/null; then flock 9; fi
python=${PYTHON:-python3}
is_whole() { [ "$(cat .venv/setup.done 2>/dev/null)" = "$place" ]; }
# It stays, whatever python3 is now.
if is_whole; then python=.venv/bin/python; fi

fail() {
    echo "make setup: error: $*" >&2
    exit 1
}

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') ||
    fail "$python does not run; name a Python 3.11 or newer, as in: make PYTHON=python3.12"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or newer is needed, but $python is $version; expected: make PYTHON=python3.12"

case ${TORCH:-cpu} in
cpu | cuda) ;;
*) fail "TORCH is '$TORCH'; expected cpu or cuda" ;;
esac

if ! is_whole; then
    rm -rf .venv
    "$python" -m venv .venv ||
        fail "$python cannot create .venv (on Debian: apt install python3-venv)"
fi
# Put away meanwhile, with its time, by which make knows what was installed on top.
if is_whole; then mv .venv/setup.done .venv/setup.before; fi
mkdir -p .venv/locks

pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }
install() {
    echo "Installing from envs/$1.txt, hashes checked"
    pip install -qq --require-hashes -r "envs/$1.txt"
    cp "envs/$1.txt" .venv/locks/
}

if [ -n "${1:-}" ]; then
    install "$1"
    if [ -e .venv/setup.before ]; then
        mv .venv/setup.before .venv/setup.done
    else
        echo "$place" >.venv/setup.done
    fi
    exit
fi

torch=${TORCH:-}
if [ -z "$torch" ]; then
    torch=cpu
    if nvidia-smi -L 2>/dev/null | grep -q GPU; then torch=cuda; fi
fi
case $torch in
cpu)
    # torch alone first: nothing else is fetched before it is known that there is a CPU wheel.
    sed -n '/^torch==/,/^    #/p' envs/cpu.txt >.venv/torch.txt
    if ! pip install -qq --no-deps --require-hashes -r .venv/torch.txt 2>.venv/torch.log; then
        # The latter where the user's own constraints name torch.
        if ! grep -qE "No matching distribution|ResolutionImpossible" .venv/torch.log; then
            cat .venv/torch.log >&2
            fail "torch could not be installed"
        fi
        echo "pip finds no CPU wheel of torch: taking the CUDA build (about 3 GB) instead"
        torch=cuda
    fi
    rm -f .venv/torch.txt .venv/torch.log
    ;;
esac
rm -f .venv/locks/cpu.txt .venv/locks/cuda.txt
install "$torch"
pip install -qq --no-deps --no-build-isolation --editable .
# Where the locale is C, Python does not start with a path in it that is not ASCII.
for link in .venv/lib/python*/site-packages/__editable__.logdepth-*.pth; do
    echo ../../../../workflow >"$link"
done
rm -f .venv/setup.before
echo "$place" >.venv/setup.done
