#!/bin/sh
# Installs Gilly on this worker from its release archive or from a checkout, upgrades it, or
# uninstalls it. Everything is checked before anything is changed, a second run changes nothing, and
# every refusal says what to do.
set -eu

usage() {
  cat <<'TEXT'
Usage: install.sh [options]

Installs the binary, its systemd unit and /etc/gilly/config.yaml, then enables
and starts gilly.service. Run again, it upgrades what differs and leaves the
rest alone: a config that you edited, and a service that you disabled.

Flags that write the config, as long as nobody has edited it:
  --mirror REGISTRY=MIRROR[,MIRROR]
                       images of REGISTRY come from MIRROR; may be repeated
  --kubelet-url URL    the kubelet of this host; {hostname} is its name
                       (default https://{hostname}:10250)
  --kubelet-ca FILE    the CA of the kubelet's serving certificate
  --kubelet-cert FILE  client certificate that the kubelet accepts, and
  --kubelet-key FILE   its key; systemd passes files outside /etc/gilly
                       to the daemon (LoadCredential=)
  --runtime NAME       docker or containerd (default: what the kubelet uses)

  --proxy        serve this host's pulls in the first place: the registry proxy,
                 as a user gilly-proxy, and with Docker its redirect
  --proxy-host HOST    redirect only HOST; may be repeated, implies --proxy
  --no-proxy     remove the registry proxy and its redirect

  --no-start     install and enable, do not start
  --no-enable    install, neither enable nor start
  --prefix DIR   instead of /usr/local, for hosts where /usr is read-only
  --user NAME    the account that the daemon runs as (default gilly)
  --root DIR     install into an image or a tree that is not running
  --uninstall    remove Gilly; config and ledger stay
  --purge        remove Gilly, its config, its ledger and its user
  -h, --help     this text

Example:
  ./install.sh --mirror gcr.io=mirror.example --mirror quay.io=mirror.example/q
TEXT
}

say() {
  printf '%s\n' "$*"
}

refuse() {
  printf 'install.sh: %s\n' "$(printf '%s' "$*" | tr '\n' ' ')" >&2
  exit 1
}

# attempt WHAT COMMAND...: runs COMMAND; a failure is one line with what failed and why.
attempt() {
  what=$1
  shift
  said=$("$@" 2>&1) || refuse "cannot $what: $(reason_in "$said"); correct that and run install.sh again"
}

# The reason at the end of a command's own message.
reason_in() {
  printf '%s\n' "$1" | tail -n 1 | sed 's/^.*: //'
}

# matches TEXT EXPRESSION: whether EXPRESSION matches all of TEXT, which must be one line.
matches() {
  case $1 in *"$newline"*) return 1 ;; esac
  printf '%s\n' "$1" | grep -Eqx "$2"
}

# --- arguments ------------------------------------------------------------------------------------------------------

parse_arguments() {
  action=install root='' start=yes enable=yes prefix='' user=''
  mirrors='' kubelet_url='' ca_file='' cert_file='' key_file='' chosen_runtime='' proxy='' proxy_hosts=''
  while [ $# -gt 0 ]; do
    case $1 in
      --no-start) start=no ;;
      --no-enable) enable=no ;;
      --proxy) proxy=yes ;;
      --no-proxy) proxy=no ;;
      --uninstall) [ "$action" = purge ] || action=uninstall ;;
      --purge) action=purge ;;
      --this-host) action=this-host ;;
      -h | --help)
        usage
        exit 0
        ;;
      --root | --prefix | --user | --mirror | --proxy-host | --kubelet-url | --kubelet-ca | --kubelet-cert | --kubelet-key | \
        --runtime)
        [ -n "${2-}" ] || refuse "$1 needs a value: see install.sh --help"
        take_value "$1" "$2"
        shift
        ;;
      *) refuse "unknown argument '$1': see install.sh --help" ;;
    esac
    shift
  done
  if [ "$proxy" = no ] && [ -n "$proxy_hosts" ]; then refuse "--no-proxy and --proxy-host exclude each other"; fi
  if [ -n "$proxy_hosts" ]; then proxy=yes; fi
  if [ -n "$cert_file" ] && [ -z "$key_file" ]; then refuse "--kubelet-cert needs --kubelet-key as well"; fi
  if [ -n "$key_file" ] && [ -z "$cert_file" ]; then refuse "--kubelet-key needs --kubelet-cert as well"; fi
  for file in $ca_file $cert_file $key_file; do
    [ -s "$root$file" ] || [ "$action" != install ] || refuse "$file does not exist or is empty: check the path"
  done
}

