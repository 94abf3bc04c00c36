#!/bin/sh
# Installs Gilly on this worker from its release archive or from a checkout, upgrades it, or
# uninstalls it. Everything is checked before anything is changed, a second run changes nothing, and
# every refusal says what to do.
set -eu

# What it places from systemd/, besides the parts of gilly-setup.
PROGRAMS='gilly-setup gilly-credentials gilly-redirect'
UNITS='gilly.service gilly-proxy.service gilly-redirect.service gilly-renew.path gilly-renew.service gilly-this-host.service'

# refuse_part FILE: works before the parts are there.
refuse_part() {
  printf 'install.sh: %s is missing: unpack the complete archive and run install.sh from its folder\n' "$1" >&2
  exit 1
}

usage() {
  cat <<'TEXT'
Usage: install.sh [options]

Installs the binary, its systemd unit and /etc/gilly/config.yaml, then enables
and starts gilly.service. Run again, it upgrades what differs and leaves the
rest alone: a config that you edited, and a service that you disabled.

TEXT
  usage_of_settings
  cat <<'TEXT'

  --no-start     install and enable, do not start
  --no-enable    install, neither enable nor start
  --prefix DIR   instead of /usr/local, for hosts where /usr is read-only
  --user NAME    the account that the daemon runs as (default gilly)
  --root DIR     install into an image or a tree that is not running
  --uninstall    remove Gilly; config and ledger stay
  --purge        remove Gilly, its config, its ledger and its user
  -h, --help     this text

What is particular to this host is found and written by the same code as in
gilly-setup, which is installed next to gilly: run that alone when the host
has changed.

Example:
  ./install.sh --mirror gcr.io=mirror.example --mirror quay.io=mirror.example/q
TEXT
}

# --- arguments ------------------------------------------------------------------------------------------------------

parse_arguments() {
  action=install asked_prefix='' user=''
  begin_settings
  while [ $# -gt 0 ]; do
    case $1 in
      --no-start) start=no ;;
      --no-enable) enable=no ;;
      --proxy) proxy=yes ;;
      --no-proxy) proxy=no ;;
      --uninstall) [ "$action" = purge ] || action=uninstall ;;
      --purge) action=purge ;;
      -h | --help)
        usage
        exit 0
        ;;
      *)
        is_setting "$1" || case $1 in --prefix | --user) ;; *) refuse "unknown argument '$1': see $me --help" ;; esac
        [ -n "${2-}" ] || refuse "$1 needs a value: see $me --help"
        take_value "$1" "$2"
        shift
        ;;
    esac
    shift
  done
  check_settings
  [ "$action" != install ] || check_files
}

