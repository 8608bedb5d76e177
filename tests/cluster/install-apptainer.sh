#!/usr/bin/env bash
# Install Apptainer on Debian 12 (amd64, as root), which has no package of it; from a Debian mirror
# alone, and again only where it is missing. The package of Debian unstable wants a newer glibc: the
# machine's own is left alone, and the two programs get one of their own below /opt/apptainer-libc.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
libc=/opt/apptainer-libc
state=/var/cache/apptainer-install

say() { echo "install-apptainer: $*" >&2; }
fail() {
    say "error: $*"
    exit 1
}

[ "$(id -u)" = 0 ] || fail "must be root"
# Other users than root mount images through FUSE.
[ ! -c /dev/fuse ] || chmod 666 /dev/fuse
if apptainer --version 2>/dev/null; then exit; fi
[ "$(dpkg --print-architecture)" = amd64 ] || fail "this script is for amd64"

# The mirror that this machine has its own packages from.
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI) $(SUITE)' 'Created-By: Packages' |
    awk '$2 == "bookworm" || $2 == "stable" || $2 == "oldstable" { print $1; exit }')}
[ -n "$mirror" ] || fail "no Debian mirror in apt's sources; name one in MIRROR"

say "packages of Debian 12"
apt-get update -qq
apt-get install -y -qq --no-install-recommends ca-certificates squashfs-tools squashfuse \
    fuse-overlayfs fuse2fs gocryptfs e2fsprogs fakeroot uidmap containernetworking-plugins libseccomp2 \
    libsqlite3-0 patchelf debootstrap xz-utils >/dev/null

# apt with a state of its own for another suite, signatures checked; the machine's stays as it is.
apt_suite() { # apt_suite SUITE ARGUMENTS...
    local suite=$1 folder=$state/$1
    shift
    mkdir -p "$folder/lists/partial" "$folder/none.d" "$folder/cache/archives/partial"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
        "$mirror" "$suite" >"$folder/sources.list"
    apt-get -qq -o Dir::Etc::sourcelist="$folder/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::Etc::preferences="$folder/none" -o Dir::Etc::preferencesparts="$folder/none.d" \
        -o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder/cache" \
        -o Acquire::Languages=none -o APT::Sandbox::User=root \
        -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false "$@"
}

work=$state/work
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work" "$state/sid" "$state/trixie"' EXIT
cd "$work"
say "glibc of Debian 13, Apptainer of Debian unstable"
for package in trixie:libc6 sid:apptainer; do
    apt_suite "${package%:*}" update
    apt_suite "${package%:*}" download "${package#*:}"
done

rm -rf "$libc"
mkdir -p "$libc" extracted
dpkg-deb -x libc6_*.deb extracted
cp -a extracted/usr/lib/x86_64-linux-gnu/*.so* "$libc/"
[ -e "$libc/ld-linux-x86-64.so.2" ] ||
    cp -aL extracted/usr/lib64/ld-linux-x86-64.so.2 "$libc/"

dpkg-deb -R apptainer_*.deb package
for program in usr/bin/apptainer usr/lib/x86_64-linux-gnu/apptainer/bin/starter; do
    # DT_RPATH and not RUNPATH: Apptainer sets LD_LIBRARY_PATH for some of its children.
    patchelf --set-interpreter "$libc/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$libc" \
        "package/$program"
done
sed -i -e 's/libc6 (>= 2.38), //' -e 's/^\(Version: .*\)$/\1+bookworm1/' package/DEBIAN/control
if grep -q '^Depends:.*libc6' package/DEBIAN/control; then
    fail "the package depends on glibc in a way this script does not know"
fi
(cd package && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | xargs -0 md5sum >DEBIAN/md5sums)
dpkg-deb -Zgzip -z1 -b package apptainer.deb >/dev/null
apt-get install -y -qq --no-install-recommends ./apptainer.deb >/dev/null
apptainer --version