take_value() {
  case $1 in
    --root)
      case $2 in /*) ;; *) refuse "--root needs an absolute path, got '$2'" ;; esac
      [ -d "$2" ] || refuse "--root $2 is not a directory: create it first"
      root=${2%/}
      ;;
    --prefix)
      check_path "$1" "$2"
      case ${2%/}/ in
        / | /boot/* | /dev/* | /etc/* | /home/* | /media/* | /mnt/* | /proc/* | /root/* | /run/* | /srv/* | /sys/* | /tmp/* | /var/tmp/*)
          refuse "--prefix $2 is hidden from the daemon by its sandbox: choose another folder, such as /opt/gilly"
          ;;
      esac
      prefix=${2%/}
      ;;
    --user)
      matches "$2" '([a-qs-z_]|r[a-np-z0-9_-])[a-z0-9_-]{0,30}' ||
        refuse "--user expects the name of an account for the daemon only, such as gilly-daemon, got '$2'"
      user=$2
      ;;
    --mirror) take_mirror "$2" ;;
    --proxy-host)
      matches "$2" '[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+' || refuse "--proxy-host expects the host of a registry, such as gcr.io, got '$2'"
      proxy_hosts="$proxy_hosts${proxy_hosts:+, }$2"
      ;;
    --kubelet-url)
      matches "$2" 'https?://([a-zA-Z0-9._{}-]+|\[[0-9a-fA-F:]+\]):[0-9]+/?' ||
        refuse "--kubelet-url expects https://HOST:PORT, such as https://{hostname}:10250, got '$2'"
      kubelet_url=$2
      ;;
    --kubelet-ca) check_path "$1" "$2" && ca_file=$2 ;;
    --kubelet-cert) check_path "$1" "$2" && cert_file=$2 ;;
    --kubelet-key) check_path "$1" "$2" && key_file=$2 ;;
    --runtime)
      case $2 in
        docker | containerd) chosen_runtime=$2 ;;
        cri-o | crio) refuse "CRI-O has no call that names an image, so Gilly cannot serve it: gilly export registries.conf is its way" ;;
        *) refuse "--runtime expects docker or containerd, got '$2'" ;;
      esac
      ;;
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
    *"  \"${1%%=*}\":"*) refuse "--mirror names ${1%%=*} twice: list its mirrors in one, $1,SECOND-MIRROR" ;;
  esac
  mirrors="$mirrors${mirrors:+$newline}  \"${1%%=*}\": [\"$(printf '%s' "${1#*=}" | sed 's/,/", "/g')\"]"
}

# --- checks: nothing is changed here --------------------------------------------------------------------------------

check_host() {
  [ "$(id -u)" -eq 0 ] || refuse "must run as root: sudo $0"
  [ "$(uname -s)" = Linux ] || refuse "Gilly runs on Linux workers, this is $(uname -s)"
  command -v systemctl >/dev/null 2>&1 || refuse "needs systemd, which this host does not have"
  for tool in cmp:diffutils getent:glibc-common stat:coreutils sed:sed grep:grep; do
    command -v "${tool%:*}" >/dev/null 2>&1 || refuse "needs ${tool%:*}, which this host does not have: install ${tool#*:}"
  done
  [ "$action" = install ] || return 0
  [ -n "$root" ] || [ -d /run/systemd/system ] ||
    refuse "systemd does not run this host: install into a tree with --root DIR"
  command -v systemd-sysusers >/dev/null 2>&1 || refuse "needs systemd-sysusers: install your distribution's package"
  systemd=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  [ "${systemd:-0}" -ge 239 ] || refuse "needs systemd 239 or later, this is ${systemd:-unknown}: upgrade the host"
}

# One run at a time: a second one waits, and then finds nothing left to do. The lock ends with the
# process.
take_turn() {
  command -v flock >/dev/null 2>&1 || return 0
  if [ -n "$root" ]; then
    exec 9<"$root"
  else
    (umask 077 && : >>/run/gilly-install.lock) 2>/dev/null || refuse "cannot write /run/gilly-install.lock: is /run full?"
    exec 9</run/gilly-install.lock
  fi
  flock -n 9 && return 0
  say "another install.sh is running: waiting for it to finish"
  flock -w 300 9 || refuse "another install.sh has been running for five minutes: stop it, then run this one again"
}

# Where everything goes. The unit of an existing installation tells its place and its user.
choose_places() {
  own_units=/usr/local/lib/systemd/system admin_units=/etc/systemd/system installed=''
  for folder in "$admin_units" "$own_units"; do
    [ ! -f "$root$folder/gilly.service" ] || installed=$folder/gilly.service
  done
  first=yes installed_prefix='' override=''
  if [ -n "$installed" ]; then
    first=no
    installed_prefix=$(sed -n 's|^ExecStart=\(/.*\)/bin/gilly run.*|\1|p' "$root$installed" | sed 1q)
    user=${user:-$(sed -n 's|^User=||p' "$root$installed" | sed 1q)}
  fi
  prefix=${prefix:-${installed_prefix:-/usr/local}} user=${user:-gilly}
  program=$prefix/bin/gilly share=$prefix/share/gilly redirect=$prefix/bin/gilly-redirect
  # Below /etc/systemd/system in precedence, so that `systemctl mask` can put its link there.
  unit=$own_units/gilly.service
  [ "$prefix" = /usr/local ] || unit=$admin_units/gilly.service
  # Once installed, the proxy is upgraded with the rest.
  proxy_unit=${unit%/*}/gilly-proxy.service redirect_unit=${unit%/*}/gilly-redirect.service
  if [ -z "$proxy" ] && [ -f "$root${installed%/*}/gilly-proxy.service" ]; then proxy=yes; fi
  # If both folders have a unit, the one in /etc is from `systemctl edit --full`.
  if [ "$installed" = "$own_units/gilly.service" ] && [ -f "$root$admin_units/gilly.service" ]; then
    override=$admin_units/gilly.service
    [ "$unit" != "$override" ] || refuse "$override is yours, and --prefix would replace it: move it away first"
  fi
}

# For root, a folder is not writable only if its file system is read-only.
check_places() {
  for folder in "$prefix/bin" "$(dirname "$unit")" /etc/gilly; do
    existing=$root$folder
    until [ -d "$existing" ]; do existing=$(dirname "$existing"); done
    elsewhere='make it writable'
    case $folder in "$prefix"/*) elsewhere='choose another place, such as --prefix /opt/gilly' ;; esac
    [ -w "$existing" ] || refuse "${existing#"$root"} cannot be written, its file system is read-only: $elsewhere"
  done
  ! is_noexec "$root$prefix" || refuse "$prefix is on a file system mounted noexec: choose another place with --prefix"
}

# is_noexec PATH: whether the file system where PATH is, or will be, is mounted noexec.
is_noexec() {
  at=$1
  until [ -e "$at" ]; do at=$(dirname "$at"); done
  case ,$(findmnt -n -o OPTIONS -T "$at" 2>/dev/null), in *,noexec,*) return 0 ;; *) return 1 ;; esac
}

# A runtime that is led to the proxy by a hosts.toml asks the registry itself while the proxy does not answer, but pulls
# nothing if the certificate that the file names is gone (containerd, core/remotes/docker/config/hosts.go).
check_led() {
  led=$(grep -lsF '"/etc/gilly/proxy.crt"' "$root"/etc/containerd/certs.d/*/hosts.toml "$root"/etc/docker/certs.d/*/hosts.toml |
    sed "s|^$root||" | tr '\n' ' ')
  [ -z "$led" ] ||
    refuse "pulls are led to the registry proxy by files that name its certificate, and would fail without that:" \
      "run 'rm ${led% }' first"
}

find_parts() {
  for part in systemd/gilly.service systemd/gilly-renew.path systemd/gilly-renew.service systemd/config.example.yaml \
    docs/credentials.md docs/gilly.8 docs/gilly.bash systemd/gilly-credentials systemd/gilly-redirect \
    systemd/gilly-proxy.service systemd/gilly-redirect.service; do
    [ -f "$here/$part" ] || refuse "$here/$part is missing: unpack the complete archive and run install.sh from its folder"
  done
  if [ -f "$here/gilly" ]; then
    machine=$(uname -m)
    [ "$machine" = x86_64 ] || refuse "this archive is for x86_64, not $machine: run install.sh from a checkout"
    binary=$here/gilly
  elif [ -f "$here/deno.json" ]; then
    compile_checkout
    binary=$here/dist/gilly
  else
    refuse "$here/gilly is missing: unpack the complete archive and run install.sh from its folder"
  fi
  version=$("$binary" version 2>&1) || refuse_binary "$version"
  version=$(printf '%s' "$version" | sed -n 1p)
}

# Code from npm and Deno runs as the user who called sudo, with that user's caches, and not as root.
compile_checkout() {
  builder=${SUDO_USER:-root}
  say "compiling $here/dist/gilly as $builder"
  (
    cd "$here" || exit 1
    [ "$builder" != root ] || exec ./denow task compile
    home=$(getent passwd "$builder" | cut -d: -f6)
    exec runuser -u "$builder" -- env HOME="${home:-/nonexistent}" ./denow task compile
  ) >&2 || refuse "the checkout does not compile as $builder: see the lines above"
  if head -c 256 "$here/dist/gilly" | grep -aFq "Not the program: for tests"; then
    refuse "$here/dist/gilly is a test substitute for the binary: run './denow task compile' with DENORT_BIN set"
  fi
}

# refuse_binary MESSAGE: refuses a program that does not run here, with the reason as far as known.
refuse_binary() {
  ! is_noexec "$binary" || refuse "$binary is on a file system mounted noexec: unpack it elsewhere, such as /root"
  why=$(printf '%s\n' "$1" | sed -n 1p)
  if printf '%s\n' "$1" | grep -q 'GLIBC_[0-9.]*. not found'; then
    why="it needs glibc 2.27 or later, this host has $(getconf GNU_LIBC_VERSION 2>/dev/null || echo 'another')"
  fi
  case $why in
    *'ermission denied'*) why="$(reason_in "$why"): is it executable, and does SELinux or fapolicyd let it run?" ;;
    *': not found' | *'No such file or directory'*) why="its loader is missing: it needs the GNU C library, 2.27 or later" ;;
  esac
  refuse "$binary does not run here: $why"
}

# An account that install.sh did not make is used only if it clearly does not belong to a person.
check_user() {
  account=$(entry_of passwd "$user")
  [ -n "$account" ] || return 0
  rest=${account#*:*:} shell=${account##*:}
  uid=${rest%%:*} comment=$(printf '%s' "$account" | cut -d: -f5)
  known group "$user" ||
    refuse "the user $user exists without a group $user: run 'groupadd --system $user && usermod -g $user $user' first"
  [ "$comment" != "$user_comment" ] || return 0
  case $uid:$shell in
    0:* | [1-9][0-9][0-9][0-9]*:*)
      case $uid:$shell in [1-9]*:*/nologin | [1-9]*:*/false) return 0 ;; esac
      refuse "the account $user belongs to a person (uid $uid, shell $shell), and the daemon would get all its access:" \
        "name another with --user, such as --user gilly-daemon"
      ;;
  esac
}

