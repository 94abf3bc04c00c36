#!/bin/sh
# Installs Gilly on this worker from its release archive or from a checkout, upgrades it, or takes it off again.
# Nothing is touched before everything is checked, a second run changes nothing, and every refusal says what to do.
set -eu

usage() {
  cat <<'TEXT'
Usage: install.sh [options]

Installs the binary, its systemd unit and /etc/gilly/config.yaml, then enables and starts gilly.service. Run again, it
upgrades what differs and leaves the rest alone; a config that exists is never changed.

A first config without an editor:
  --mirror REGISTRY=MIRROR[,MIRROR]  images of REGISTRY come from MIRROR; may be given several times
  --kubelet-url URL                  the kubelet of this host; https://NODE-NAME:10250 where kubeadm's certificates are
  --kubelet-ca FILE                  what signed the kubelet's serving certificate
  --kubelet-cert FILE                client certificate and key that the kubelet accepts; files outside /etc/gilly are
  --kubelet-key FILE                   lent to the daemon by systemd (LoadCredential=)

  --no-start     install and enable, do not start
  --root DIR     install into an image or a tree that is not running
  --uninstall    take Gilly off; config and ledger stay
  --purge        take Gilly off with its config, its ledger and its user
  -h, --help     this text

Example: ./install.sh --mirror gcr.io=mirror.example --mirror quay.io=mirror.example/quay
TEXT
}

say() {
  printf '%s\n' "$*"
}

refuse() {
  printf 'install.sh: %s\n' "$(printf '%s' "$*" | tr '\n' ' ')" >&2
  exit 1
}

# matches TEXT EXPRESSION: the whole text, which has to be one line.
matches() {
  case $1 in *"$newline"*) return 1 ;; esac
  printf '%s\n' "$1" | grep -Eqx "$2"
}

# --- arguments ------------------------------------------------------------------------------------------------------

parse_arguments() {
  action=install root='' start=yes mirrors='' kubelet_url='' ca_file='' cert_file='' key_file=''
  while [ $# -gt 0 ]; do
    case $1 in
      --no-start) start=no ;;
      --uninstall) [ "$action" = purge ] || action=uninstall ;;
      --purge) action=purge ;;
      -h | --help)
        usage
        exit 0
        ;;
      --root | --mirror | --kubelet-url | --kubelet-ca | --kubelet-cert | --kubelet-key)
        [ -n "${2-}" ] || refuse "$1 needs a value: see install.sh --help"
        take_value "$1" "$2"
        shift
        ;;
      *) refuse "unknown argument '$1': see install.sh --help" ;;
    esac
    shift
  done
  if [ -n "$cert_file" ] && [ -z "$key_file" ]; then refuse "--kubelet-cert needs --kubelet-key as well"; fi
  if [ -n "$key_file" ] && [ -z "$cert_file" ]; then refuse "--kubelet-key needs --kubelet-cert as well"; fi
  for file in $ca_file $cert_file $key_file; do
    [ -s "$root$file" ] || [ "$action" != install ] || refuse "$file is not there or empty: check the path"
  done
}