take_value() {
  case $1 in
    --prefix)
      check_path "$1" "$2"
      case ${2%/}/ in
        / | /boot/* | /dev/* | /etc/* | /home/* | /media/* | /mnt/* | /proc/* | /root/* | /run/* | /srv/* | /sys/* | /tmp/* | /var/tmp/*)
          refuse "--prefix $2 is hidden from the daemon by its sandbox: choose another folder, such as /opt/gilly"
          ;;
      esac
      asked_prefix=${2%/}
      ;;
    --user)
      matches "$2" '([a-qs-z_]|r[a-np-z0-9_-])[a-z0-9_-]{0,30}' ||
        refuse "--user expects the name of an account for the daemon only, such as gilly-daemon, got '$2'"
      user=$2
      ;;
    *) take_setting "$1" "$2" ;;
  esac
}

# --- checks: nothing is changed here --------------------------------------------------------------------------------

# Where everything goes. The unit of an existing installation tells its place and its user.
choose_places() {
  find_installed
  [ -z "$package_unit" ] || refuse "Gilly is installed here by a package, which its manager upgrades and removes:" \
    "gilly-setup takes the flags that write the config; to use install.sh instead, remove the package first"
  first=yes override='' leftover=''
  [ -z "$installed" ] || first=no
  prefix=${asked_prefix:-${installed_prefix:-/usr/local}} user=${user:-${installed_user:-gilly}}
  # Below /etc/systemd/system in precedence, so that `systemctl mask` can put its link there.
  unit=$own_units/gilly.service
  [ "$prefix" = /usr/local ] || unit=$admin_units/gilly.service
  set_places "$prefix" "$unit"
  # If both folders have a unit, the one in /etc is from `systemctl edit --full`, or from a downgrade to 0.1.0.
  if [ "$installed" = "$own_units/gilly.service" ] && [ -f "$root$admin_units/gilly.service" ]; then
    override=$admin_units/gilly.service
    if is_unit_of_0_1_0 "$root$override"; then
      leftover=$override override=''
    fi
    [ "$unit" != "$override" ] || refuse "$override is yours, and --prefix would replace it: move it away first"
  fi
}

# is_unit_of_0_1_0 FILE: whether it is gilly.service as that release installed it, and nobody edited it.
is_unit_of_0_1_0() {
  [ "$(sha256sum "$1" | cut -d' ' -f1)" = 4073ad998d90442717727d0022160ac1e0b744270c85e48d0dd9088e3aba165b ]
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

find_parts() {
  for part in $UNITS config.example.yaml $PROGRAMS; do
    [ -f "$here/systemd/$part" ] || refuse_part "$here/systemd/$part"
  done
  for name in gilly $PROGRAMS; do
    [ -f "$here/docs/$name.8" ] || refuse_part "$here/docs/$name.8"
  done
  for part in docs/credentials.md docs/gilly.bash docs/gilly.zsh docs/gilly.fish; do
    [ -f "$here/$part" ] || refuse_part "$here/$part"
  done
  if [ -f "$here/gilly" ]; then
    check_machine "$here/gilly"
    binary=$here/gilly
  elif [ -f "$here/deno.json" ]; then
    compile_checkout
    binary=$here/dist/gilly
  else
    refuse_part "$here/gilly"
  fi
  version=$("$binary" version 2>&1) || refuse_binary "$version"
  version=$(printf '%s' "$version" | sed -n 1p)
}

# machine_of FILE: what `uname -m` says on machines that run this Linux executable, by e_machine in its header (elf(5));
# nothing for any other file.
machine_of() {
  case $(od -A n -t x1 -N 20 "$1" | tr -d ' \n') in
    7f454c460201*3e00) echo x86_64 ;;
    7f454c460201*b700) echo aarch64 ;;
  esac
}

# check_machine FILE: refuses the archive of another architecture. What is no executable at all is refused later, with
# its own reason.
check_machine() {
  machine=$(uname -m)
  built=$(machine_of "$1")
  case $machine in
    "$built") return 0 ;;
    x86_64) other=x64 ;;
    aarch64) other=arm64 ;;
    *) refuse "Gilly is built for x86_64 and aarch64, not for $machine" ;;
  esac
  [ -z "$built" ] || refuse "this archive is for $built, not $machine: unpack the one whose name ends in -linux-$other.tar.gz"
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

# --- placing files --------------------------------------------------------------------------------------------------

install_user() {
  make_user "$user" "$user_comment"
  group_id=$(entry_of group "$user" | cut -d: -f3)
}

# The unit comes last: while it is absent, the next run knows that this one did not finish.
install_files() {
  place_running "$binary" "$program" 755 0
  for name in $PROGRAMS; do
    place "$here/systemd/$name" "$prefix/bin/$name" 755 0
    case $placed:$name in yes:gilly-redirect) restart_proxy=yes ;; esac
  done
  for part in "$parts"/*.sh; do place "$part" "$share/setup/${part##*/}" 644 0; done
  for name in gilly $PROGRAMS; do place "$here/docs/$name.8" "$prefix$manuals/$name.8" 644 0; done
  place "$here/docs/gilly.bash" "$prefix$bash_completion" 644 0
  place "$here/docs/gilly.zsh" "$prefix$zsh_completion" 644 0
  place "$here/docs/gilly.fish" "$prefix$fish_completion" 644 0
  if [ ! -d "$root/etc/gilly" ]; then
    attempt "make /etc/gilly" mkdir -p "$root/etc/gilly"
    attempt "give /etc/gilly its mode" chmod 750 "$root/etc/gilly"
    attempt "give /etc/gilly its owner" chown "0:$group_id" "$root/etc/gilly"
  fi
  install_units
  set_up_host
  place "$example" "$share/config.example.yaml" 644 0
  place "$here/docs/credentials.md" "$share/credentials.md" 644 0
  enable_unit
  install_unit
  if [ -n "$installed_prefix" ] && [ "$installed_prefix" != "$prefix" ]; then remove_program "$installed_prefix"; fi
}

# The units besides gilly.service, which gilly-setup turns on where they are wanted.
install_units() {
  for name in $UNITS; do
    [ "$name" != gilly.service ] || continue
    [ -z "$installed" ] || [ "$installed" = "$unit" ] || remove "${installed%/*}/$name"
    adapt_unit "$name"
    place "$work/$name" "${unit%/*}/$name" 644 0
    [ "$placed" = yes ] || continue
    reload=yes
    case $name in
      gilly-proxy.service | gilly-redirect.service) restart_proxy=yes ;;
      gilly-renew.*) rewatch=yes ;;
    esac
  done
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
  if [ -n "$leftover" ] && [ "$leftover" != "$unit" ]; then
    attempt "remove $leftover" rm -f "$root$leftover"
    changed=yes restart=yes
    say "removed $leftover, which 0.1.0 had put there"
  fi
}