# entry_of DATABASE NAME: its line of passwd or group, if there is one.
entry_of() {
  if [ -z "$root" ]; then getent "$1" "$2" || :; else grep -s "^$2:" "$root/etc/$1" || :; fi
}

known() {
  [ -n "$(entry_of "$1" "$2")" ]
}

# The plain value of a key of the config in force; enough for keys of kubelet and of the runtime, whose names are unique.
config_value() {
  config_text "$1" | sed "s/{hostname}/$node/g"
}

# The same, as written.
config_text() {
  [ ! -f "$root$config" ] || sed -n "s/^ *$1: *[\"']\{0,1\}\([^\"'# ]*\).*/\1/p" "$root$config" | sed 1q
}

# --- the runtime of the kubelet -------------------------------------------------------------------------------------

# Decides which runtime the config names: what --runtime says, or an edited config, or what the
# kubelet uses. Sets runtime, socket and, if a runtime was found, found and found_by.
find_runtime() {
  found='' found_socket='' found_by=''
  kubelets_endpoint
  [ "$found" != cri-o ] || [ -n "$chosen_runtime" ] ||
    refuse "the kubelet uses CRI-O ($found_by), which has no call that names an image, so Gilly cannot serve it:" \
      "$here/gilly export registries.conf --config FILE writes the rules for CRI-O itself"
  in_config=$(runtime_in_config)
  if [ -n "$chosen_runtime" ]; then
    runtime=$chosen_runtime
    if [ "$found" = "$runtime" ]; then socket=$found_socket; else socket=$(usual_socket "$runtime"); fi
  elif [ -n "$in_config" ] && { [ -z "$found" ] || ! is_own; }; then
    runtime=${in_config%% *} socket=${in_config#* }
    [ -z "$found" ] || [ "$found" = "$runtime" ] ||
      say "$config names $runtime, but the kubelet uses $found ($found_by): write $found: with its socket, $found_socket," \
        "instead of $runtime: there, and run install.sh again"
  else
    runtime=${found:-docker}
    socket=${found_socket:-$(usual_socket "$runtime")}
  fi
}

usual_socket() {
  case $1 in docker) say /var/run/docker.sock ;; containerd) say /run/containerd/containerd.sock ;; esac
}

# The runtime and the socket that the config in force names: `docker /var/run/docker.sock`.
runtime_in_config() {
  [ -f "$root$config" ] || return 0
  named=docker
  ! grep -q '^containerd:' "$root$config" || named=containerd
  said=$(config_value socket | sed 's/^unix:\/\///')
  say "$named ${said:-$(usual_socket "$named")}"
}

# What the kubelet uses, by its options, its config, or those that kubeadm wrote; or else the only
# runtime that this host has.
kubelets_endpoint() {
  arguments='' kubelet_pid=''
  if [ -z "$root" ]; then find_kubelet; fi
  if [ -z "$arguments" ]; then
    arguments=$(sed -n 's/^KUBELET_KUBEADM_ARGS="\(.*\)"$/\1/p' "$root/var/lib/kubelet/kubeadm-flags.env" 2>/dev/null | tr ' ' '\n')
  fi
  endpoint=$(option container-runtime-endpoint) found_by="the kubelet's --container-runtime-endpoint"
  if [ -z "$endpoint" ]; then
    file=$(option config) file=${file:-/var/lib/kubelet/config.yaml}
    endpoint=$(sed -n 's/^containerRuntimeEndpoint: *["'\'']\{0,1\}\([^"'\'' ]*\).*/\1/p' "$root$file" 2>/dev/null | sed 1q)
    found_by="containerRuntimeEndpoint in $file"
  fi
  case ${endpoint#unix://} in
    *crio*) found=cri-o ;;
    *docker*) found=docker found_socket=$(usual_socket docker) ;;
    /*) found=containerd found_socket=${endpoint#unix://} ;;
    *) only_runtime ;;
  esac
}

# Sets arguments to those of the running kubelet, one a line.
find_kubelet() {
  for process in /proc/[0-9]*; do
    case $(cat "$process/comm" 2>/dev/null) in kubelet) ;; *) continue ;; esac
    kubelet_pid=${process#/proc/}
    arguments=$(tr '\0' '\n' <"$process/cmdline" 2>/dev/null) || arguments=''
    return 0
  done
}

# option NAME: the value of an option of the kubelet, written in one word or in two.
option() {
  printf '%s\n' "$arguments" | sed -n "s/^--$1=//p; /^--$1\$/{n;p;}" | sed -n '$p'
}

# Without an endpoint, a kubelet before 1.24 uses Docker, and a later one containerd.
only_runtime() {
  found_socket=/run/k3s/containerd/containerd.sock
  if [ -z "$root" ] && [ -S "$found_socket" ]; then
    found=containerd found_by="the socket of k3s or rke2 is here"
    return 0
  fi
  if [ -n "$kubelet_pid" ]; then
    kubernetes=$("/proc/$kubelet_pid/exe" --version 2>/dev/null) || kubernetes=''
    minor=$(printf '%s\n' "$kubernetes" | sed -n 's/^Kubernetes v1\.\([0-9]*\).*/\1/p')
    found_by="the default of ${kubernetes:-the kubelet}"
    case $minor in '') ;; [0-9] | 1[0-9] | 2[0-3]) found=docker ;; *) found=containerd ;; esac
  fi
  if [ -z "$found" ]; then
    has_docker=no has_containerd=no
    if [ -S "$root/var/run/docker.sock" ] || [ -x "$root/usr/bin/dockerd" ]; then has_docker=yes; fi
    if [ -S "$root/run/containerd/containerd.sock" ] || [ -x "$root/usr/bin/containerd" ]; then has_containerd=yes; fi
    case $has_docker:$has_containerd in
      no:yes) found=containerd found_by='no Docker is here' ;;
      yes:*) found=docker found_by='Docker is here' ;;
    esac
  fi
  found_socket=${found:+$(usual_socket "$found")}
}

say_runtime() {
  if [ -n "$chosen_runtime" ]; then
    say "the new config names $runtime at $socket (--runtime)"
  elif [ -n "$found" ]; then
    say "found $runtime, which the kubelet uses ($found_by): the new config names $socket"
  fi
}