take_value() {
  case $1 in
    --root)
      case $2 in /*) ;; *) refuse "--root needs an absolute path, got '$2'" ;; esac
      [ -d "$2" ] || refuse "--root $2 is not a directory: make it first"
      root=${2%/}
      ;;
    --mirror) take_mirror "$2" ;;
    --kubelet-url)
      matches "$2" 'https?://([a-zA-Z0-9._-]+|\[[0-9a-fA-F:]+\]):[0-9]+/?' ||
        refuse "--kubelet-url expects https://HOST:PORT, such as https://$node:10250, got '$2'"
      kubelet_url=$2
      ;;
    --kubelet-ca) check_path "$1" "$2" && ca_file=$2 ;;
    --kubelet-cert) check_path "$1" "$2" && cert_file=$2 ;;
    --kubelet-key) check_path "$1" "$2" && key_file=$2 ;;
  esac
}

# The values end up in YAML and in a unit file, so only plain characters pass.
check_path() {
  matches "$2" '/[a-zA-Z0-9._/+@-]+' || refuse "$1 expects an absolute path of letters, digits and ._+@-, got '$2'"
}

take_mirror() {
  matches "$1" '[]a-zA-Z0-9.:/_*[-]+=[]a-zA-Z0-9.:/_{}[-]+(,[]a-zA-Z0-9.:/_{}[-]+)*' ||
    refuse "--mirror expects REGISTRY=MIRROR, such as gcr.io=mirror.example, got '$1'"
  case $mirrors in
    *"  \"${1%%=*}\":"*) refuse "--mirror names ${1%%=*} twice: put its mirrors in one, $1,SECOND-MIRROR" ;;
  esac
  mirrors="$mirrors${mirrors:+$newline}  \"${1%%=*}\": [\"$(printf '%s' "${1#*=}" | sed 's/,/", "/g')\"]"
}

# --- checks: nothing is touched here --------------------------------------------------------------------------------

check_host() {
  [ "$(id -u)" -eq 0 ] || refuse "must run as root: sudo $0"
  [ "$(uname -s)" = Linux ] || refuse "Gilly runs on Linux workers, this is $(uname -s)"
  command -v systemctl >/dev/null 2>&1 || refuse "needs systemd, which this host does not have"
  [ "$action" = install ] || return 0
  [ -n "$root" ] || [ -d /run/systemd/system ] ||
    refuse "systemd does not run this host: install into a tree with --root DIR"
  command -v systemd-sysusers >/dev/null 2>&1 || refuse "needs systemd-sysusers: install your distribution's package"
  systemd=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  [ "${systemd:-0}" -ge 240 ] || refuse "needs systemd 240 or later, this is ${systemd:-unknown}: upgrade the host"
}

find_parts() {
  here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
  for part in systemd/gilly.service systemd/config.example.yaml docs/credentials.md docs/gilly.8 docs/gilly.bash \
    gilly-credentials; do
    [ -f "$here/$part" ] || refuse "$here/$part is missing: unpack the whole archive and run install.sh from its folder"
  done
  if [ -f "$here/gilly" ]; then
    machine=$(uname -m)
    [ "$machine" = x86_64 ] || refuse "this archive is for x86_64, not $machine: run install.sh from a checkout"
    binary=$here/gilly
  elif [ -f "$here/deno.json" ]; then
    say "compiling $here/dist/gilly"
    (cd "$here" && ./denow task compile) >&2 || refuse "the checkout does not compile: see the lines above"
    binary=$here/dist/gilly
  else
    refuse "$here/gilly is missing: unpack the whole archive and run install.sh from its folder"
  fi
  if ! version=$("$binary" version 2>&1); then
    refuse "$binary does not run here: $(printf '%s' "$version" | sed -n 1p)"
  fi
  version=$(printf '%s' "$version" | sed -n 1p)
}

check_user() {
  if known passwd gilly && ! known group gilly; then
    refuse "the user gilly exists without a group gilly: run 'groupadd --system gilly && usermod -g gilly gilly' first"
  fi
}

check_docker() {
  docker_group=docker
  socket=$(config_value socket | sed 's/^unix:\/\///')
  socket=$root${socket:-/var/run/docker.sock}
  if [ -z "$root" ] && [ -S "$socket" ]; then
    docker_group=$(stat -Lc %G "$socket")
    case $docker_group in
      root) refuse "$socket belongs to group root: make a group docker (groupadd --system docker) and restart Docker" ;;
      UNKNOWN) refuse "$socket belongs to a group without a name: groupadd --gid $(stat -Lc %g "$socket") docker" ;;
    esac
    case $(stat -Lc %a "$socket") in
      *[67]?) ;;
      *) refuse "$socket cannot be used by its group $docker_group: run 'chmod 0660 $socket', or restart Docker" ;;
    esac
  elif ! known group docker && [ -z "$root" ]; then
    refuse "neither $socket nor a group docker is here: install Docker Engine, or run 'groupadd --system docker'"
  fi
}

known() {
  if [ -z "$root" ]; then getent "$1" "$2" >/dev/null; else grep -qs "^$2:" "$root/etc/$1"; fi
}

# The plain value of a key of the config in force; enough for kubelet.url and docker.socket, whose names are unique.
config_value() {
  [ ! -f "$root/etc/gilly/config.yaml" ] ||
    sed -n "s/^ *$1: *[\"']\{0,1\}\([^\"'# ]*\).*/\1/p" "$root/etc/gilly/config.yaml" | sed 1q
}

# --- placing files --------------------------------------------------------------------------------------------------

# place CONTENT-FILE TARGET MODE GROUP-ID: atomically, and only when something differs. Sets placed to yes or no.
place() {
  placed=no
  if cmp -s "$1" "$root$2" && [ "$(stat -c %a:%u:%g "$root$2")" = "$3:0:$4" ]; then return 0; fi
  mkdir -p "$(dirname "$root$2")"
  pending=$(mktemp "$root$2.XXXXXX")
  cat "$1" >"$pending"
  chown "0:$4" "$pending"
  chmod "$3" "$pending"
  mv -f "$pending" "$root$2"
  pending='' placed=yes changed=yes
  say "installed $2"
}

