#!/bin/sh
# own_network.sh PROGRAM...: runs it with a network, an /etc and a /var/lib of its own, so that it
# may change them. Packets to other hosts leave by an interface that leads nowhere. Only inside
# `unshare --mount --net`.
set -eu

ip link set lo up
ip link add uplink type veth peer name nowhere
# An address that appears by itself would appear in the middle of a test.
ip link set uplink addrgenmode none
ip link set nowhere addrgenmode none
ip address add 192.0.2.2/24 dev uplink
ip link set uplink up
ip link set nowhere up
ip route add default via 192.0.2.1
mount -t tmpfs tmpfs /mnt
for folder in etc var/lib; do
  mkdir -p "/mnt/$folder/upper" "/mnt/$folder/work"
  mount -t overlay -o "lowerdir=/$folder,upperdir=/mnt/$folder/upper,workdir=/mnt/$folder/work" overlay "/$folder"
done
# A worker's Docker has made these chains; iptables cannot remove them.
iptables -t nat -S >/dev/null
echo 'nameserver 127.0.0.1' >/etc/resolv.conf
exec "$@"
