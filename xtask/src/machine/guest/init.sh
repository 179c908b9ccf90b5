#!/bin/busybox sh
# Process 1 of the initial RAM disk: turns a plain Debian system into the test machine and hands over to systemd.
# shellcheck shell=busybox
set -e
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
insmod /virtio_blk.ko
mount -t ext4 -o noatime /dev/vda /root
mkdir -p /root/payload
mount -t ext4 -o ro /dev/vdb /root/payload

units=/root/etc/systemd/system
cp /guest/payload.service /guest/payload.target $units
install -D /guest/payload.sh /root/usr/local/lib/payload.sh
# What no test looks at: under emulation the machine is up in half the time without it.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer getty@tty1.service serial-getty@hvc0.service serial-getty@ttyS0.service getty-static.service \
    kmod-static-nodes.service ldconfig.service modprobe@configfs.service modprobe@drm.service modprobe@fuse.service \
    modprobe@efi_pstore.service modprobe@dm_mod.service modprobe@loop.service \
    proc-sys-fs-binfmt_misc.automount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    systemd-binfmt.service systemd-hwdb-update.service systemd-journal-catalog-update.service \
    systemd-journal-flush.service systemd-modules-load.service systemd-pstore.service systemd-random-seed.service \
    systemd-remount-fs.service systemd-sysusers.service systemd-tmpfiles-clean.timer systemd-timesyncd.service \
    systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udevd.service systemd-udev-trigger.service \
    systemd-update-done.service systemd-update-utmp.service; do
  ln -sf /dev/null "$units/$unit"
done
echo machine > /root/etc/hostname
echo '127.0.0.1 localhost machine' > /root/etc/hosts

# An unprivileged user as adduser makes one, whose systemd runs without a login.
echo 'user:x:1000:1000::/home/user:/bin/bash' >> /root/etc/passwd
echo 'user:*:20000:0:99999:7:::' >> /root/etc/shadow
echo 'user:x:1000:' >> /root/etc/group
echo 'user:100000:65536' > /root/etc/subuid
echo 'user:100000:65536' > /root/etc/subgid
install -d -o 1000 -g 1000 /root/home/user
install -D /dev/null /root/var/lib/systemd/linger/user

umount /proc /sys
mount --move /dev /root/dev
exec switch_root /root /sbin/init