# The same for what the daemon runs with: it has to be restarted once.
place_running() {
  place "$@"
  if [ "$placed" = yes ]; then restart=yes; fi
}

# place_text TARGET: a drop-in from standard input.
place_text() {
  cat >"$work/text"
  place_running "$work/text" "$1" 644 0
}

install_user() {
  if ! known passwd gilly; then
    mkdir -p "$root/etc"
    printf 'u gilly - "%s" /nonexistent /usr/sbin/nologin\n' "$user_comment" |
      systemd-sysusers ${root:+"--root=$root"} - >/dev/null 2>"$work/sysusers" ||
      refuse "cannot make the user gilly: $(sed -n 1p "$work/sysusers")"
    changed=yes
    say "made the user gilly"
  fi
  group_id=$(if [ -z "$root" ]; then getent group gilly; else grep '^gilly:' "$root/etc/group"; fi | cut -d: -f3)
}

install_files() {
  place_running "$binary" /usr/local/bin/gilly 755 0
  place_running "$here/systemd/gilly.service" /etc/systemd/system/gilly.service 644 0
  place "$here/gilly-credentials" /usr/local/bin/gilly-credentials 755 0
  place "$here/docs/gilly.8" "$manual" 644 0
  place "$here/docs/gilly.bash" "$completion" 644 0
  if [ ! -d "$root/etc/gilly" ]; then
    mkdir -p "$root/etc/gilly"
    chmod 750 "$root/etc/gilly"
    chown "0:$group_id" "$root/etc/gilly"
  fi
  install_config
  install_drop_ins
}

install_config() {
  example=$here/systemd/config.example.yaml
  before=$root/usr/local/share/gilly/config.example.yaml
  if [ ! -e "$root/etc/gilly/config.yaml" ]; then
    if [ -z "$mirrors$kubelet_url$cert_file" ]; then
      cp "$example" "$work/config"
    else
      write_config >"$work/config"
      [ -n "$mirrors" ] || todo='write your mirrors into /etc/gilly/config.yaml'
      [ -z "$lent" ] || write_loans
    fi
    place "$work/config" /etc/gilly/config.yaml 640 "$group_id"
  elif [ -f "$before" ] && ! cmp -s "$example" "$before" && ! cmp -s "$example" "$root/etc/gilly/config.yaml"; then
    place "$example" /etc/gilly/config.yaml.new 640 "$group_id"
    say "kept /etc/gilly/config.yaml; what this version's example says is in config.yaml.new"
  elif [ -n "$mirrors$kubelet_url$cert_file" ]; then
    say "kept /etc/gilly/config.yaml as it is: --mirror and --kubelet-* only write a first one"
  fi
  place "$example" /usr/local/share/gilly/config.example.yaml 644 0
  place "$here/docs/credentials.md" /usr/local/share/gilly/credentials.md 644 0
}

# --- the kubelet's credentials --------------------------------------------------------------------------------------