# Sets socket_group, by which the daemon may use the socket: the socket's own, or the one that the
# runtime gives it by default. containerd's is root unless its config has a gid.
find_socket_group() {
  case $runtime in docker) socket_group=docker ;; *) socket_group=root ;; esac
  if [ -z "$root" ] && [ -S "$socket" ]; then socket_group=$(stat -Lc %G "$socket"); fi
}

check_socket() {
  find_socket_group
  [ -z "$root" ] || return 0
  if [ -S "$socket" ]; then
    case $socket_group:$runtime in
      root:docker) refuse "$socket belongs to group root: make a group docker (groupadd --system docker) and restart Docker" ;;
      UNKNOWN:*) refuse "$socket belongs to a group without a name: groupadd --gid $(stat -Lc %g "$socket") $runtime" ;;
    esac
    case $(stat -Lc %a "$socket") in
      *[67]?) ;;
      *) refuse "$socket cannot be used by its group $socket_group: run 'chmod 0660 $socket', or restart $runtime" ;;
    esac
  elif [ "$runtime" = containerd ]; then
    refuse "$socket does not exist: start containerd, or name another runtime with --runtime"
  elif ! known group docker; then
    refuse "neither $socket nor a group docker exists: install Docker Engine, or run 'groupadd --system docker';" \
      "where the kubelet uses containerd: --runtime containerd"
  fi
}

# Says what whoever takes the daemon over could do, which the admin may want to change.
say_exposure() {
  say "the daemon uses $socket by its group $socket_group: as with Docker's, whoever has that can become root here"
  [ "$socket_group" = root ] || return 0
  say "the group root may also read files that belong to it: with a line gid = GID under [grpc] of containerd's config, and a" \
    "restart of containerd, the daemon needs only that group; then run install.sh again"
}

# --- placing files --------------------------------------------------------------------------------------------------

# place CONTENT-FILE TARGET MODE GROUP-ID: installs a file atomically, and only if something
# differs. Sets placed to yes or no.
place() {
  placed=no
  if cmp -s "$1" "$root$2" && [ "$(stat -c %a:%u:%g "$root$2")" = "$3:0:$4" ]; then return 0; fi
  attempt "make the folder of $2" mkdir -p "$(dirname "$root$2")"
  made=$(mktemp "$root$2.XXXXXX" 2>&1) || refuse "cannot write $2: $(reason_in "$made")"
  pending=$made
  attempt "write $2" cp "$1" "$pending"
  attempt "give $2 its owner" chown "0:$4" "$pending"
  attempt "give $2 its mode" chmod "$3" "$pending"
  attempt "write $2" mv -f "$pending" "$root$2"
  pending='' placed=yes changed=yes
  say "installed $2"
}

# The same for a file that the daemon runs with: a change requires one restart.
place_running() {
  place "$@"
  if [ "$placed" = yes ]; then restart=yes; fi
}

# place_text TARGET: a drop-in from standard input.
place_text() {
  { cat >"$work/text"; } 2>/dev/null || refuse "cannot write $work/text: is the disk full?"
  place_running "$work/text" "$1" 644 0
}

install_user() {
  make_user "$user" "$user_comment"
  group_id=$(entry_of group "$user" | cut -d: -f3)
  config_group=$group_id
}

# make_user NAME COMMENT
make_user() {
  ! known passwd "$1" || return 0
  attempt "make $root/etc" mkdir -p "$root/etc"
  # Without a shell here, the account gets the distribution's nologin.
  add_account "make the user $1" "u $1 - \"$2\" /nonexistent"
  say "made the user $1"
}

# add_account WHAT LINE: a line of sysusers.d(5).
add_account() {
  printf '%s\n' "$2" | systemd-sysusers ${root:+"--root=$root"} - >/dev/null 2>"$work/sysusers" ||
    refuse "cannot $1: $(reason_in "$(sed -n 1p "$work/sysusers")")"
  changed=yes
}

# The unit comes last: while it is absent, the next run knows that this one did not finish.
install_files() {
  place_running "$binary" "$program" 755 0
  place "$here/systemd/gilly-credentials" "$prefix/bin/gilly-credentials" 755 0
  place "$here/docs/gilly.8" "$prefix$manual" 644 0
  place "$here/docs/gilly.bash" "$prefix$completion" 644 0
  if [ ! -d "$root/etc/gilly" ]; then
    attempt "make /etc/gilly" mkdir -p "$root/etc/gilly"
    attempt "give /etc/gilly its mode" chmod 750 "$root/etc/gilly"
    attempt "give /etc/gilly its owner" chown "0:$group_id" "$root/etc/gilly"
  fi
  if [ "$proxy" = yes ]; then install_proxy_user; fi
  install_config
  if [ "$proxy" = yes ]; then
    install_proxy
  else
    remove_proxy
    forget_proxy_user
  fi
  install_drop_ins
  install_renewal
  enable_unit
  install_unit
  if [ -n "$installed_prefix" ] && [ "$installed_prefix" != "$prefix" ]; then remove_program "$installed_prefix"; fi
}

install_unit() {
  if [ -n "$installed" ] && [ "$installed" != "$unit" ]; then
    attempt "make the folder of $unit" mkdir -p "$(dirname "$root$unit")"
    attempt "move $installed to $unit" mv -f "$root$installed" "$root$unit"
    changed=yes restart=yes
    say "moved $installed to $unit"
  fi
  adapt_unit gilly.service
  place_running "$work/gilly.service" "$unit" 644 0
  if [ "$placed" = yes ] && [ -n "$unknown" ]; then
    say "this host's systemd $systemd does not know$unknown: left out of the unit"
  fi
  [ -z "$override" ] || say "$override hides $unit: merge what is new there into it"
}

# adapt_unit NAME: the unit for this host: its paths, its user, and no settings that its systemd does
# not know.
adapt_unit() {
  sed "s|/usr/local/bin/gilly|$program|g; s|^User=gilly\$|User=$user|; s|^Group=gilly\$|Group=$user|" \
    "$here/systemd/$1" >"$work/$1" || refuse "cannot write $work/$1: is the disk full?"
  unknown=''
  [ -z "$root" ] || return 0
  for setting in $(unknown_settings "$work/$1"); do
    # Unknown settings of a drop-in are left to its author.
    grep -q "^$setting=" "$work/$1" || continue
    unknown="$unknown $setting"
    without="/^$setting=/d"
    # Without RestartSteps= the pauses cannot grow, so they are longer from the start.
    [ "$setting" != RestartSteps ] || without="$without; s/^RestartSec=2\$/RestartSec=5/"
    sed "$without" "$work/$1" >"$work/without"
    mv -f "$work/without" "$work/$1"
  done
}

# Asks systemd instead of a table of versions, because distributions backport settings.
unknown_settings() {
  systemd-analyze verify "$1" 2>&1 |
    sed -n "s/.*Unknown \(lvalue\|key name\|key\) '\([A-Za-z]*\)'.*/\2/p" | sort -u
}

# --- the config -----------------------------------------------------------------------------------------------------

