#!/usr/bin/env bash
# The pages in a real browser: run.sh [arguments of pytest]. Installs what is missing: Playwright from
# its hash lock, beside the environment and not in it, and Chromium from Debian, as root. CHROMIUM
# names another browser of its kind.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=.venv/browser
if [ ! -f $here/done ] || [ envs/browser.txt -nt $here/done ]; then
    rm -rf $here
    python -m pip install -qq --disable-pip-version-check --require-hashes --target $here -r envs/browser.txt
    touch $here/done
fi
if [ -z "${CHROMIUM:-}" ] && ! CHROMIUM=$(command -v chromium || command -v google-chrome); then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "test-browser: error: no chromium here; expected CHROMIUM=/path/to/one" >&2
        exit 1
    fi
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends chromium fonts-liberation
    CHROMIUM=$(command -v chromium)
fi
export CHROMIUM
PYTHONPATH=$here pytest tests/browser --timeout 300 "$@"
