# shellcheck shell=sh
# The registry proxy: its account, which files it may read, and whether it and its redirect are on.

# proxy_is_wanted: whether a flag turns it on, or it is on and no flag turns it off.
proxy_is_wanted() {
  [ "$proxy" = yes ] || { [ -z "$proxy" ] && [ -L "$root$wants/gilly-proxy.service" ]; }
}

# The proxy reads the config and the auth files of mirrors, and no key of the kubelet; Gilly reads all.
set_up_proxy_user() {
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
    did gave "$file to the group $1"
  done)
  [ -n "$given" ] || return 0
  changed=yes
  say "$given"
}

files_of_both() {
  say "/etc/gilly$newline$config"
  sed -n "s/^[^#]*authFile: *[\"']\{0,1\}\([^\"'# ,}]*\).*/\1/p" "$root$config" 2>/dev/null | sed 's|^[^/]|/etc/gilly/&|'
}

# set_up_proxy: turns it on or off if a flag says so.
set_up_proxy() {
  # A new binary or config is new for both.
  if [ "$restart" = yes ]; then restart_proxy=yes; fi
  case $proxy in
    yes) turn_on_proxy ;;
    no)
      turn_off_proxy
      forget_proxy_user
      ;;
    *) [ "$runtime" = docker ] || remove_redirect ;;
  esac
}

turn_on_proxy() {
  [ "$enable" = yes ] || return 0
  link_unit gilly-proxy.service "${unit%/*}/gilly-proxy.service"
  first_proxy=$linked
  if [ "$runtime" = docker ]; then
    link_unit gilly-redirect.service "${unit%/*}/gilly-redirect.service" "$proxy_wants"
    return 0
  fi
  remove_redirect
  [ "$first_proxy" = no ] ||
    say "containerd is led to the registry proxy by files, not by a redirect; once gilly-proxy runs:" \
      "gilly export containerd --via-proxy --output led && cp -r led/etc/. /etc/"
}

# A redirect is for Docker alone.
remove_redirect() {
  [ -L "$root$proxy_wants/gilly-redirect.service" ] || return 0
  quietly stop gilly-redirect.service
  remove "$proxy_wants"
  reload=yes
}

# Starts what is enabled, last of all: Gilly repairs without it.
run_proxy() {
  is_live && [ "$dry" = no ] || return 0
  if ! systemctl is-enabled --quiet gilly-proxy.service 2>/dev/null || [ "$start" = no ] || [ -n "$todo" ]; then
    [ "$proxy" != yes ] || say "the registry proxy is installed and not started: systemctl enable --now gilly-proxy"
    return 0
  fi
  if [ "$restart_proxy" = yes ] || ! systemctl is-active --quiet gilly-proxy.service; then
    changed=yes since=$(date '+@%s.%N')
    systemctl restart gilly-proxy.service 2>/dev/null ||
      refuse "$version $achieved, but the registry proxy did not start: $(said_by gilly-proxy); repairs go on"
  fi
  [ "$runtime" = docker ] && systemctl is-enabled --quiet gilly-redirect.service || return 0
  if systemctl is-active --quiet gilly-redirect.service; then return 0; fi
  changed=yes since=$(date '+@%s.%N')
  systemctl start gilly-redirect.service 2>/dev/null ||
    refuse "$version $achieved, but pulls are not led to the registry proxy: $(said_by gilly-redirect); repairs go on"
}

# said_by UNIT: what its programs said last before they failed.
said_by() {
  journalctl --sync 2>/dev/null || :
  said=$(journalctl -u "$1" -o cat --since "$since" --no-pager 2>/dev/null | sed -n 's/^gilly\(-redirect\)\{0,1\}: //p' | sed -n '$p')
  say "${said:-journalctl -u $1 -n 20 says why}"
}

turn_off_proxy() {
  [ -L "$root$wants/gilly-proxy.service" ] || [ -L "$root$proxy_wants/gilly-redirect.service" ] ||
    [ -e "$root/etc/gilly/proxy.crt" ] || return 0
  quietly stop gilly-redirect.service gilly-proxy.service
  if [ -z "$root" ] && [ -x "$redirect" ]; then attempt "take the redirect away" "$redirect" down; fi
  remove "$wants/gilly-proxy.service" "$proxy_wants" /etc/gilly/proxy.crt /etc/gilly/proxy.key
  reload=yes
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

# set_config_group: sets config_group to the group of the config, by its id: that of the proxy, of
# which gilly is a member, once both read it. Sets group_id and shared to the two, as far as there are such.
set_config_group() {
  group_id=$(entry_of group "$user" | cut -d: -f3)
  config_group=$group_id
  shared=$(entry_of group gilly-proxy | cut -d: -f3)
  if [ -n "$shared" ] && [ "$(stat -c %g "$root/etc/gilly" 2>/dev/null)" = "$shared" ]; then config_group=$shared; fi
}

# The group stays until a purge; with a package, its files as well.
forget_proxy_user() {
  [ "$unit" != "$package_unit" ] && [ -n "$shared" ] || return 0
  share_with "$user" "$shared" "$group_id"
}