# Decides what happens to the config; changes nothing. Sets plan to example, written, or kept.
plan_config() {
  plan=kept lent='' own=no asked=$mirrors$kubelet_url$ca_file$cert_file$proxy_hosts
  if [ ! -e "$root$config" ]; then
    find_credentials
    plan=example
    if [ -n "$asked$cert_file" ]; then plan=written; fi
  elif is_own; then
    own=yes moved=''
    [ "$(runtime_in_config)" = "$runtime $socket" ] || moved=yes
    if [ -n "$asked" ] || { [ -n "$moved" ] && ! is_example; }; then
      recall_config
      find_credentials
      plan=written
    elif [ -n "$moved" ]; then
      plan=example
    fi
  fi
  [ "$plan" = kept ] || say_runtime
}

# Whether the config is the example, which no flag has changed.
is_example() {
  cmp -s "$root$config" "$root$share/config.example.yaml" || ! grep -q 'Written by install.sh' "$root$config"
}

# The example with the runtime of this host.
example_here() {
  if [ "$runtime" = docker ]; then
    cat "$here/systemd/config.example.yaml"
  else
    sed "s|^# containerd:\$|containerd:|; s|^#   socket: $(usual_socket containerd) .*|  socket: $socket|" \
      "$here/systemd/config.example.yaml"
  fi
}

# Whether the config is still, byte for byte, what install.sh put there.
is_own() {
  for origin in "$root$share/config.written" "$root$share/config.example.yaml" "$here/systemd/config.example.yaml"; do
    if cmp -s "$root$config" "$origin"; then return 0; fi
  done
  return 1
}

# What the flags of this run leave out stays as the flags of an earlier run set it.
recall_config() {
  cmp -s "$root$config" "$root$share/config.written" || return 0
  if [ -z "$mirrors" ]; then mirrors=$(sed -n '/^registries:/,$s/^  "/&/p' "$root$config"); fi
  if [ -z "$proxy_hosts" ]; then proxy_hosts=$(sed -n 's/^  hosts: \[\(.*\)\]$/\1/p' "$root$config"); fi
  if [ -z "$kubelet_url" ]; then kubelet_url=$(config_text url); fi
  if [ -z "$ca_file" ]; then ca_file=$(file_behind caFile); fi
  if [ -z "$cert_file" ]; then cert_file=$(file_behind certFile) key_file=$(file_behind keyFile); fi
  if [ ! -s "$root$ca_file" ]; then ca_file=''; fi
  if [ ! -s "$root$cert_file" ] || [ ! -s "$root$key_file" ]; then cert_file='' key_file=''; fi
}

