#!/bin/sh
# Makes sure that the system packages are there which the tests need: `setup.sh PART...`, of the parts
# python, servers, kernel and peers; more than one are got at once.
# On Debian and Ubuntu as root it installs what is missing; elsewhere it says in one line what to get.
set -eu
PATH="$PATH:/usr/sbin:/sbin" # where servers are

missing=""
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need_file() { # need_file PATTERN PACKAGE
    # shellcheck disable=SC2086 # a pattern of files
    ls -d $1 >/dev/null 2>&1 || missing="$missing $2"
}

is_debian() { # is_debian VERSION
    # shellcheck disable=SC1091 # every machine has its own
    (. /etc/os-release && [ "${ID:-} ${VERSION_ID:-}" = "debian $1" ]) 2>/dev/null
}

: "${1:?python, servers, kernel or peers}"
for part in "$@"; do
    case "$part" in
    python)
        need python3 python3
        if [ -z "$missing" ]; then
            python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
                echo "setup: Python 3.11 or newer is needed; found $(python3 --version 2>&1)" >&2
                exit 2
            }
        fi
        python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
        ;;
    servers)
        need java default-jre-headless
        need mvn maven
        need mosquitto mosquitto
        need openssl openssl
        need ip iproute2
        need influxd influxdb
        need victoria-metrics victoria-metrics
        need chromium chromium
        need gpsd gpsd
        need node nodejs
        need npm npm
        need shellcheck shellcheck
        need systemd-analyze systemd
        ;;
    kernel) # one with devices of its own: tests/kernel; and Debian's root: tests/deploy
        if [ "$(uname -m)" = x86_64 ]; then
            need debootstrap debootstrap
        fi
        if [ "$(uname -m)" = x86_64 ] && is_debian 12; then
            need qemu-system-x86_64 qemu-system-x86
            need busybox busybox-static
            need cpio cpio
            need depmod kmod
            need mke2fs e2fsprogs
            need_file "/usr/src/linux-headers-*-amd64" linux-headers-amd64
            need_file "/usr/src/linux-source-*.tar.xz" linux-source
        else
            echo "setup: no guest with devices here: its kernel is that of Debian 12 on x86-64; tests/kernel is skipped"
        fi
        ;;
    peers) # libraries that ours are compared with, of the system's own Python
        need_file /usr/lib/python3/dist-packages/torch python3-torch
        ;;
    *)
        echo "setup: unknown part \"$part\"; known: python, servers, kernel, peers" >&2
        exit 2
        ;;
    esac
done

[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "setup: installing$missing"
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    # The tests start servers of their own; the packages' services shall not listen beside them.
    for service in mosquitto influxdb victoria-metrics gpsd.socket gpsd; do
        case "$missing" in
        *"${service%.socket}"*) if [ -d /run/systemd/system ]; then systemctl disable --now "$service" >/dev/null 2>&1 || true; fi ;;
        esac
    done
else
    echo "setup: missing:$missing; install them with your system's package manager" \
        "(Debian: sudo apt-get install$missing)" >&2
    exit 2
fi
