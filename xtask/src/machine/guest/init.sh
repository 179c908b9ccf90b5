#!/bin/busybox sh
# Process 1 of the initial RAM disk: turns a plain Debian system into the test machine and hands over to systemd.
# /guest is what is laid over the system: see initrd.rs.
set -e
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox insmod /virtio_blk.ko
/bin/busybox mount -t ext4 -o noatime /dev/vda /root
/bin/busybox cp -a /guest/. /root/
/bin/busybox mount -t ext4 -o ro /dev/vdb /root/payload

# An unprivileged user as adduser makes one; its systemd runs without a login, for /guest has its linger file.
echo 'user:x:1000:1000::/home/user:/bin/bash' >> /root/etc/passwd
echo 'user:*:20000:0:99999:7:::' >> /root/etc/shadow
echo 'user:x:1000:' >> /root/etc/group
echo 'user:100000:65536' > /root/etc/subuid
echo 'user:100000:65536' > /root/etc/subgid
/bin/busybox chown 1000:1000 /root/home/user

/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
