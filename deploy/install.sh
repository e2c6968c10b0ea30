#!/bin/sh
# Installs the sensorloom agent on Debian or Raspberry Pi OS (64 bit), as root:
#
#   sh install.sh              install; once more: nothing changes, what is missing is put back
#   sh install.sh --upgrade    put another release in its place; what is not well after that is taken back
#   sh install.sh --uninstall  remove it; configuration and spool stay
#
# From an unpacked bundle (`make bundle`) without a network; from a checkout with one.
# Exit codes: 0 done; 1 it could not be done, or was taken back; 2 something here has to be otherwise.
set -eu
umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin
LC_ALL=C.UTF-8
SECRETS=/etc/sensorloom/secrets/ # as the unit has it, for a configuration that names no default
export PATH LC_ALL SECRETS

TOP=/opt/sensorloom
CONFIG=/etc/sensorloom
STATE=/var/lib/sensorloom
COMMAND=/usr/local/bin/sensorloom
UNIT=/etc/systemd/system/sensorloom.service
RULES=/etc/udev/rules.d/60-sensorloom.rules
CHRONY=/etc/chrony/conf.d
RELEASES=$TOP/releases.jsonl
UNDER_WAY=$TOP/upgrading # the old release, while it is not known whether the new one is well
HEALTH_S=${HEALTH_S:-60} # so long a new release is waited for
GROUPS_OF_DEVICES="dialout gpio i2c plugdev"

say() { echo "install: $*"; }
fail() { # something here has to be otherwise
    echo "install: $*" >&2
    exit 2
}
broken() { # it could not be done
    echo "install: $*" >&2
    exit 1
}
changes=0
changed() {
    changes=$((changes + 1))
    say "$*"
}

# --- what is here

check_machine() {
    [ "$(uname -s)" = Linux ] || fail "this is $(uname -s); the agent runs on Linux"
    # A 64-bit kernel may have a 32-bit system above it: dpkg knows what programs are built for.
    arch=$(dpkg --print-architecture 2>/dev/null || uname -m)
    case "$arch" in
    amd64 | x86_64) arch=amd64 ;;
    arm64 | aarch64) arch=arm64 ;;
    arm*) fail "this is a 32-bit system ($arch), for which numpy, cramjam and others are not built; install the" \
        "64-bit Raspberry Pi OS: Pi Zero 2, 3, 4 and 5 run it" ;;
    *) fail "this is $arch; there are bundles for amd64 and arm64" ;;
    esac
    python=$(command -v python3) || fail "python3 is not here; install it (apt-get install python3)"
    python_version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
}

find_bundle() { # sets `here`, `wheels`, `version`, `release`: an unpacked bundle, or one that is made of a checkout
    here=$(cd "$(dirname "$0")" && pwd)
    if [ -e "$here/SHA256SUMS" ]; then
        check_bundle "$here"
    elif [ -e "$here/../pyproject.toml" ]; then
        make_bundle "$here"
        here=$scratch/bundle
    else
        fail "$here: neither an unpacked bundle (no SHA256SUMS) nor a checkout; unpack the bundle whole, and run the" \
            "install.sh in it"
    fi
    wheels=$here/wheels
    version=$(told_by "$here" version)
    release=$version-$(sha256sum "$here/SHA256SUMS" | cut -c1-8)
}

told_by() { # told_by FOLDER KEY: a line `KEY=…` of the bundle's description
    sed -n "s/^$2=//p" "$1/bundle"
}

