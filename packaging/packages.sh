#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# packages.sh - which packages of the distribution are needed, and how they get here.
#
#   sh packaging/packages.sh build|demo|test|bench|ci …
#
# installs what is missing as root; otherwise prints the lines that do, and ends with status 1. If
# nothing is missing it says nothing. Other scripts source it for packages() and python_env().

# Names that differ between releases.
packages_names() {
    id= version=
    if [ -r /etc/os-release ]; then
        id=$(. /etc/os-release && echo "$ID")
        version=$(. /etc/os-release && echo "${VERSION_ID:-99}")
    fi
    case "$id-$version" in
    debian-1[012] | ubuntu-2[0123].*) msgpack=libmsgpack-dev ;;
    *) msgpack=libmsgpack-c-dev ;;
    esac
    case "$(uname -m)" in
    x86_64 | aarch64) isal_apt=libisal-dev isal_dnf=isa-l-devel ;;
    *) isal_apt= isal_dnf= ;;
    esac
}

# packages_apt GROUP…, packages_dnf GROUP…: names, a line each.
packages_apt() {
    for group; do
        case $group in
        build) echo gcc libc6-dev make cmake pkg-config libuv1-dev libcurl4-openssl-dev libssl-dev \
            libinih-dev libsystemd-dev libsqlite3-dev libjansson-dev uthash-dev scdoc \
            "$msgpack" $isal_apt ;;
        demo) echo python3 python3-venv openssl ca-certificates ;;
        test) echo openssh-client python3 python3-venv openssl ca-certificates libcmocka-dev strace \
            gdb ;;
        bench) echo python3 openssl curl nginx libnginx-mod-http-lua lua-cjson libisal2 strace \
            valgrind ;;
        ci) echo clang libclang-rt-dev clang-format systemd dbus libpam-systemd \
            dbus-user-session iproute2 nftables chromium ;;
        esac
    done | tr ' ' '\n'
}

packages_dnf() {
    for group; do
        case $group in
        build) echo gcc make cmake pkgconf-pkg-config libuv-devel libcurl-devel openssl-devel \
            inih-devel systemd-devel sqlite-devel jansson-devel uthash-devel msgpack-c-devel scdoc \
            $isal_dnf ;;
        demo) echo python3 openssl ca-certificates ;;
        test) echo openssh-clients python3 openssl ca-certificates libcmocka-devel strace \
            gdb ;;
        bench) echo python3 openssl curl nginx isa-l strace valgrind ;;
        ci) echo clang compiler-rt clang-tools-extra systemd dbus-daemon iproute nftables \
            chromium ;;
        esac
    done | tr ' ' '\n'
}

# Those of the names on standard input that are not installed, in one line.
packages_missing() {
    missing=
    while read -r name; do
        [ -n "$name" ] || continue
        case $1 in
        apt) case $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) in
            installed) continue ;;
            esac ;;
        dnf) rpm -q --quiet --whatprovides "$name" && continue ;;
        esac
        missing="$missing $name"
    done
    echo "${missing# }"
}

# packages GROUP…: everything is there afterwards, or the caller ends here.
packages() {
    packages_names
    if command -v dpkg-query >/dev/null; then
        packages_lacking=$(packages_apt "$@" | sort -u | packages_missing apt)
        [ -n "$packages_lacking" ] || return 0
        if [ "$(id -u)" = 0 ]; then
            echo "packages: installing $packages_lacking"
            export DEBIAN_FRONTEND=noninteractive
            apt-get update -qq </dev/null >/dev/null &&
                apt-get install -y -qq --no-install-recommends $packages_lacking \
                    </dev/null >/dev/null && return 0
            echo "packages: the installation has failed" >&2
            exit 1
        fi
    elif command -v rpm >/dev/null; then
        packages_lacking=$(packages_dnf "$@" | sort -u | packages_missing dnf)
        [ -n "$packages_lacking" ] || return 0
        if [ "$(id -u)" = 0 ] && command -v dnf >/dev/null; then
            echo "packages: installing $packages_lacking"
            dnf install -y -q --setopt=install_weak_deps=False $packages_lacking </dev/null &&
                return 0
            echo "packages: the installation has failed" >&2
            exit 1
        fi
    else
        return 0 # a distribution we do not know: cmake names the libraries that it misses
    fi
    {
        echo "packages: some are missing. As root, on Debian or Ubuntu:"
        echo "  apt-get install --no-install-recommends" $(packages_apt "$@" | sort -u)
        echo "on Fedora, Red Hat and their kin (EPEL has some of them):"
        echo "  dnf install" $(packages_dnf "$@" | sort -u)
        echo "missing here: $packages_lacking"
    } >&2
    exit 1
}

# python_env DIR FILE…: a virtual environment with the pins of these requirement files; made once,
# made again when they change.
python_env() {
    env_dir=$1
    shift
    if [ -x "$env_dir/bin/python" ] && cat "$@" | cmp -s - "$env_dir/pins"; then
        return 0
    fi
    echo "packages: making $env_dir"
    env_pins=
    for file; do env_pins="$env_pins -r $file"; done
    rm -rf "$env_dir"
    python3 -m venv "$env_dir" &&
        "$env_dir/bin/pip" install -q --disable-pip-version-check $env_pins </dev/null || {
        echo "packages: cannot make the Python environment $env_dir" >&2
        exit 1
    }
    cat "$@" >"$env_dir/pins"
}

case ${0##*/} in
packages.sh) packages "$@" ;;
esac
