#!/bin/sh
# At the beginning of every scriptlet of the packages, in place of the line that reads this file.

config=/etc/gilly/config.yaml

# is_live: whether systemd runs this tree; not so in a chroot, and while an image is made.
is_live() {
  [ -d /run/systemd/system ]
}

# quietly COMMAND...: for what may fail without harm, such as in a chroot.
quietly() {
  "$@" >/dev/null 2>&1 || :
}

# An installation by install.sh has the same unit in a place that takes precedence over a package's.
refuse_beside_install_sh() {
  for unit in /usr/local/lib/systemd/system/gilly.service /etc/systemd/system/gilly.service; do
    # One in /etc that starts the package's program is from `systemctl edit --full`.
    if [ -f "$unit" ] && ! grep -q '^ExecStart=/usr/bin/gilly ' "$unit"; then
      echo "gilly: $unit is from install.sh: run 'install.sh --uninstall' first; config and ledger stay" >&2
      exit 1
    fi
  done
}

# The daemon would get all that a person's account has.
refuse_persons_account() {
  for user in gilly gilly-proxy; do
    account=$(getent passwd "$user") || continue
    case $account in */nologin | */false) continue ;; esac
    echo "gilly: the account $user has the shell ${account##*:}, so it is a person's: rename it first" >&2
    exit 1
  done
}

# systemd-tmpfiles cannot without /proc, such as in a chroot; the modes are the package's.
make_folders() {
  systemd-tmpfiles --create gilly.conf 2>/dev/null || chgrp gilly-proxy /etc/gilly "$config"
}

# What differs from host to host. A failure is no reason to leave the package half installed.
find_this_host() {
  gilly-setup --this-host >/dev/null || echo "gilly: run gilly-setup once that is corrected" >&2
}

# is_accepted: whether the program accepts the config; sets said to what is wrong with it.
is_accepted() {
  said=$(gilly check --syntax-only --config "$config" 2>&1) && return 0
  said=$(printf '%s\n' "$said" | sed -n 's/^fail *config: //p' | sed 1q)
  return 1
}

is_enabled() {
  systemctl --quiet is-enabled "$1" 2>/dev/null
}

# What is enabled; the redirect comes with the proxy. A config that names no mirror yet would only make the service fail.
start_or_advise() {
  is_live && is_enabled gilly.service || return 0
  if cmp -s "$config" /usr/share/gilly/config.package.yaml; then
    echo "gilly: enabled, and starts once its config names a mirror: gilly-setup --mirror gcr.io=mirror.example"
  elif ! is_accepted; then
    echo "gilly: not started: $said: correct that, then run: systemctl start gilly" >&2
  else
    for unit in gilly.service gilly-proxy.service; do
      is_enabled "$unit" || continue
      systemctl --quiet start "$unit" || echo "gilly: did not start: journalctl -u $unit -n 20 says why" >&2
    done
  fi
}

# What runs uses the new files; what was stopped or masked stays so. A config that only the old version accepts would end
# a daemon that works.
restart_what_runs() {
  is_live || return 0
  running=''
  for unit in gilly.service gilly-proxy.service; do
    case $(systemctl is-active "$unit" 2>/dev/null) in active | activating | reloading) running="$running $unit" ;; esac
  done
  [ -n "$running" ] || return 0
  if is_accepted; then
    for unit in $running; do
      systemctl --quiet try-restart "$unit" || echo "gilly: did not restart: journalctl -u $unit -n 20 says why" >&2
    done
  else
    for unit in $running; do
      echo "gilly: $unit goes on as the old version: $said: correct that, then run: systemctl restart $unit" >&2
    done
  fi
}

# The redirect too, whoever made it: without the proxy, it would lead pulls nowhere.
stop_everything() {
  is_live || return 0
  quietly systemctl stop gilly-redirect.service gilly-proxy.service gilly-renew.path gilly-renew.service gilly.service
  gilly-redirect down || echo "gilly: pulls of this host may still be redirected: gilly-redirect down" >&2
}

# After the files are gone.
forget_units() {
  is_live || return 0
  quietly systemctl daemon-reload
  quietly systemctl reset-failed gilly.service gilly-proxy.service gilly-redirect.service
}
