# shellcheck shell=sh
# The kubelet's credentials: finding them, having systemd load those that only root can read, and watching those for a
# renewal.

# Finds the files that a config must name; changes nothing.
find_credentials() {
  pki=/etc/kubernetes/pki
  if [ -z "$cert_file" ] && usable "$root$pki/apiserver-kubelet-client"; then
    if [ "$systemd" -ge 247 ]; then
      cert_file=$pki/apiserver-kubelet-client.crt key_file=$pki/apiserver-kubelet-client.key
      say "found kubeadm's certificate for this kubelet, $cert_file: the new config uses it"
    else
      say "found $pki/apiserver-kubelet-client.crt, but systemd $systemd cannot load it for the daemon (LoadCredential=" \
        "came with 247): copy it and its key into /etc/gilly, readable by the group $user"
    fi
  elif [ -z "$cert_file" ] && [ -e "$root/var/lib/kubelet/pki/kubelet-client-current.pem" ]; then
    say "this worker's own certificate is refused by its kubelet (403): get Gilly one with gilly-credentials," \
      "or use a token (kubelet.tokenFile); docs/credentials.md has both"
  fi
  # With serverTLSBootstrap the cluster's CA signs the serving certificate; otherwise the kubelet made its own.
  serving=/var/lib/kubelet/pki
  if [ -n "$ca_file" ] || [ -z "$cert_file" ]; then
    :
  elif [ ! -e "$root$serving/kubelet-server-current.pem" ] && [ -e "$root$serving/kubelet.crt" ]; then
    ca_file=$serving/kubelet.crt
  elif [ -e "$root$pki/ca.crt" ]; then
    ca_file=$pki/ca.crt
  fi
  lend "$ca_file" kubelet-ca.crt
  ca_file=$lent_as
  lend "$cert_file" kubelet-client.crt
  cert_file=$lent_as
  lend "$key_file" kubelet-client.key
  key_file=$lent_as
}

# usable PREFIX: whether PREFIX.crt and PREFIX.key are a pair that has not expired, as far as can be told here.
usable() {
  [ -s "$1.crt" ] && [ -s "$1.key" ] || return 1
  command -v openssl >/dev/null 2>&1 || return 0
  openssl x509 -in "$1.crt" -noout -checkend 0 >/dev/null 2>&1 &&
    [ "$(openssl x509 -in "$1.crt" -noout -pubkey 2>/dev/null)" = "$(openssl pkey -in "$1.key" -pubout 2>/dev/null)" ]
}

# lend FILE NAME: sets lent_as to the path at which the daemon sees the file. A file that only root
# can read stays so.
lend() {
  lent_as=$1
  case $1 in '' | /etc/gilly/*) return 0 ;; esac
  [ "$systemd" -ge 247 ] ||
    refuse "systemd $systemd cannot load $1 for the daemon (LoadCredential= came with 247): copy it into /etc/gilly"
  lent="$lent${lent:+$newline}LoadCredential=$2:$1"
  lent_as=/run/credentials/gilly.service/$2
}

write_loans() {
  loans=$work/loans
  cat >"$loans" <<TEXT
# Written by gilly-setup together with the first config, which names these files under /run/credentials/gilly.service.
# systemd copies them when Gilly starts, and gilly-renew.path restarts it when one of them was replaced. After an edit, run
# gilly-setup again.
[Service]
$lent
TEXT
  place_running "$loans" "$drop_ins/20-kubelet-credentials.conf" 644 0
}

# --- renewed credentials ------------------------------------------------------------------------------------------------

renewal_places() {
  watched=/etc/systemd/system/gilly-renew.path.d/20-kubelet-credentials.conf
  wanted=/etc/systemd/system/gilly.service.wants/gilly-renew.path
}

# Only for a service that has files loaded by systemd.
set_up_renewal() {
  renewal_places
  # What write_loans wrote in this run, which --dry-run does not put in place.
  [ -n "${loans-}" ] || loans=$root$drop_ins/20-kubelet-credentials.conf
  if [ ! -f "$loans" ]; then
    turn_off_renewal
    return 0
  fi
  {
    say "# Written by gilly-setup: the files that $drop_ins/20-kubelet-credentials.conf loads for Gilly."
    say '[Path]'
    sed -n 's|^LoadCredential=[^:]*:/|/|p' "$loans" | while read -r path; do watch "$path"; done | sort -u
  } >"$work/watched"
  place "$work/watched" "$watched" 644 0
  if [ "$placed" = yes ]; then rewatch=yes; fi
  link_unit gilly-renew.path "${unit%/*}/gilly-renew.path" "${wanted%/*}"
  if [ "$linked" = yes ]; then rewatch=yes; fi
  [ "$rewatch" = no ] || watch_anew
}

# watch PATH: systemd follows a symbolic link and does not see when it is switched, so the folder of
# each link is watched too.
watch() {
  say "PathChanged=$1"
  part=$1
  while [ -n "$part" ]; do
    folder=${part%/*}
    [ ! -L "$root$part" ] || say "PathChanged=${folder:-/}"
    part=$folder
  done
}

# A start of Gilly starts the path unit; for a Gilly that already runs, it is started here.
watch_anew() {
  reload=yes
  [ "$dry" = no ] && is_live && systemctl is-active --quiet gilly.service || return 0
  attempt "make systemd reload its units" systemctl daemon-reload
  systemctl restart gilly-renew.path 2>/dev/null || refuse "cannot start gilly-renew.path: journalctl -u gilly-renew.path"
}

turn_off_renewal() {
  [ -e "$root$watched" ] || [ -L "$root$wanted" ] || return 0
  quietly stop gilly-renew.path gilly-renew.service
  remove "$wanted" "$watched"
  reload=yes
  [ "$dry" = no ] || return 0
  for folder in "${wanted%/*}" "${watched%/*}"; do rmdir "$root$folder" 2>/dev/null || :; done
}
