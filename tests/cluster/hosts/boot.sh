#!/bin/bash
# Process 1 of a pretend machine, started in namespaces of its own: assembles the machine's file
# system, then runs sshd. Arguments: the machine's directory, its name, the directory of extra
# programs, the shared directory, and the directories of the Python environment.
#
# The machine sees the real root file system under a writable layer of its own, so that whatever it
# changes is its own. Homes and temporary directories in that layer begin empty (they are opaque).
set -euo pipefail
disk=$1 name=$2 programs=$3 shared=$4
shift 4
root=$disk/root

mount --make-rprivate /
hostname "$name"
mount -t overlay overlay "$root" -o "lowerdir=$programs:/,upperdir=$disk/layer,workdir=$disk/work"
# Directories of the Python environment that the empty homes hide, each under a layer of its own.
for path in "$@"; do
    layer=$disk/python/${path//\//-}
    mkdir -p "$layer/layer" "$layer/work" "$root$path"
    mount -t overlay overlay "$root$path" \
        -o "lowerdir=$path,upperdir=$layer/layer,workdir=$layer/work"
done
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/mnt/shared"
mount --bind "$shared" "$root/mnt/shared"
mkdir -p "$root/run/sshd"
# bash stays process 1: it collects the orphans, which sshd would not
exec chroot "$root" /bin/bash -c '
    cd /
    /usr/sbin/sshd -f /etc/ssh/machine_sshd_config -E /var/log/sshd.log || exit
    while :; do sleep 3600 & wait $!; done'
