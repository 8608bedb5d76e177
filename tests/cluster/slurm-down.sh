#!/usr/bin/env bash
# End the jobs of the cluster that slurm-up.sh started, then exactly its daemons.
set -euo pipefail
s=${SLURM_TEST:-/tmp/logdepth-slurm}
export SLURM_CONF=$s/etc/slurm.conf
if [ ! -f "$s/pids" ]; then
    echo "slurm-down: nothing to stop in $s" >&2
    exit
fi
if timeout 5 scontrol ping 2>/dev/null | grep -q UP; then
    scancel --user="$(id -un)" || true
    for _ in $(seq 100); do
        [ -n "$(squeue -h)" ] || break
        sleep 0.1
    done
fi
while read -r pid name; do
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$name" ] || continue
    kill "$pid"
    for _ in $(seq 100); do
        # One that has ended may stay as a zombie where nobody waits for it.
        grep -qs '^State:[[:space:]]*[^Z]' "/proc/$pid/status" || break
        sleep 0.1
    done
done <"$s/pids"
rm -f "$s/pids"
for name in slurm gres; do
    [ "$(readlink "/etc/slurm/$name.conf")" != "$s/etc/$name.conf" ] || rm "/etc/slurm/$name.conf"
done
