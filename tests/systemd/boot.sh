#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# boot.sh STAGE KEEP - boots systemd in namespaces of its own, over a throwaway layer above /.
#
# Run by systemd_machine.py within unshare -muinpC --fork. STAGE is laid over the root; the folder KEEP
# (the source tree) stays visible at its path. /proc/sys is read-only, so that nothing of the host
# is set. When it is ready, `basic.target` is reached and D-Bus and logind can be started.
set -e
stage=$1 keep=$2
w=$(mktemp -d)
mount -t tmpfs t "$w"
mkdir "$w/upper" "$w/work" "$w/root"
r=$w/root
mount -t overlay o "$r" -o "lowerdir=/,upperdir=$w/upper,workdir=$w/work"
cp -a "$stage/." "$r/"
mount -t proc p "$r/proc"
mount --bind "$r/proc/sys" "$r/proc/sys"
mount -o remount,bind,ro "$r/proc/sys"
mount -t sysfs s "$r/sys" -o ro
mount -t cgroup2 c "$r/sys/fs/cgroup"
mount -t tmpfs d "$r/dev" -o mode=755
for d in null zero full random urandom tty; do
    touch "$r/dev/$d"
    mount --bind "/dev/$d" "$r/dev/$d"
done
mkdir "$r/dev/pts" "$r/dev/shm"
mount -t devpts x "$r/dev/pts" -o newinstance,ptmxmode=666
ln -s pts/ptmx "$r/dev/ptmx"
ln -s /proc/self/fd "$r/dev/fd"
for t in dev/shm run tmp; do mount -t tmpfs t "$r/$t"; done
chmod 1777 "$r/dev/shm" "$r/tmp"
mkdir -p "$r$keep"
mount --bind "$keep" "$r$keep"
rm -rf "$r"/etc/systemd/system/*.wants "$r"/etc/systemd/user/*.wants
cat >"$r/etc/systemd/system/test.target" <<'END'
[Unit]
Requires=basic.target dbus.socket systemd-logind.service
After=basic.target
END
ip link set lo up
mkdir -p "$r/.old"
cd "$r"
pivot_root . .old
umount -l /.old
mount --make-rshared /
exec env -i container=x PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=test.target
