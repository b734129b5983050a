#!/bin/sh
# lab.sh ROOT UNIT DAEMON: becomes a small systemd system of its own below ROOT, an empty directory. To be run as process
# 1 of new mount, PID, network, UTS, IPC and cgroup namespaces: nothing of it is seen outside, and all of it ends with
# the process.
set -eu

root=$1 unit=$2 daemon=$3

# A name in dev/ for each device that programs expect.
make_devices() {
	mount -t tmpfs -o mode=755,nosuid tmpfs dev
	for device in null zero full random urandom tty; do
		: >"dev/$device"
		mount --bind "/dev/$device" "dev/$device"
	done
	mkdir dev/pts dev/shm
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
	mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
	ln -s pts/ptmx dev/ptmx
	ln -s /proc/self/fd dev/fd
	ln -s null dev/console
}

make_accounts() {
	cat >etc/passwd <<-END
		root:x:0:0:root:/root:/bin/sh
		messagebus:x:100:100::/:/usr/sbin/nologin
		nobody:x:65534:65534:nobody:/:/usr/sbin/nologin
	END
	cat >etc/group <<-END
		root:x:0:
		adm:x:4:
		tty:x:5:
		messagebus:x:100:
		systemd-journal:x:999:
		nogroup:x:65534:
	END
	printf '%s: files systemd\n' passwd group >etc/nsswitch.conf
}

make_etc() {
	make_accounts
	tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
	echo lab >etc/hostname
	cp /etc/ld.so.cache etc/
	cp -r /etc/alternatives etc/ 2>/dev/null || true
	ln -s ../usr/lib/os-release etc/os-release
	for masked in systemd-firstboot systemd-networkd-wait-online systemd-udevd; do
		ln -s /dev/null "etc/systemd/system/$masked.service"
	done
}

# The units as they are, but for the places of the daemon and its file. A sanitizer's search for leaks needs system calls
# that the unit denies.
make_service() {
	sed 's#^\(Exec[A-Za-z]*\)=/[^ ]*/udprelayd -c [^ ]*#\1=/opt/udprelayd -c /etc/udprelayd/udprelayd.ini#' "$unit" \
		>etc/systemd/system/udprelayd.service
	cp "$(dirname "$unit")/udprelayd.socket" etc/systemd/system/
	cp "$daemon" opt/udprelayd
	cat >etc/systemd/system/udprelayd.service.d/lab.conf <<-END
		[Service]
		Environment=ASAN_OPTIONS=detect_leaks=0
	END
}

# The host's /usr, read-only, and nothing else of the host.
make_tree() {
	mkdir -p usr proc sys dev run tmp old opt root home var/log var/lib var/tmp etc/udprelayd \
		etc/systemd/system/udprelayd.service.d
	chmod 1777 tmp var/tmp
	for link in bin sbin lib lib32 lib64; do
		[ ! -L "/$link" ] || ln -s "usr/$link" "$link"
	done
	mount --bind /usr usr
	mount -o remount,bind,ro usr
	mount -t proc -o nosuid,nodev,noexec proc proc
	mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
	mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
	mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
}

mount -t tmpfs -o mode=755,size=256m tmpfs "$root"
cd "$root"
make_tree
make_devices
make_etc
make_service
ip link set lo up
hostname lab
pivot_root . old
umount -l old
rmdir old
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --unit=basic.target --log-target=journal --show-status=no