# file_behind KEY: the file that a key of the config names, directly or through LoadCredential=.
file_behind() {
  file=$(config_text "$1")
  case $file in
    '' | /run/credentials/gilly.service/*)
      [ -z "$file" ] ||
        sed -n "s|^LoadCredential=${file##*/}:||p" "$root$drop_ins"/*.conf 2>/dev/null | sed -n '$p'
      ;;
    /*) say "$file" ;;
    *) say "/etc/gilly/$file" ;;
  esac
}

# The program itself checks the config, before anything is installed.
judge_config() {
  judged=$root$config
  if [ "$plan" = written ]; then
    write_config >"$work/config" || refuse "cannot write $work/config: is the disk full?"
    judged=$work/judged
    if [ -n "$mirrors" ]; then
      judged=$work/config
    else
      { cat "$work/config" && say '  gcr.io: mirror.example'; } >"$judged"
    fi
  elif [ "$plan" = example ] || lacks_mirrors; then
    return 0
  fi
  said=$("$binary" check --syntax-only --config "$judged" 2>&1) && return 0
  said=$(printf '%s\n' "$said" | sed -n 's/^fail *config: //p' | sed "s|^$work/[a-z]*:[0-9]*: ||")
  if [ "$plan" = written ]; then refuse "the flags make a config that Gilly refuses: $said"; fi
  refuse "$version refuses the config, so nothing was changed: $said; correct it and run install.sh again"
}

# Whether the config is one that install.sh wrote before a mirror was named.
lacks_mirrors() {
  [ "$own" = yes ] && ! sed -n '/^registries:/,$p' "$root$config" | grep -q '^  [^# ]'
}

install_config() {
  example=$here/systemd/config.example.yaml
  before=$root$share/config.example.yaml
  case $plan in
    example)
      example_here >"$work/config" || refuse "cannot write $work/config: is the disk full?"
      place "$work/config" "$config" 640 "$config_group"
      if [ "$runtime" = docker ]; then drop "$share/config.written"; else place "$work/config" "$share/config.written" 600 0; fi
      ;;
    written)
      place_running "$work/config" "$config" 640 "$config_group"
      if [ -n "$lent" ]; then write_loans; else drop "$drop_ins/20-kubelet-credentials.conf"; fi
      place "$work/config" "$share/config.written" 600 0
      ;;
    kept)
      if [ -f "$before" ] && ! cmp -s "$example" "$before" && ! cmp -s "$example" "$root$config"; then
        place "$example" "$config.new" 640 "$config_group"
        say "kept $config; this version's example is in config.yaml.new"
      fi
      [ -z "$asked" ] || say "kept $config, which has been edited: --mirror, --kubelet-* and --proxy-host had no" \
        "effect, edit its registries:, kubelet: and proxy: yourself"
      ;;
  esac
  place "$example" "$share/config.example.yaml" 644 0
  place "$here/docs/credentials.md" "$share/credentials.md" 644 0
}

# --- the kubelet's credentials --------------------------------------------------------------------------------------

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
  place_text "$drop_ins/20-kubelet-credentials.conf" <<TEXT
# Written by install.sh together with the first config, which names these files under /run/credentials/gilly.service.
# systemd copies them when Gilly starts, and gilly-renew.path restarts it when one of them was replaced. After an edit, run
# install.sh again.
[Service]
$lent
TEXT
}

write_config() {
  [ -n "$kubelet_url" ] || kubelet_url='https://{hostname}:10250'
  cat <<TEXT
# Gilly's config: read at start and on \`systemctl reload gilly\`. Written by install.sh, which leaves it alone as soon
# as you edit it. Every key is explained in $share/config.example.yaml.

kubelet:
  url: "$kubelet_url"
TEXT
  if [ -n "$ca_file" ] || [ -z "$cert_file" ]; then say "  caFile: \"${ca_file:-/etc/gilly/kubelet-ca.crt}\""; fi
  say "  certFile: \"${cert_file:-/etc/gilly/kubelet-client.crt}\""
  say "  keyFile: \"${key_file:-/etc/gilly/kubelet-client.key}\""
  say ''
  if [ "$runtime" != docker ] || [ "$socket" != "$(usual_socket docker)" ]; then
    printf '%s:\n  socket: "%s"\n\n' "$runtime" "$socket"
  fi
  if [ -n "$proxy_hosts" ]; then say 'proxy:' "$newline " "hosts: [$proxy_hosts]$newline"; fi
  say 'registries:'
  say "${mirrors:-  # gcr.io: mirror.example}"
}

# --- drop-ins: what is specific to this host ------------------------------------------------------------------------

install_drop_ins() {
  if [ -n "$root" ]; then
    install_first_boot
  else
    [ "$action" = this-host ] || remove_first_boot
    host=$(config_value url | sed 's|^[a-z]*://||; s|/.*||; s|:[0-9]*$||; s|^\[\(.*\)\]$|\1|')
    own=$({ addresses_of "$node" "$host"; addresses_of_uplinks; name_servers "$host"; } | not_loopback)
    allow "$own" "this host's own, so what is sent to them stays on it; when they change, run install.sh again."
  fi
  if [ "$runtime" = containerd ]; then
    drop "$drop_ins/30-docker-group.conf"
    place_text "$drop_ins/30-containerd-group.conf" <<TEXT
# Written by install.sh: the group of $socket, and none of Docker. If it is root, a line gid = GID
# under [grpc] of containerd's config spares that: restart containerd then, and run install.sh again.
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
# Written by install.sh: the group of this host's Docker socket.
[Service]
SupplementaryGroups=
SupplementaryGroups=$socket_group
TEXT
  fi
}

# An image cannot hold the addresses and the Docker group of the hosts that boot from it: each host
# finds its own.
install_first_boot() {
  place "$here/install.sh" "$share/install.sh" 755 0
  place_text "$admin_units/gilly-this-host.service" <<TEXT
# Written by install.sh --root: finds on its first boot what is particular to a host, before Gilly starts.
[Unit]
Description=Gilly, find the addresses of this host
ConditionPathExists=!$drop_ins/10-this-host.conf
Wants=network-online.target
After=network-online.target docker.socket docker.service containerd.service kubelet.service
Before=gilly.service

[Service]
Type=oneshot
ExecStart=/bin/sh $share/install.sh --this-host

[Install]
WantedBy=multi-user.target
TEXT
  link_unit gilly-this-host.service "$admin_units/gilly-this-host.service"
}

remove_first_boot() {
  remove "$wants/gilly-this-host.service" "$admin_units/gilly-this-host.service" "$share/install.sh"
}

# What gilly-this-host.service runs: the drop-ins, and nothing else.
prepare_this_host() {
  find_runtime
  find_socket_group
  install_drop_ins
  attempt "make systemd reload its units" systemctl daemon-reload
}

# allow ADDRESSES WHY: lets the daemon reach these addresses besides loopback.
allow() {
  if [ -z "$1" ]; then
    drop "$drop_ins/10-this-host.conf"
  else
    place_text "$drop_ins/10-this-host.conf" <<TEXT
# Written by install.sh. Addresses that Gilly may connect to besides loopback:
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

drop() {
  [ -e "$root$1" ] || return 0
  attempt "remove $1" rm -f "$root$1"
  changed=yes restart=yes
  say "removed $1"
}

# --- renewed credentials: the units that restart the service ------------------------------------------------------------

renewal_places() {
  loans=$drop_ins/20-kubelet-credentials.conf
  renewal_units=${unit%/*}
  watched=/etc/systemd/system/gilly-renew.path.d/20-kubelet-credentials.conf
  wanted=/etc/systemd/system/gilly.service.wants/gilly-renew.path
}

# Only for a service that has files loaded by systemd.
install_renewal() {
  renewal_places
  if [ ! -f "$root$loans" ]; then
    remove_renewal
    return 0
  fi
  settled=$changed
  changed=no
  sed "s|/usr/local/bin/gilly|$program|g" "$here/systemd/gilly-renew.service" >"$work/renewal" ||
    refuse "cannot write $work/renewal: is the disk full?"
  place "$work/renewal" "$renewal_units/gilly-renew.service" 644 0
  place "$here/systemd/gilly-renew.path" "$renewal_units/gilly-renew.path" 644 0
  {
    say "# Written by install.sh: the files that $loans loads for Gilly."
    say '[Path]'
    sed -n 's|^LoadCredential=[^:]*:/|/|p' "$root$loans" | while read -r path; do watch "$path"; done | sort -u
  } >"$work/watched"
  place "$work/watched" "$watched" 644 0
  enable_renewal
  [ "$changed" = yes ] || changed=$settled
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
enable_renewal() {
  [ "$changed" = yes ] || return 0
  reload=yes
  if [ ! -L "$root$wanted" ]; then
    attempt "make ${wanted%/*}" mkdir -p "$(dirname "$root$wanted")"
    attempt "enable gilly-renew.path" ln -sf "$renewal_units/gilly-renew.path" "$root$wanted"
    say "enabled gilly-renew.path"
  fi
  [ -z "$root" ] && systemctl is-active --quiet gilly.service || return 0
  attempt "make systemd reload its units" systemctl daemon-reload
  systemctl restart gilly-renew.path 2>/dev/null || refuse "cannot start gilly-renew.path: journalctl -u gilly-renew.path"
}

remove_renewal() {
  renewal_places
  [ -e "$root$renewal_units/gilly-renew.path" ] || [ -e "$root$watched" ] || [ -L "$root$wanted" ] || return 0
  if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemctl stop gilly-renew.path gilly-renew.service 2>/dev/null || :
  fi
  remove "$wanted" "$watched" "$renewal_units/gilly-renew.path" "$renewal_units/gilly-renew.service"
  reload=yes
  for folder in "${wanted%/*}" "${watched%/*}" /usr/local/lib/systemd/system /usr/local/lib/systemd; do
    rmdir "$root$folder" 2>/dev/null || :
  done
}

# --- the registry proxy ---------------------------------------------------------------------------------------------

# The proxy reads the config and the auth files of mirrors, and no key of the kubelet; Gilly reads all.
install_proxy_user() {
  make_user gilly-proxy "$proxy_comment"
  case ,$(entry_of group gilly-proxy | cut -d: -f4), in
    *",$user,"*) ;;
    *)
      add_account "add $user to the group gilly-proxy" "m $user gilly-proxy"
      restart=yes
      ;;
  esac
  config_group=$(entry_of group gilly-proxy | cut -d: -f3)
  share_with gilly-proxy "$group_id" "$config_group"
}

# share_with GROUP FROM TO: gives the files that both programs read from one group, by its id, to another.
share_with() {
  given=$(files_of_both | while read -r file; do
    if [ "$(stat -c %g "$root$file" 2>/dev/null)" != "$2" ]; then continue; fi
    attempt "give $file to the group $1" chgrp "$3" "$root$file"
    say "gave $file to the group $1"
  done)
  [ -n "$given" ] || return 0
  changed=yes
  say "$given"
}

files_of_both() {
  say "/etc/gilly$newline$config"
  sed -n "s/^[^#]*authFile: *[\"']\{0,1\}\([^\"'# ,}]*\).*/\1/p" "$root$config" 2>/dev/null | sed 's|^[^/]|/etc/gilly/&|'
}

install_proxy() {
  first_proxy=yes running=$restart
  [ ! -f "$root$proxy_unit" ] || first_proxy=no
  restart=no
  # Its prepare makes the certificate, with any runtime.
  place_running "$here/systemd/gilly-redirect" "$redirect" 755 0
  if [ "$runtime" = docker ]; then
    adapt_unit gilly-redirect.service
    place_running "$work/gilly-redirect.service" "$redirect_unit" 644 0
  else
    remove_redirect
  fi
  adapt_unit gilly-proxy.service
  if [ "$runtime" != docker ]; then sed -i '/^Also=gilly-redirect/d' "$work/gilly-proxy.service"; fi
  place_running "$work/gilly-proxy.service" "$proxy_unit" 644 0
  if [ "$restart" = yes ]; then restart_proxy=yes reload=yes; fi
  # A new binary or config is new for both.
  restart=$running
  if [ "$restart" = yes ]; then restart_proxy=yes; fi
  if [ "$first_proxy" = yes ] && [ "$enable" = yes ]; then
    link_unit gilly-proxy.service "$proxy_unit"
    [ "$runtime" != docker ] || link_unit gilly-redirect.service "$redirect_unit" "$proxy_wants"
  fi
  if [ "$first_proxy" = yes ] && [ "$runtime" != docker ]; then
    say "containerd is led to the registry proxy by files, not by a redirect; once gilly-proxy runs:" \
      "gilly export containerd --via-proxy --output led && cp -r led/etc/. /etc/"
  fi
}

