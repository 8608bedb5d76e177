#!/usr/bin/env bash
# The tests on a real Slurm with a real Apptainer: run.sh [arguments of pytest]. Installs what is
# missing and builds the image if there is none of these locks. Needs root, on Debian 12.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "$(id -u)" != 0 ]; then
    echo "test-cluster: skipped: needs root, to install and start a Slurm and an Apptainer"
    exit
fi
if ! grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then
    echo "test-cluster: skipped: needs Debian 12, whose Slurm its scripts start"
    exit
fi
tests/cluster/install-apptainer.sh
recorded=containers/logdepth.sif.sha256
if [ ! -f "$recorded" ] || [ -n "$(find containers/logdepth.def envs/cpu.txt -newer "$recorded")" ]; then
    TORCH=cpu containers/build.sh
fi
# Started once outside of pytest, so that a machine on which Slurm does not start says so.
SECONDS=0
tests/cluster/slurm-up.sh
echo "A Slurm from nothing: $SECONDS s"
tests/cluster/slurm-down.sh
pytest tests/cluster --timeout 1800 --durations 0 "$@"