# adapt_unit NAME: the unit for this host: its paths, its user, and no settings that its systemd does
# not know.
adapt_unit() {
  sed "s|/usr/local/|$prefix/|g; s|^User=gilly\$|User=$user|; s|^Group=gilly\$|Group=$user|" \
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

# --- the service ----------------------------------------------------------------------------------------------------

# Only the first installation enables the service; later decisions of the administrator stay.
enable_unit() {
  if [ "$first" = yes ] && [ "$enable" = yes ]; then link_unit gilly.service "$unit"; fi
  # If the unit has moved, its link follows.
  if [ -n "$installed" ] && [ "$installed" != "$unit" ] && [ "$(readlink "$root$wants/gilly.service")" = "$installed" ]; then
    attempt "enable gilly.service" ln -sfn "$unit" "$root$wants/gilly.service"
  fi
}

# --- uninstalling ---------------------------------------------------------------------------------------------------

uninstall() {
  quietly disable --now --quiet gilly.service
  quietly stop --quiet gilly.service
  renewal_places
  turn_off_renewal
  turn_off_proxy
  remove "$wants/gilly.service" "$wants/gilly-this-host.service" "$admin_units/gilly-this-host.service" \
    "${installed:-$unit}" "$drop_ins/10-this-host.conf" "$drop_ins/30-docker-group.conf" "$drop_ins/30-containerd-group.conf"
  for name in $UNITS; do
    [ "$name" = gilly.service ] || remove "${unit%/*}/$name"
  done
  remove_program "$prefix"
  if [ "$action" = purge ]; then
    remove "$admin_units/gilly.service" "$drop_ins" /etc/gilly /var/lib/gilly /var/lib/gilly-proxy
    remove_users
  fi
  rmdir "$root$drop_ins" 2>/dev/null || :
  if is_live; then
    attempt "make systemd reload its units" systemctl daemon-reload
    quietly reset-failed gilly.service gilly-proxy.service gilly-redirect.service
  fi
  [ "$changed" = yes ] || say "Gilly is not installed, nothing to do"
  if [ "$action" = uninstall ]; then tell_kept; fi
}

# remove_program PREFIX: removes Gilly's files below it, and folders that a bare host does not have,
# if they are empty.
remove_program() {
  remove "$1/bin/gilly" "$1/share/gilly" "$1$bash_completion" "$1$zsh_completion" "$1$fish_completion"
  for name in $PROGRAMS; do remove "$1/bin/$name"; done
  for name in gilly $PROGRAMS; do remove "$1$manuals/$name.8"; done
  for folder in "$own_units" "${own_units%/*}" "$1$manuals" "$1${bash_completion%/*}" "$1${bash_completion%/*/*}" \
    "$1${zsh_completion%/*}" "$1${zsh_completion%/*/*}" "$1${fish_completion%/*}" "$1${fish_completion%/*/*}"; do
    rmdir "$root$folder" 2>/dev/null || :
  done
  [ "$1" != /usr/local ] || return 0
  for folder in "$1/share/man" "$1/share" "$1/bin" "$1"; do rmdir "$root$folder" 2>/dev/null || :; done
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
  me=install.sh
  # The script may have been called through a symbolic link.
  here=$(dirname -- "$(readlink -f -- "$0")")
  parts=$here/systemd/setup
  [ -f "$parts/all.sh" ] || refuse_part "$parts/all.sh"
  # shellcheck source-path=SCRIPTDIR/systemd/setup
  . "$parts/all.sh"
  begin
  achieved='is installed' user_comment='Gilly image repair' example=$here/systemd/config.example.yaml
  manuals=/share/man/man8 bash_completion=/share/bash-completion/completions/gilly
  zsh_completion=/share/zsh/site-functions/_gilly fish_completion=/share/fish/vendor_completions.d/gilly.fish
  parse_arguments "$@"
  check_host
  if [ "$action" = install ]; then
    [ -n "$root" ] || is_live || refuse "systemd does not run this host: install into a tree with --root DIR"
    check_systemd
  fi
  take_turn
  choose_places
  case $action:$proxy in uninstall:* | purge:* | *:no) check_led ;; esac
  case $action in uninstall | purge)
    uninstall
    exit 0
    ;;
  esac
  make_work_folder
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