# A redirect is for Docker alone.
remove_redirect() {
  [ -e "$root$redirect_unit" ] || [ -L "$root$proxy_wants/gilly-redirect.service" ] || return 0
  if [ -z "$root" ] && [ -d /run/systemd/system ]; then systemctl stop gilly-redirect.service 2>/dev/null || :; fi
  remove "$proxy_wants" "$redirect_unit"
  reload=yes
}

# Starts what is enabled, last of all: Gilly repairs without it.
run_proxy() {
  [ "$proxy" = yes ] && [ -z "$root" ] && [ -d /run/systemd/system ] || return 0
  if [ "$start" = no ] || [ -n "$todo" ] || ! systemctl is-enabled --quiet gilly-proxy.service; then
    say "the registry proxy is installed and not started: systemctl enable --now gilly-proxy"
    return 0
  fi
  if [ "$runtime" != docker ]; then
    if [ "$restart_proxy" = no ] && systemctl is-active --quiet gilly-proxy.service; then return 0; fi
  elif [ "$restart_proxy" = no ] && systemctl is-active --quiet gilly-proxy.service gilly-redirect.service; then
    return 0
  fi
  changed=yes since=$(date '+@%s.%N')
  if ! systemctl restart gilly-proxy.service 2>/dev/null; then
    refuse "$version is installed, but the registry proxy did not start: $(said_by gilly-proxy); repairs go on"
  elif [ "$runtime" = docker ] && ! systemctl start gilly-redirect.service 2>/dev/null; then
    refuse "$version is installed, but pulls are not led to the registry proxy: $(said_by gilly-redirect); repairs go on"
  fi
}

# said_by UNIT: what its programs said last before they failed.
said_by() {
  journalctl --sync 2>/dev/null || :
  said=$(journalctl -u "$1" -o cat --since "$since" --no-pager 2>/dev/null | sed -n 's/^gilly\(-redirect\)\{0,1\}: //p' | sed -n '$p')
  say "${said:-journalctl -u $1 -n 20 says why}"
}

remove_proxy() {
  [ -e "$root$redirect" ] || [ -e "$root$proxy_unit" ] || return 0
  if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemctl stop gilly-redirect.service gilly-proxy.service 2>/dev/null || :
  fi
  if [ -z "$root" ] && [ -x "$redirect" ]; then attempt "take the redirect away" "$redirect" down; fi
  remove "$wants/gilly-proxy.service" "$proxy_wants" "$proxy_unit" "$redirect_unit" "$redirect" \
    /etc/gilly/proxy.crt /etc/gilly/proxy.key
  reload=yes
}

# The group stays with its files until a purge.
forget_proxy_user() {
  known group gilly-proxy || return 0
  share_with "$user" "$(entry_of group gilly-proxy | cut -d: -f3)" "$(entry_of group "$user" | cut -d: -f3)"
}

# --- the service ----------------------------------------------------------------------------------------------------

# Only the first installation enables the service; later decisions of the administrator stay.
enable_unit() {
  if [ "$first" = yes ] && [ "$enable" = yes ]; then link_unit gilly.service "$unit"; fi
  # If the unit has moved, its link follows.
  if [ -n "$installed" ] && [ "$installed" != "$unit" ] && [ "$(readlink "$root$wants/gilly.service")" = "$installed" ]; then
    attempt "enable gilly.service" ln -sfn "$unit" "$root$wants/gilly.service"
  fi
}

# link_unit NAME UNIT-FILE [FOLDER]: does what `systemctl enable` does, also in a tree that is not
# running.
link_unit() {
  link=$root${3:-$wants}/$1
  [ ! -e "$link" ] && [ ! -L "$link" ] || return 0
  attempt "make ${link%/*}" mkdir -p "${link%/*}"
  attempt "enable $1" ln -s "$2" "$link"
  changed=yes reload=yes
  say "enabled $1"
}

run_service() {
  # An interrupted run, or a new drop-in, may have left settings that systemd has not read.
  if [ "$(show NeedDaemonReload)" = yes ]; then reload=yes restart=yes; fi
  if [ "$restart" = yes ] || [ "$reload" = yes ]; then
    attempt "make systemd reload its units" systemctl daemon-reload
  fi
  enabled=$(systemctl is-enabled gilly.service 2>/dev/null) || :
  find_missing
  if [ "$start" = no ]; then
    finish "not started (--no-start): systemctl start gilly"
  elif systemctl is-active --quiet gilly.service; then
    if [ "$restart" = yes ] || runs_another_binary; then
      changed=yes
      start_service restart
    fi
  elif case $enabled in masked*) ;; *) false ;; esac; then
    finish "not started, since it is masked: systemctl unmask gilly"
  elif [ "$enabled" = disabled ]; then
    finish "not started, since it is disabled: systemctl enable --now gilly"
  elif [ -n "$todo" ]; then
    finish "not started yet: $todo, then run: systemctl start gilly"
  else
    changed=yes
    start_service start
  fi
  finish "running: systemctl status gilly; journalctl -u gilly"
}

# show PROPERTY: a property of gilly.service as systemd has it.
show() {
  systemctl show gilly.service --value --property="$1" 2>/dev/null || :
}

