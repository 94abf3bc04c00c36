# shellcheck shell=sh
# The config: the first one, and later ones as long as nobody has edited it. The programs set example, the path of the
# example, and binary, a program that judges a config.

# Decides what happens to the config; changes nothing. Sets plan to example, written, or kept.
plan_config() {
  plan=kept lent='' own=no asked=$mirrors$kubelet_url$ca_file$cert_file$proxy_hosts
  if is_stub; then
    own=yes plan=written
    find_credentials
  elif [ ! -e "$root$config" ]; then
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

# Whether the config is the one that a package brings, which names no mirror.
is_stub() {
  cmp -s "$root$config" "$root$share/config.package.yaml"
}

# Whether the config is the example, which no flag has changed.
is_example() {
  cmp -s "$root$config" "$root$share/config.example.yaml" || ! grep -Eq 'Written by (install\.sh|gilly-setup)' "$root$config"
}

# The example with the runtime of this host.
example_here() {
  if [ "$runtime" = docker ]; then
    cat "$example"
  else
    sed "s|^# containerd:\$|containerd:|; s|^#   socket: $(usual_socket containerd) .*|  socket: $socket|" \
      "$example"
  fi
}

# Whether the config is still, byte for byte, what was put there.
is_own() {
  for origin in "$root$written" "$root$share/config.example.yaml" "$root$share/config.package.yaml" "$example"; do
    if cmp -s "$root$config" "$origin"; then return 0; fi
  done
  return 1
}

# What the flags of this run leave out stays as the flags of an earlier run set it.
recall_config() {
  cmp -s "$root$config" "$root$written" || return 0
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
  refuse "$version refuses the config, so nothing was changed: $said; correct it and run $me again"
}

# Whether the config is one that was written before a mirror was named.
lacks_mirrors() {
  [ "$own" = yes ] && ! sed -n '/^registries:/,$p' "$(in_force)" | grep -q '^  [^# ]'
}

install_config() {
  before=$root$share/config.example.yaml
  case $plan in
    example)
      example_here >"$work/config" || refuse "cannot write $work/config: is the disk full?"
      place "$work/config" "$config" 640 "$config_group"
      if [ "$runtime" = docker ]; then drop "$written"; else place "$work/config" "$written" 600 0; fi
      ;;
    written)
      place_running "$work/config" "$config" 640 "$config_group"
      if [ -n "$lent" ]; then write_loans; else drop "$drop_ins/20-kubelet-credentials.conf"; fi
      place "$work/config" "$written" 600 0
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
}

write_config() {
  [ -n "$kubelet_url" ] || kubelet_url='https://{hostname}:10250'
  cat <<TEXT
# Gilly's config: read at start and on \`systemctl reload gilly\`. Written by gilly-setup, which leaves it alone as soon
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