# Finds what a first config needs to name; changes nothing.
find_credentials() {
  pki=/etc/kubernetes/pki lent=''
  [ ! -e "$root/etc/gilly/config.yaml" ] || return 0
  if [ -z "$cert_file" ] && usable "$root$pki/apiserver-kubelet-client"; then
    cert_file=$pki/apiserver-kubelet-client.crt key_file=$pki/apiserver-kubelet-client.key
    say "found kubeadm's certificate for this kubelet, $cert_file: the new config uses it"
  elif [ -z "$cert_file" ] && [ -e "$root/var/lib/kubelet/pki/kubelet-client-current.pem" ]; then
    say "this worker's own certificate is refused by its kubelet (403): get Gilly one with gilly-credentials," \
      "or use a token (kubelet.tokenFile); docs/credentials.md has both"
  fi
  [ -n "$cert_file" ] || return 0
  if [ -z "$kubelet_url" ]; then kubelet_url=https://$node:10250; fi
  # With serverTLSBootstrap the cluster's CA signs the serving certificate; otherwise the kubelet made its own.
  serving=/var/lib/kubelet/pki
  if [ -n "$ca_file" ]; then
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

# lend FILE NAME: sets lent_as to the path under which the daemon sees the file. What only root may read stays so.
lend() {
  lent_as=$1
  case $1 in '' | /etc/gilly/*) return 0 ;; esac
  [ "$systemd" -ge 247 ] || refuse "systemd $systemd cannot lend $1 to the daemon: copy it into /etc/gilly"
  lent="$lent${lent:+$newline}LoadCredential=$2:$1"
  lent_as=/run/credentials/gilly.service/$2
}

write_loans() {
  place_text "$drop_ins/20-kubelet-credentials.conf" <<TEXT
# Written by install.sh together with the first config, which names these files under /run/credentials/gilly.service.
# systemd copies them when Gilly starts: after a renewal, run: systemctl restart gilly
[Service]
$lent
TEXT
}

write_config() {
  cat <<TEXT
# Gilly's config: read at start and on \`systemctl reload gilly\`. Written by install.sh, yours from now on.
# Every key is explained in /usr/local/share/gilly/config.example.yaml.

kubelet:
  url: "${kubelet_url:-https://$node:10250}"
TEXT
  if [ -n "$ca_file" ] || [ -z "$cert_file" ]; then say "  caFile: \"${ca_file:-/etc/gilly/kubelet-ca.crt}\""; fi
  say "  certFile: \"${cert_file:-/etc/gilly/kubelet-client.crt}\""
  say "  keyFile: \"${key_file:-/etc/gilly/kubelet-client.key}\""
  say ''
  say 'registries:'
  say "${mirrors:-  # gcr.io: mirror.example}"
}

# --- drop-ins: what is particular to this host ----------------------------------------------------------------------

install_drop_ins() {
  if [ -n "$root" ]; then
    allow any "any, since --root cannot know the host's own; install.sh on the host itself puts those here."
  else
    host=$(config_value url | sed 's|^[a-z]*://||; s|/.*||; s|:[0-9]*$||; s|^\[\(.*\)\]$|\1|')
    own=$({ addresses_of "$node" "$host"; addresses_of_uplinks; name_servers "$host"; } | not_loopback)
    allow "$own" "this host's own, so what is sent to them stays on it; when they change, run install.sh again."
  fi
  if [ "$docker_group" = docker ]; then
    drop "$drop_ins/30-docker-group.conf"
  else
    place_text "$drop_ins/30-docker-group.conf" <<TEXT
# Written by install.sh: the group of this host's Docker socket.
[Service]
SupplementaryGroups=
SupplementaryGroups=$docker_group
TEXT
  fi
}

# allow ADDRESSES WHY: what the daemon may talk to besides loopback.
allow() {
  if [ -z "$1" ]; then
    drop "$drop_ins/10-this-host.conf"
  else
    place_text "$drop_ins/10-this-host.conf" <<TEXT
# Written by install.sh. Addresses that Gilly may talk to besides loopback:
# $2
[Service]
IPAddressAllow=$1
TEXT
  fi
}

addresses_of() {
  for name in "$@"; do
    [ -z "$name" ] || getent ahosts "$name" 2>/dev/null | cut -d' ' -f1
  done
}

# A name of the kubelet that only DNS knows has to be asked for.
name_servers() {
  case $1 in '' | *:* | *[!a-zA-Z0-9.-]*) return 0 ;; *[a-zA-Z]*) ;; *) return 0 ;; esac
  getent -s files ahosts "$1" >/dev/null 2>&1 || getent -s myhostname ahosts "$1" >/dev/null 2>&1 ||
    sed -n 's/^nameserver[[:space:]]*\([0-9a-fA-F.:]*\).*/\1/p' /etc/resolv.conf 2>/dev/null || :
}

# Only of the interfaces that lead to the network: those of pods and services come and go.
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

drop() {
  [ -e "$root$1" ] || return 0
  rm -f "$root$1"
  changed=yes restart=yes
  say "removed $1"
}

# --- the service ----------------------------------------------------------------------------------------------------

enable_unit() {
  link=$root/etc/systemd/system/multi-user.target.wants/gilly.service
  [ ! -e "$link" ] && [ ! -L "$link" ] || return 0
  mkdir -p "$(dirname "$link")"
  ln -s /etc/systemd/system/gilly.service "$link"
  changed=yes reload=yes
  say "enabled gilly.service"
}

# The kubelet's files that the config in force names and that are not there.
missing_credentials() {
  for key in caFile certFile keyFile tokenFile; do
    file=$(config_value "$key")
    case $file in /run/credentials/* | '') continue ;; /*) ;; *) file=/etc/gilly/$file ;; esac
    [ -s "$file" ] || printf ' %s' "$file"
  done
}

run_service() {
  wanted=$(systemctl is-active --quiet gilly.service || missing_credentials)
  [ -z "$wanted" ] || todo="${todo:+$todo, }get$wanted by gilly-credentials (/usr/local/share/gilly/credentials.md)"
  if [ "$restart" = yes ] || [ "$reload" = yes ]; then systemctl daemon-reload; fi
  if [ "$start" = no ]; then
    finish "not started (--no-start): systemctl start gilly"
  elif cmp -s "$here/systemd/config.example.yaml" /etc/gilly/config.yaml; then
    finish "not started yet: edit /etc/gilly/config.yaml${todo:+, $todo}, then run: systemctl start gilly"
  elif [ -n "$todo" ]; then
    finish "not started yet: $todo, then run: systemctl start gilly"
  elif ! systemctl is-active --quiet gilly.service; then
    changed=yes
    start_service start
  elif [ "$restart" = yes ] || runs_another_binary; then
    changed=yes
    start_service restart
  fi
  finish "running: systemctl status gilly; journalctl -u gilly"
}

# An upgrade that was interrupted has replaced the file and not the process.
runs_another_binary() {
  pid=$(systemctl show gilly.service --value --property=MainPID)
  [ "$(stat -Lc %d:%i "/proc/$pid/exe")" != "$(stat -c %d:%i /usr/local/bin/gilly)" ]
}

start_service() {
  since=$(date '+@%s.%N')
  if systemctl "$1" gilly.service 2>/dev/null; then return 0; fi
  journalctl --sync
  journalctl -u gilly -t gilly -o cat -p warning --since "$since" --no-pager 2>/dev/null | sed -n 1,5p >&2 || :
  refuse "$version is installed but did not start: edit /etc/gilly/config.yaml, then run: systemctl restart gilly"
}

finish() {
  if [ "$changed" = no ]; then
    say "$version is installed already, nothing to do"
  else
    say "$version is installed and $1"
  fi
  exit 0
}

# --- taking it off --------------------------------------------------------------------------------------------------

uninstall() {
  if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemctl disable --now --quiet gilly.service 2>/dev/null || :
  fi
  remove /etc/systemd/system/multi-user.target.wants/gilly.service /etc/systemd/system/gilly.service \
    "$drop_ins/10-this-host.conf" "$drop_ins/30-docker-group.conf" /usr/local/bin/gilly \
    /usr/local/bin/gilly-credentials /usr/local/share/gilly "$manual" "$completion"
  # Folders that a bare host does not have, if nothing else came into them.
  for folder in "${manual%/*}" "${completion%/*}" "${completion%/*/*}"; do rmdir "$root$folder" 2>/dev/null || :; done
  if [ "$action" = purge ]; then
    remove "$drop_ins" /etc/gilly /var/lib/gilly
    remove_user
  fi
  rmdir "$root$drop_ins" 2>/dev/null || :
  if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl reset-failed gilly.service 2>/dev/null || :
  fi
  [ "$changed" = yes ] || say "Gilly is not installed, nothing to do"
  if [ "$action" = uninstall ]; then tell_kept; fi
}