# What must be done before the daemon can start. Sets todo.
find_missing() {
  todo='' missing=''
  if cmp -s "$here/systemd/config.example.yaml" "$config"; then
    todo="edit $config"
  elif is_own && own=yes && lacks_mirrors; then
    todo="write your mirrors into $config"
  fi
  elsewhere=''
  for key in caFile certFile keyFile tokenFile; do
    file=$(file_behind "$key")
    if [ -z "$file" ] || [ -s "$file" ]; then continue; fi
    # gilly-credentials creates the files in /etc/gilly; an administrator must bring any others.
    case $file in /etc/gilly/*) missing="$missing $file" ;; *) elsewhere="$elsewhere $file" ;; esac
  done
  [ -z "$missing" ] || todo="$todo${todo:+, }get$missing by gilly-credentials ($share/credentials.md)"
  [ -z "$elsewhere" ] || todo="$todo${todo:+, }put$elsewhere in place"
}

# An interrupted upgrade has replaced the file but not the process.
runs_another_binary() {
  [ "$(stat -Lc %d:%i "/proc/$(show MainPID)/exe" 2>/dev/null)" != "$(stat -c %d:%i "$program")" ]
}

start_service() {
  since=$(date '+@%s.%N')
  if systemctl "$1" gilly.service 2>/dev/null; then return 0; fi
  result=$(show Result) status=$(show ExecMainStatus)
  journalctl --sync 2>/dev/null || :
  journalctl -u gilly -t gilly -o cat -p warning --since "$since" --no-pager 2>/dev/null | sed -n 1,5p >&2 || :
  refuse "$version is installed but did not start: $(explain_failure "$result" "$status")"
}

# explain_failure RESULT STATUS: systemd's result (systemd.exec(5), "Process Exit Codes") and what
# it means here.
explain_failure() {
  again='then run: systemctl restart gilly'
  case $1:$2 in
    exit-code:78) say "the config was refused (exit code 78): edit $config, $again" ;;
    exit-code:243)
      say "a file that LoadCredential= names is missing or cannot be read (243/CREDENTIALS):" \
        "$(systemd_said): see $drop_ins/20-kubelet-credentials.conf, $again"
      ;;
    exit-code:203)
      say "systemd cannot run $program (203/EXEC): $(systemd_said): is it on a file system mounted noexec, or denied by" \
        "SELinux or fapolicyd?"
      ;;
    exit-code:216 | exit-code:217)
      say "the user $user or the group $socket_group does not exist ($2): $(systemd_said): make it, $again"
      ;;
    exit-code:226) say "systemd cannot set up the sandbox (226/NAMESPACE): $(systemd_said): weaken it in a drop-in, $again" ;;
    exit-code:2[0-4][0-9]) say "systemd cannot set up what the unit asks for ($2): $(systemd_said)" ;;
    exit-code:*) say "it ended with exit code $2: journalctl -u gilly -n 20 says why" ;;
    timeout:*) say "it was not ready within TimeoutStartSec= (timeout): journalctl -u gilly -n 20 says how far it came" ;;
    watchdog:*) say "it hung and was killed by the watchdog: journalctl -u gilly -n 20 says how far it came" ;;
    oom-kill:*) say "it needed more memory than MemoryMax= allows (oom-kill): raise that in a drop-in, $again" ;;
    signal:* | core-dump:*) say "it was killed by signal $2 ($1): journalctl -u gilly -n 20 says more" ;;
    start-limit-hit:*) say "it was started too often (start-limit-hit): systemctl reset-failed gilly, $again" ;;
    *) say "systemd says '$1', status $2: $(systemd_said): systemctl status gilly says more" ;;
  esac
}

# What systemd wrote about the failed step, without its prefix; for some steps, only how they ended.
# `journalctl -u` leaves out what a process said that ended before a busy journald read it.
systemd_said() {
  journalctl UNIT=gilly.service _UID=0 "_UID=$(id -u "$user" 2>/dev/null)" \
    -o cat --since "$since" --no-pager 2>/dev/null | sed -n 's/^gilly\.service: //p' |
    sed -n '/^Failed with result/d; /^Failed at step/d; /^Failed /p; /process exited, /p' | sed -n 1p
}

finish() {
  run_proxy
  if [ "$changed" = no ]; then
    say "$version is installed already, nothing to do"
  else
    say "$version is installed and $1"
  fi
  exit 0
}

# --- uninstalling ---------------------------------------------------------------------------------------------------

uninstall() {
  if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemctl disable --now --quiet gilly.service 2>/dev/null || :
    systemctl stop --quiet gilly.service 2>/dev/null || :
  fi
  remove_renewal
  remove_proxy
  remove "$wants/gilly.service" "${installed:-$unit}" "$drop_ins/10-this-host.conf" "$drop_ins/30-docker-group.conf" \
    "$drop_ins/30-containerd-group.conf"
  remove_first_boot
  remove_program "$prefix"
  if [ "$action" = purge ]; then
    remove "$admin_units/gilly.service" "$drop_ins" /etc/gilly /var/lib/gilly /var/lib/gilly-proxy
    remove_users
  fi
  rmdir "$root$drop_ins" 2>/dev/null || :
  if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    attempt "make systemd reload its units" systemctl daemon-reload
    systemctl reset-failed gilly.service gilly-proxy.service gilly-redirect.service 2>/dev/null || :
  fi
  [ "$changed" = yes ] || say "Gilly is not installed, nothing to do"
  if [ "$action" = uninstall ]; then tell_kept; fi
}

# remove_program PREFIX: removes Gilly's files below it, and folders that a bare host does not have,
# if they are empty.
remove_program() {
  remove "$1/bin/gilly" "$1/bin/gilly-credentials" "$1/share/gilly" "$1$manual" "$1$completion"
  for folder in "$own_units" "${own_units%/*}" "$1${manual%/*}" "$1${completion%/*}" "$1${completion%/*/*}"; do
    rmdir "$root$folder" 2>/dev/null || :
  done
  [ "$1" != /usr/local ] || return 0
  for folder in "$1/share/man" "$1/share" "$1/bin" "$1"; do rmdir "$root$folder" 2>/dev/null || :; done
}

remove() {
  for path in "$@"; do
    [ -e "$root$path" ] || [ -L "$root$path" ] || continue
    attempt "remove $path" rm -rf "$root$path"
    changed=yes
    say "removed $path"
  done
}

# Only the users that install.sh made, recognized by their comments.
remove_users() {
  for comment in "$user_comment" "$proxy_comment"; do
    made=$(sed -n "s/^\([^:]*\):[^:]*:[^:]*:[^:]*:$comment:.*/\1/p" "$root/etc/passwd" 2>/dev/null | sed 1q)
    [ -n "$made" ] || continue
    attempt "remove the user $made" userdel ${root:+--prefix "$root"} "$made"
    ! known group "$made" || attempt "remove the group $made" groupdel ${root:+--prefix "$root"} "$made"
    changed=yes
    say "removed the user $made"
  done
}

tell_kept() {
  kept=''
  for path in /etc/gilly /var/lib/gilly /var/lib/gilly-proxy "$drop_ins" "$admin_units/gilly.service"; do
    [ ! -e "$root$path" ] || kept="$kept $path"
  done
  [ -z "$kept" ] || say "kept${kept}: install.sh --purge takes them too"
}

# --- main -----------------------------------------------------------------------------------------------------------

main() {
  umask 022
  # Reasons are parsed from messages, so those must not be translated. `su` leaves the folders of
  # useradd and ip out of PATH.
  export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
  manual=/share/man/man8/gilly.8 completion=/share/bash-completion/completions/gilly
  config=/etc/gilly/config.yaml drop_ins=/etc/systemd/system/gilly.service.d
  wants=/etc/systemd/system/multi-user.target.wants user_comment='Gilly image repair'
  proxy_wants=/etc/systemd/system/gilly-proxy.service.wants proxy_comment='Gilly registry proxy'
  changed=no restart=no reload=no restart_proxy=no pending='' work='' todo=''
  newline='
'
  node=$(uname -n | tr '[:upper:]' '[:lower:]')
  # The script may have been called through a symbolic link.
  here=$(dirname -- "$(readlink -f -- "$0")")
  parse_arguments "$@"
  check_host
  take_turn
  choose_places
  case $action:$proxy in uninstall:* | purge:* | *:no) check_led ;; esac
  case $action in uninstall | purge)
    uninstall
    exit 0
    ;;
  esac
  made=$(mktemp -d 2>&1) || refuse "cannot make a temporary folder: $(reason_in "$made"); name a writable one in TMPDIR"
  work=$made
  trap 'rm -rf "$work" ${pending:+"$pending"}' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  if [ "$action" = this-host ]; then
    prepare_this_host
    exit 0
  fi
  check_user
  find_runtime
  check_socket
  check_places
  find_parts
  plan_config
  judge_config
  install_user
  install_files
  if [ -n "$root" ]; then finish "$([ "$enable" = no ] || echo 'enabled ')in $root"; fi
  run_service
}

main "$@"
