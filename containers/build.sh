#!/usr/bin/env bash
# Build the container image logdepth.sif, its .sha256 and its list of parts: build.sh
#
#   TORCH   cpu or cuda: which lock to install. By default cuda where an NVIDIA GPU is seen, else cpu
#   MIRROR  address of a Debian mirror, or of a snapshot of one. By default this machine's own
#   OUTPUT  folder for the three files (containers)
#   SOURCE_DATE_EPOCH  date of the image. By default the one that logdepth.def names
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "make image: error: $*" >&2
    exit 1
}

torch=${TORCH:-}
if [ -z "$torch" ]; then
    torch=cpu
    if nvidia-smi -L 2>/dev/null | grep -q GPU; then torch=cuda; fi
fi
case $torch in
cpu | cuda) ;;
*) fail "TORCH is '$torch'; expected cpu or cuda" ;;
esac

apptainer=$(command -v apptainer || command -v singularity) ||
    fail "neither apptainer nor singularity is on the PATH; expected Apptainer 1.2 or newer"
debootstrap=$(command -v debootstrap) ||
    fail "debootstrap is not on the PATH; expected: apt install debootstrap"
command -v mksquashfs >/dev/null ||
    fail "mksquashfs is not on the PATH; expected: apt install squashfs-tools"
[ "$(id -u)" = 0 ] ||
    fail "debootstrap needs root; expected: sudo make image, or copy an image built elsewhere"
python=$PWD/.venv/bin/python
"$python" -c 'import cyclonedx' 2>/dev/null ||
    fail "the tools of .venv are missing; expected: make image"

if [ -z "${MIRROR:-}" ]; then
    MIRROR=$(apt-get indextargets --format '$(CODENAME) $(LABEL) $(REPO_URI)' 'Created-By: Packages' \
        2>/dev/null | awk '$2 == "Debian" && $1 !~ /-/ && ($1 == "bookworm" || !found) {
            found = $3 } END { print found }') || true
fi
[ -n "$MIRROR" ] ||
    fail "apt names no Debian mirror here; expected: make image MIRROR=<address of one>"

# In the definition, so that all clones and unpacked archives of a commit agree, whatever git knows
# of its history, and so that a commit to something else leaves the image as it was.
date=$(sed -n 's/^ *date=//p' containers/logdepth.def)
if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then date=$(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ); fi
SOURCE_DATE_EPOCH=$(date -u -d "$date" +%s)
export SOURCE_DATE_EPOCH

# In a container or a slim VM root may lack this capability (24, CAP_SYS_RESOURCE), and Apptainer then
# works only through a user namespace.
effective=$(sed -n 's/^CapEff:\t*//p' /proc/self/status)
if [ $((0x$effective >> 24 & 1)) = 0 ]; then export APPTAINER_USERNS=1; fi

umask 022
output=${OUTPUT:-containers}
mkdir -p "$output"
output=$(cd "$output" && pwd)
work=$(mktemp -d)
part=$(mktemp -d "$output/.logdepth.sif.XXXXXX")
trap 'rm -rf "$work" "$part"' EXIT
export APPTAINER_TMPDIR=$work SINGULARITY_TMPDIR=$work

# pip in the build finds packages where pip here does. $work is for root alone to read.
mkdir "$work/settings" "$work/bin"
mounts=(--bind "$work/settings:/media:ro")
while read -r mount; do mounts+=(--bind "$mount"); done \
    < <("$python" containers/pip_settings.py "$work/settings")
[ -f "$work/settings/pip.sh" ] || fail "pip's settings could not be read; see above"
# Apptainer would write the mirror into the image, so it learns of none.
cat >"$work/bin/debootstrap" <<WRAPPER
#!/usr/bin/env bash
arguments=("\$@")
[ -n "\${arguments[-1]}" ] || unset 'arguments[-1]'
exec $(printf %q "$debootstrap") "\${arguments[@]}" $(printf %q "$MIRROR")
WRAPPER
chmod +x "$work/bin/debootstrap"

echo "Building the $torch image; this takes some minutes"
SECONDS=0
# --force lets %labels replace the date of the build.
if ! PATH=$work/bin:$PATH "$apptainer" build --force \
    --build-arg "torch=$torch" --build-arg "date=$date" \
    "${mounts[@]}" \
    --mksquashfs-args "-comp zstd -Xcompression-level 9" \
    "$part/logdepth.sif" containers/logdepth.def >"$work/build.log" 2>&1; then
    tail -n 20 "$work/build.log" >&2
    fail "$(basename "$apptainer") could not build the image; its last lines are above"
fi
"$python" containers/normalise.py "$part/logdepth.sif" >/dev/null
(cd "$part" && sha256sum logdepth.sif >logdepth.sif.sha256)
APPTAINER=$apptainer "$python" containers/sbom.py "$part/logdepth.sif" "$part/logdepth.cdx.json"

# The old hash goes first: it never stands beside a new image.
rm -f "$output/logdepth.sif.sha256" "$output/logdepth.cdx.json"
mv "$part/logdepth.sif" "$output/"
mv "$part/logdepth.cdx.json" "$part/logdepth.sif.sha256" "$output/"
echo "$output/logdepth.sif: $(stat -c %s "$output/logdepth.sif") bytes, $SECONDS s"
cat "$output/logdepth.sif.sha256"