remove() {
  for path in "$@"; do
    [ -e "$root$path" ] || [ -L "$root$path" ] || continue
    rm -rf "$root$path"
    changed=yes
    say "removed $path"
  done
}

# Only the user that install.sh made, known by its comment.
remove_user() {
  grep -qs "^gilly:[^:]*:[^:]*:[^:]*:$user_comment:" "$root/etc/passwd" || return 0
  userdel ${root:+--prefix "$root"} gilly 2>/dev/null || refuse 'cannot remove the user gilly: try userdel gilly'
  ! known group gilly || groupdel ${root:+--prefix "$root"} gilly
  changed=yes
  say "removed the user gilly"
}

tell_kept() {
  kept=''
  for path in /etc/gilly /var/lib/gilly "$drop_ins"; do
    [ ! -e "$root$path" ] || kept="$kept $path"
  done
  [ -z "$kept" ] || say "kept${kept}: install.sh --purge takes them too"
}

# --- main -----------------------------------------------------------------------------------------------------------

main() {
  umask 022
  manual=/usr/local/share/man/man8/gilly.8 completion=/usr/local/share/bash-completion/completions/gilly
  drop_ins=/etc/systemd/system/gilly.service.d user_comment='Gilly image repair'
  changed=no restart=no reload=no pending='' work='' todo=''
  newline='
'
  node=$(uname -n | tr '[:upper:]' '[:lower:]')
  parse_arguments "$@"
  [ -z "$root" ] || node=localhost
  check_host
  if [ "$action" != install ]; then
    uninstall
    exit 0
  fi
  check_user
  check_docker
  find_credentials
  find_parts
  work=$(mktemp -d)
  trap 'rm -rf "$work" ${pending:+"$pending"}' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  install_user
  install_files
  enable_unit
  if [ -n "$root" ]; then finish "enabled in $root"; fi
  run_service
}

main "$@"