check_bundle() {
    command -v sha256sum >/dev/null || fail "sha256sum is not here; install coreutils"
    if ! (cd "$1" && sha256sum --check --strict --quiet SHA256SUMS) >"$scratch/sums" 2>&1; then
        bad=$(grep -v WARNING "$scratch/sums" | head -n 3 | paste -s -d ';')
        fail "$1: the bundle is damaged: $bad; copy it anew"
    fi
    for file in "$1"/wheels/*; do
        grep -q "  wheels/${file##*/}\$" "$1/SHA256SUMS" ||
            fail "$file: is not of this bundle; unpack it into an empty folder"
    done
    of=$(told_by "$1" arch)
    [ "$of" = "$arch" ] || fail "this is the bundle for $of, and this machine is $arch; take the one for $arch"
    case " $(told_by "$1" pythons) " in
    *" $python_version "*) ;;
    *) fail "$python is $python_version; this bundle is for Python $(told_by "$1" pythons) (Debian 12 and 13)" ;;
    esac
}

make_bundle() { # make_bundle FOLDER: online, of the checkout that FOLDER lies in
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$python is $python_version; 3.11 is the least"
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        command -v apt-get >/dev/null || fail "python3 has no venv; install it (Debian: apt-get install python3-venv)"
        say "installing python3-venv"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    fi
    "$python" -m venv "$scratch/making"
    making=$scratch/making/bin/python
    {
        "$making" -m pip --disable-pip-version-check install --quiet -c "$1/../constraints.txt" hatchling &&
            sh "$1/bundle.sh" "$making" "$scratch/bundle"
    } || broken "the packages could not be fetched; is there a network? Without one, install from a bundle (make bundle)"
}

check_room() {
    need_kb=$((5 * $(du -sk "$wheels" | cut -f1)))
    folder=$TOP
    while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
    free_kb=$(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 { print $4 }')
    [ "$free_kb" -ge "$need_kb" ] ||
        fail "$folder: has $((free_kb / 1024)) MB free, and a release needs up to $((need_kb / 1024)) MB while it is" \
            "installed; free some"
}

# --- what is put in its place, where it is not

put() { # put SOURCE TARGET
    if ! cmp -s "$1" "$2"; then
        mkdir -p "$(dirname "$2")"
        cp "$1" "$2.new"
        chmod 644 "$2.new"
        mv -f "$2.new" "$2"
        changed "$2"
    fi
}

put_link() { # put_link TARGET LINK
    if [ "$(readlink "$2" || :)" != "$1" ]; then
        rm -f "$2.new"
        ln -s "$1" "$2.new"
        mv -fT "$2.new" "$2"
        changed "$2 -> $1"
    fi
}

put_folder() { # put_folder PATH OWNER:GROUP MODE
    if [ "$(stat -c '%U:%G %a' "$1" 2>/dev/null || :)" != "$2 $3" ]; then
        mkdir -p "$1"
        chown "$2" "$1"
        chmod "$3" "$1"
        changed "$1"
    fi
}

put_user() {
    for group in $GROUPS_OF_DEVICES; do
        getent group "$group" >/dev/null || { groupadd --system "$group" && changed "group $group"; }
    done
    if ! getent passwd sensorloom >/dev/null; then
        useradd --system --user-group --home-dir $STATE --no-create-home --shell /usr/sbin/nologin sensorloom
        changed "user sensorloom"
    fi
    for group in $GROUPS_OF_DEVICES; do
        case " $(id -nG sensorloom) " in
        *" $group "*) ;;
        *) usermod -aG "$group" sensorloom && changed "user sensorloom is in group $group" ;;
        esac
    done
    put_folder $TOP root:root 755
    # What root writes there is of the agent's group: it may read its configuration.
    put_folder $CONFIG root:sensorloom 2750
    put_folder $CONFIG/secrets root:root 2700
    put_folder $STATE sensorloom:sensorloom 750
    put_folder $STATE/spool sensorloom:sensorloom 750
}

unfinished=""
build() { # the release's environment, with all that belongs to it
    own=$TOP/$release
    [ -e "$own/complete" ] && return
    check_room
    say "installing $release"
    unfinished=$own
    rm -rf "$own"
    {
        "$python" -m venv --without-pip "$own" &&
            "$own/bin/python" "$(echo "$wheels"/pip-*.whl)/pip" --isolated --disable-pip-version-check install \
                --quiet --no-cache-dir --root-user-action=ignore --no-index --find-links "$wheels" \
                "sensorloom[edge]==$version" &&
            mkdir "$own/deploy" && cp -R "$here/device" "$here/install.sh" "$here/README.md" "$own/deploy/" &&
            "$own/bin/sensorloom" agent keys >/dev/null && sync && : >"$own/complete"
    } || broken "$own: could not be installed, see above; what was there before is as it was"
    unfinished=""
    changed "$own"
}

