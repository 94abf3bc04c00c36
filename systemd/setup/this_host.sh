# shellcheck shell=sh
# The drop-ins of gilly.service that hold what is particular to this host: its addresses, the group of the runtime's
# socket, and for a package what its systemd lacks.

install_drop_ins() {
  # An image cannot hold the addresses of the hosts that boot from it: each finds its own.
  if ! is_live; then
    link_unit gilly-this-host.service "${unit%/*}/gilly-this-host.service"
  else
    [ "$action" = this-host ] || remove "$wants/gilly-this-host.service"
    host=$(config_value url | sed 's|^[a-z]*://||; s|/.*||; s|:[0-9]*$||; s|^\[\(.*\)\]$|\1|')
    own=$({ addresses_of "$node" "$host"; addresses_of_uplinks; name_servers "$host"; } | not_loopback)
    allow "$own" "this host's own, so what is sent to them stays on it; when they change, run gilly-setup again."
    space_restarts gilly
    space_restarts gilly-proxy
  fi
  if [ "$runtime" = containerd ]; then
    drop "$drop_ins/30-docker-group.conf"
    place_text "$drop_ins/30-containerd-group.conf" <<TEXT
# Written by gilly-setup: the group of $socket, and none of Docker. If it is root, a line gid = GID
# under [grpc] of containerd's config spares that: restart containerd then, and run gilly-setup again.
[Service]
SupplementaryGroups=
SupplementaryGroups=$socket_group
TEXT
    [ "$placed" = no ] || say_exposure
    return 0
  fi
  drop "$drop_ins/30-containerd-group.conf"
  if [ "$socket_group" = docker ]; then
    drop "$drop_ins/30-docker-group.conf"
  else
    place_text "$drop_ins/30-docker-group.conf" <<TEXT
# Written by gilly-setup: the group of this host's Docker socket.
[Service]
SupplementaryGroups=
SupplementaryGroups=$socket_group
TEXT
  fi
}

# What gilly-this-host.service and the packages run: the drop-ins, and nothing else.
prepare_this_host() {
  find_runtime
  find_socket_group
  install_drop_ins
  ! is_live || attempt "make systemd reload its units" systemctl daemon-reload
}

# allow ADDRESSES WHY: lets the daemon reach these addresses besides loopback.
allow() {
  if [ -z "$1" ]; then
    drop "$drop_ins/10-this-host.conf"
  else
    place_text "$drop_ins/10-this-host.conf" <<TEXT
# Written by gilly-setup. Addresses that Gilly may connect to besides loopback:
# $2
[Service]
IPAddressAllow=$1
TEXT
  fi
}

# space_restarts NAME: install.sh adapts a unit to a systemd that does not know RestartSteps= (before 254), a package
# cannot. Pauses that cannot grow are longer from the start.
space_restarts() {
  dropped=/etc/systemd/system/$1.service.d/40-restarts.conf
  if [ "$unit" != "$package_unit" ] || [ -n "$(systemctl show --value --property=RestartSteps "$1.service")" ]; then
    remove "$dropped"
    return 0
  fi
  {
    say "# Written by gilly-setup: this systemd does not know RestartSteps=."
    say '[Service]'
    say 'RestartSec=5'
  } >"$work/restarts"
  place "$work/restarts" "$dropped" 644 0
  if [ "$placed" = yes ]; then reload=yes; fi
}

addresses_of() {
  for name in "$@"; do
    [ -z "$name" ] || getent ahosts "$name" 2>/dev/null | cut -d' ' -f1
  done
}

# If only DNS knows the kubelet's name, the daemon must reach the name servers.
name_servers() {
  case $1 in '' | *:* | *[!a-zA-Z0-9.-]*) return 0 ;; *[a-zA-Z]*) ;; *) return 0 ;; esac
  getent -s files ahosts "$1" >/dev/null 2>&1 || getent -s myhostname ahosts "$1" >/dev/null 2>&1 ||
    sed -n 's/^nameserver[[:space:]]*\([0-9a-fA-F.:]*\).*/\1/p' /etc/resolv.conf 2>/dev/null || :
}

# Only the interfaces with a default route: those of pods and services come and go.
addresses_of_uplinks() {
  if command -v ip >/dev/null 2>&1; then
    { ip -o -4 route show default; ip -o -6 route show default; } 2>/dev/null |
      sed -n 's/.* dev \([^ ]*\).*/\1/p' | sort -u |
      while read -r device; do ip -o addr show dev "$device" scope global 2>/dev/null; done |
      sed -n '/temporary/d; /deprecated/d; s/.* inet6* \([0-9a-f.:]*\).*/\1/p'
  else
    hostname -I 2>/dev/null | tr ' ' '\n'
  fi
}

not_loopback() {
  sed '/^127\./d; /^::1$/d; /^fe80:/d; /^$/d' | sort -u | tr '\n' ' ' | sed 's/ $//'
}
