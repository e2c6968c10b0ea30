#!/bin/sh
# Makes a folder from which install.sh installs without a network:
#
#   sh bundle.sh PYTHON FOLDER        for this machine and this Python
#   sh bundle.sh PYTHON FOLDER ARCH   for amd64 or arm64, with the Python of Debian 12 (3.11) and of Debian 13 (3.13)
#
# PYTHON has pip and hatchling. FOLDER must not be there. Versions are those of constraints.txt, with which the tests ran.
set -eu
python=$1 target=$2 arch=${3:-}
project=$(cd "$(dirname "$0")/.." && pwd)
PYTHONS="3.11 3.13"
GLIBC="17 24 26 27 28 31 34 35 36" # manylinux_2_N: Debian 12 has 2.36

[ ! -e "$target" ] || {
    echo "bundle: $target: is there already" >&2
    exit 2
}
pip() { "$python" -m pip --disable-pip-version-check "$@"; }
mkdir -p "$target/wheels"
pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$target/wheels" "$project"
wheel=$(echo "$target"/wheels/sensorloom-*.whl)
version=$(basename "$wheel" | cut -d- -f2)

case "$arch" in
"")
    # What has no wheel for this machine is compiled.
    pip wheel --quiet --wheel-dir "$target/wheels" -c "$project/constraints.txt" "${wheel}[edge]" pip
    PYTHONS=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    arch=$(dpkg --print-architecture 2>/dev/null || uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
    ;;
amd64 | arm64)
    machine=$(echo "$arch" | sed 's/amd64/x86_64/; s/arm64/aarch64/')
    platforms="--platform manylinux2014_$machine"
    for minor in $GLIBC; do platforms="$platforms --platform manylinux_2_${minor}_$machine"; done
    for release in $PYTHONS; do
        # shellcheck disable=SC2086 # a list of options
        pip download --quiet --dest "$target/wheels" -c "$project/constraints.txt" --only-binary=:all: \
            $platforms --implementation cp --python-version "$release" --abi "cp$(echo "$release" | tr -d .)" \
            --abi abi3 --abi none "${wheel}[edge]" pip
    done
    ;;
*)
    echo "bundle: unknown architecture \"$arch\"; known: amd64, arm64" >&2
    exit 2
    ;;
esac

cp -R "$project/deploy/install.sh" "$project/deploy/device" "$project/deploy/README.md" "$target"
printf 'version=%s\narch=%s\npythons=%s\n' "$version" "$arch" "$PYTHONS" >"$target/bundle"
sums=$(cd "$target" && find . -type f | sed 's,^\./,,' | LC_ALL=C sort | xargs -d '\n' sha256sum)
echo "$sums" >"$target/SHA256SUMS"