put_files() { # put_files RELEASE: what the system is told, by this release
    put "$TOP/$1/deploy/device/sensorloom.service" $UNIT
    put "$TOP/$1/deploy/device/60-sensorloom.rules" $RULES
    if [ -d $CHRONY ]; then put "$TOP/$1/deploy/device/chrony.conf" $CHRONY/sensorloom.conf; fi
    put_link "$1" $TOP/current
    put_link $TOP/current/bin/sensorloom $COMMAND
}

has_systemd() { [ -d /run/systemd/system ]; }

tell_system() { # what was changed holds from now on
    if has_systemd; then
        systemctl daemon-reload
        systemctl --quiet enable sensorloom.service
        udevadm control --reload || :
        udevadm trigger --subsystem-match=gpio --subsystem-match=i2c-dev --subsystem-match=tty \
            --subsystem-match=usb-serial --subsystem-match=pps --subsystem-match=iio || :
        if systemctl --quiet is-active chrony.service; then systemctl restart chrony.service; fi
    elif command -v systemctl >/dev/null; then
        systemctl --quiet enable sensorloom.service 2>/dev/null # in an image that is being made: from its first boot on
    fi
}

# --- actions

runs_as() { # what a running agent would have to be begun anew for
    cat $UNIT 2>/dev/null || :
    readlink $TOP/current || :
    id -Gn sensorloom 2>/dev/null || :
}

install() {
    ran_as=$(runs_as)
    put_user
    build
    put_files "$release"
    if [ "$changes" = 0 ]; then
        say "$release is installed; nothing to change"
        return
    fi
    tell_system
    if ! has_systemd; then
        say "systemd does not run here (a container, or an image that is being made); in a container start it yourself:" \
            "$COMMAND agent run -c $CONFIG/agent.toml"
    elif [ -e $CONFIG/agent.toml ] && [ "$(runs_as)" != "$ran_as" ]; then
        systemctl restart sensorloom.service || broken "the agent does not start: journalctl -u sensorloom"
        say "the agent runs: systemctl status sensorloom"
    fi
    if [ ! -e $CONFIG/agent.toml ]; then
        say "next: plug the sensor in, then sudo sensorloom agent init"
    fi
}

upgrade() {
    old=$(readlink $TOP/current || :)
    [ -n "$old" ] || fail "nothing is installed that could be upgraded; run it without --upgrade"
    : >"$scratch/before"
    if [ "$old" = "$release" ] && [ -d "$TOP/$(cat $UNDER_WAY 2>/dev/null)/deploy" ]; then
        old=$(cat $UNDER_WAY)
        say "the upgrade from $old was cut off; going on with it"
    elif [ "$old" = "$release" ]; then
        install
        return
    else
        "$TOP/$old/bin/sensorloom" agent status --json -c $CONFIG/agent.toml >"$scratch/before" 2>/dev/null || :
    fi
    put_user
    build
    if [ -e $CONFIG/agent.toml ] && [ "$(readlink $TOP/current)" = "$old" ] &&
        ! "$TOP/$release/bin/sensorloom" agent check -c $CONFIG/agent.toml >"$scratch/said" 2>&1; then
        tell_status "$old" "$release" refused "$(tail -n 1 "$scratch/said")"
        rm -rf "${TOP:?}/$release"
        broken "$release does not take this configuration: $(tail -n 1 "$scratch/said"); $old goes on"
    fi
    echo "$old" >$UNDER_WAY
    put_files "$release"
    sync
    tell_system
    if ! has_systemd || [ ! -e $CONFIG/agent.toml ]; then
        tell_status "$old" "$release" taken "not tried: no systemd, or no configuration"
        rm $UNDER_WAY
        say "$release is in the place of $old; nothing ran that could be looked at"
    elif is_well; then
        tell_status "$old" "$release" taken ""
        rm $UNDER_WAY
        say "$release is in the place of $old, and well"
        drop_releases "$old" "$release"
    else
        put_files "$old"
        tell_system
        tell_status "$old" "$release" rolled_back "$reason"
        systemctl restart sensorloom.service || :
        rm -rf "${TOP:?}/$release" $UNDER_WAY
        broken "$release was taken back: $reason; $old runs again"
    fi
}

