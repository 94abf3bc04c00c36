# shellcheck shell=sh
# Common to install.sh and gilly-setup: messages and refusals, what they check of a host, and what they read of accounts
# and of the config. Both set me, their own name for messages, before anything else.

# begin: the places and the state that every part uses.
begin() {
  umask 022
  # Reasons are parsed from messages, so those must not be translated. `su` leaves the folders of
  # useradd and ip out of PATH.
  export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
  config=/etc/gilly/config.yaml drop_ins=/etc/systemd/system/gilly.service.d
  own_units=/usr/local/lib/systemd/system admin_units=/etc/systemd/system
  wants=/etc/systemd/system/multi-user.target.wants proxy_wants=/etc/systemd/system/gilly-proxy.service.wants
  proxy_comment='Gilly registry proxy'
  changed=no restart=no reload=no restart_proxy=no rewatch=no pending='' work='' todo=''
  newline='
'
  node=$(uname -n | tr '[:upper:]' '[:lower:]')
}

# make_work_folder: the folder of temporary files, which goes with the process.
make_work_folder() {
  made=$(mktemp -d 2>&1) || refuse "cannot make a temporary folder: $(reason_in "$made"); name a writable one in TMPDIR"
  work=$made
  trap 'rm -rf "$work" ${pending:+"$pending"}' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

say() {
  printf '%s\n' "$*"
}

refuse() {
  printf '%s: %s\n' "$me" "$(printf '%s' "$*" | tr '\n' ' ')" >&2
  exit 1
}

# did VERB REST...: says what was done, or with --dry-run what would be.
did() {
  verb=$1
  shift
  if [ "$dry" = no ]; then
    say "$verb $*"
  else
    case $verb in made) verb='make' ;; gave) verb=give ;; removed | enabled | moved) verb=${verb%d} ;; *) verb=${verb%ed} ;; esac
    say "would $verb $*"
  fi
}

# attempt WHAT COMMAND...: runs COMMAND, which changes something; a failure is one line with what
# failed and why. With --dry-run nothing is run.
attempt() {
  [ "$dry" = no ] || return 0
  what=$1
  shift
  said=$("$@" 2>&1) || refuse "cannot $what: $(reason_in "$said"); correct that and run $me again"
}

# is_live: whether systemd runs the tree that is set up.
is_live() {
  [ -z "$root" ] && [ -d /run/systemd/system ]
}

# quietly VERB UNIT...: asks systemctl for a change that may find nothing to do.
quietly() {
  [ "$dry" = no ] && is_live || return 0
  systemctl "$@" 2>/dev/null || :
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

check_host() {
  [ "$(id -u)" -eq 0 ] || refuse "must run as root: sudo $0"
  [ "$(uname -s)" = Linux ] || refuse "Gilly runs on Linux workers, this is $(uname -s)"
  command -v systemctl >/dev/null 2>&1 || refuse "needs systemd, which this host does not have"
  for tool in cmp:diffutils getent:glibc-common stat:coreutils sed:sed grep:grep; do
    command -v "${tool%:*}" >/dev/null 2>&1 || refuse "needs ${tool%:*}, which this host does not have: install ${tool#*:}"
  done
}

# Sets systemd to the version of this host's systemd.
check_systemd() {
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
  say "another install.sh or gilly-setup is running: waiting for it to finish"
  flock -w 300 9 || refuse "another install.sh or gilly-setup has been running for five minutes: stop it, then run this one again"
}

# find_installed: sets installed to the unit of an installation by install.sh, package_unit to that
# of a package, and from the unit in force installed_prefix and installed_user.
find_installed() {
  installed='' package_unit='' installed_prefix='' installed_user=''
  for folder in "$admin_units" "$own_units"; do
    [ ! -f "$root$folder/gilly.service" ] || installed=$folder/gilly.service
  done
  for folder in /lib/systemd/system /usr/lib/systemd/system; do
    [ ! -f "$root$folder/gilly.service" ] || package_unit=$folder/gilly.service
  done
  for unit in "$package_unit" "$installed"; do
    [ -n "$unit" ] || continue
    installed_prefix=$(sed -n 's|^ExecStart=\(/.*\)/bin/gilly run.*|\1|p' "$root$unit" | sed 1q)
    installed_user=$(sed -n 's|^User=||p' "$root$unit" | sed 1q)
  done
}

# set_places PREFIX UNIT: where the files of an installation are.
set_places() {
  prefix=$1 unit=$2
  program=$prefix/bin/gilly share=$prefix/share/gilly redirect=$prefix/bin/gilly-redirect
  # What gilly-setup wrote last. A package's own files are below /usr, and no others.
  written=$share/config.written
  if [ "$unit" = "$package_unit" ]; then written=/var/lib/gilly-setup/config.written; fi
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
  [ ! -f "$(in_force)" ] || sed -n "s/^ *$1: *[\"']\{0,1\}\([^\"'# ]*\).*/\1/p" "$(in_force)" | sed 1q
}

# The config in force; with --dry-run the one that would be.
in_force() {
  if [ "$dry" = yes ] && [ -f "$work/config" ]; then say "$work/config"; else say "$root$config"; fi
}
