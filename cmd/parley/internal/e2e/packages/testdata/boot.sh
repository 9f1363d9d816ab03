#!/bin/bash
# boot.sh ROOT OUT SCRIPT: boots systemd in namespaces of its own, on a root file system that it
# does not change, and runs OUT/SCRIPT there as a service, with OUT at /out. Nothing but lo is up.
# Exit status: that of the script.
set -euo pipefail
root=$(realpath "$1") out=$(realpath "$2") script=$3
groups=/sys/fs/cgroup/unified
[ -d $groups ] || groups=/sys/fs/cgroup
group=$groups/parley-packages-$$
work=$(mktemp -d)
trap 'find $group -depth -type d -exec rmdir {} + 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir $group
rm -f "$out/status"
(
	echo $BASHPID >$group/cgroup.procs
	exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child bash -euc '
		lower=$1 out=$2 script=$3 work=$4 root=$4/root
		mount --make-rprivate /
		mount -t tmpfs tmpfs $work
		mkdir $work/{upper,work,root}
		mount -t overlay -o lowerdir=$lower,upperdir=$work/upper,workdir=$work/work overlay $root
		ip link set lo up
		mount -t proc proc $root/proc
		mount -t sysfs sysfs $root/sys
		mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
		mount -t tmpfs -o mode=755 tmpfs $root/dev
		for d in null zero full random urandom tty; do touch $root/dev/$d; mount --bind /dev/$d $root/dev/$d; done
		mkdir -p $root/dev/pts $root/dev/shm $root/out
		mount -t devpts -o newinstance,ptmxmode=0666 devpts $root/dev/pts
		ln -s pts/ptmx $root/dev/ptmx
		mount -t tmpfs tmpfs $root/run
		printf "127.0.0.1 localhost\n::1 localhost\n" >$root/etc/hosts
		mount --bind $out $root/out
		cat >$root/etc/systemd/system/script.service <<-E
			[Unit]
			After=basic.target
			[Service]
			Type=oneshot
			ExecStart=/bin/bash -c "cd /out; bash -e $script; echo \$? >/out/status"
			StandardOutput=append:/out/log
			StandardError=append:/out/log
			ExecStopPost=/bin/systemctl poweroff --force
		E
		mkdir -p $root/etc/systemd/system/multi-user.target.wants
		ln -s ../script.service $root/etc/systemd/system/multi-user.target.wants/
		ln -sf /lib/systemd/system/multi-user.target $root/etc/systemd/system/default.target
		cd $root
		mkdir -p .old
		pivot_root . .old
		umount -l .old
		mount --make-rshared / # in a container, systemd expects this: credentials are mounts
		exec env -i container=lxc PATH=/usr/sbin:/usr/bin /lib/systemd/systemd
	' bash "$root" "$out" "$script" "$work"
) </dev/null || true
[ -f "$out/status" ] || { echo "the script did not end" >&2; exit 125; }
exit "$(cat "$out/status")"