is_well() { # the agent of the new release; else `reason` says why it is not
    reason="" code=0
    # The unit gives it ten minutes, and that is too long where an old one could run.
    timeout "$HEALTH_S" systemctl restart sensorloom.service 2>"$scratch/said" || code=$?
    if [ "$code" != 0 ]; then
        last=$(journalctl -u sensorloom.service -n 20 -o cat 2>/dev/null | grep -E '^(agent|sensorloom)' | tail -n 1)
        reason="it does not start: ${last:-$(head -n 1 "$scratch/said")}"
        if [ "$code" = 124 ]; then reason="it is not ready within $HEALTH_S s: ${last:-it says nothing}"; fi
    elif ! "$TOP/$release/bin/sensorloom" agent health -c $CONFIG/agent.toml --for "${HEALTH_S}s" \
        --before "$scratch/before" >"$scratch/said" 2>&1; then
        reason=$(tail -n 1 "$scratch/said")
    fi
    [ -z "$reason" ]
}

tell_status() { # tell_status OLD NEW OUTCOME REASON: what the agent says in the topic `status`
    "$python" -c 'import json, sys, time
print(json.dumps(dict(zip(("old", "new", "outcome", "reason"), sys.argv[1:])) | {"time_ns": time.time_ns()}))' \
        "$@" >>$RELEASES
}

drop_releases() { # all but these
    for folder in "$TOP"/*/; do
        name=$(basename "$folder")
        case "$name" in
        current | "$1" | "$2") ;;
        *) rm -rf "${TOP:?}/$name" ;;
        esac
    done
}

uninstall() {
    if has_systemd; then systemctl --quiet disable --now sensorloom.service 2>/dev/null || :; fi
    rm -f $UNIT $RULES $CHRONY/sensorloom.conf /etc/systemd/system/multi-user.target.wants/sensorloom.service
    case "$(readlink $COMMAND || :)" in $TOP/*) rm -f $COMMAND ;; esac
    rm -rf $TOP
    if has_systemd; then systemctl daemon-reload; fi
    if command -v udevadm >/dev/null; then udevadm control --reload 2>/dev/null || :; fi
    say "removed; what stays: $CONFIG, $STATE (the spool: what the log may not have yet), the user sensorloom;" \
        "rm -r them and userdel sensorloom, when nobody needs them"
}

usage() { sed -n '2,9s/^#\( \|$\)//p' "$0"; }

action=install
for word in "$@"; do
    case "$word" in
    --upgrade) action=upgrade ;;
    --uninstall) action=uninstall ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) fail "unknown word \"$word\"; known: --upgrade, --uninstall" ;;
    esac
done
[ "$(id -u)" = 0 ] || fail "this has to be done as root: sudo sh $0 $*"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"; if [ -n "$unfinished" ]; then rm -rf "$unfinished"; fi' EXIT
trap 'exit 1' HUP INT TERM
if [ $action = uninstall ]; then
    uninstall
    exit 0
fi
check_machine
find_bundle
if [ $action = install ]; then
    old=$(readlink $TOP/current || :)
    [ -z "$old" ] || [ "$old" = "$release" ] ||
        fail "$old is installed; sh $0 --upgrade puts $release in its place, and takes it back where it is not well"
fi
$action
