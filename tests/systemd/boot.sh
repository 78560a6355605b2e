#!/usr/bin/env bash
# Becomes systemd as PID 1 over a root folder; tests/root.sh starts it in namespaces of its own.
set -euo pipefail
root=$1

mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys" 2>/dev/null || mount --rbind /sys "$root/sys"
mountpoint -q "$root/sys/fs/cgroup" && umount -R "$root/sys/fs/cgroup" || true
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for folder in run tmp dev; do
    mount -t tmpfs -o mode=755 tmpfs "$root/$folder"
done
chmod 1777 "$root/tmp"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
hostname spoolway-test
# Not chroot: the kernel makes no user namespace (PrivateUsers=) for whoever sits in one.
cd "$root"
pivot_root . .
umount -l .
# As systemd has it on a machine of its own: what it mounts for a unit (credentials) is seen by that unit.
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C /sbin/init
