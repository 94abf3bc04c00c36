# shellcheck shell=sh
# Placing and removing files, links and accounts: each only if something differs, each told in one line, and with
# --dry-run only told.

# place CONTENT-FILE TARGET MODE GROUP-ID: installs a file atomically, and only if something
# differs. Sets placed to yes or no.
place() {
  placed=no
  if cmp -s "$1" "$root$2" && [ "$(stat -c %a:%u:%g "$root$2")" = "$3:0:$4" ]; then return 0; fi
  if [ "$dry" = yes ]; then
    placed=yes changed=yes
    say "would write $2:"
    show_text "$1" "$root$2"
    return 0
  fi
  parent=$root${2%/*}
  [ -d "$parent" ] || attempt "make the folder of $2" mkdir -p "$parent"
  pending=$root$2.$$
  attempt "write $2" install -o 0 -g "$4" -m "$3" "$1" "$pending"
  attempt "write $2" mv -f "$pending" "$root$2"
  pending='' placed=yes changed=yes
  say "installed $2"
}

# The same for a file that the daemon runs with: a change requires one restart.
place_running() {
  place "$@"
  if [ "$placed" = yes ]; then restart=yes; fi
}

# show_text NEW OLD: what --dry-run shows of a file: all of a new one, the difference to an old one.
show_text() {
  if [ -f "$2" ] && command -v diff >/dev/null 2>&1; then
    diff -U 0 "$2" "$1" | sed '1,2d; s/^/  /' || :
  else
    sed 's/^/  /' "$1"
  fi
}

# place_text TARGET: a drop-in from standard input.
place_text() {
  { cat >"$work/text"; } 2>/dev/null || refuse "cannot write $work/text: is the disk full?"
  place_running "$work/text" "$1" 644 0
}

drop() {
  [ -e "$root$1" ] || return 0
  attempt "remove $1" rm -f "$root$1"
  changed=yes restart=yes
  did removed "$1"
}

remove() {
  for path in "$@"; do
    [ -e "$root$path" ] || [ -L "$root$path" ] || continue
    attempt "remove $path" rm -rf "$root$path"
    changed=yes
    did removed "$path"
  done
}

# link_unit NAME UNIT-FILE [FOLDER]: does what `systemctl enable` does, also in a tree that is not
# running. Sets linked to yes or no.
link_unit() {
  linked=no
  link=$root${3:-$wants}/$1
  if [ -L "$link" ]; then
    # One to a unit that has moved follows it.
    ! [ -f "$root$(readlink "$link")" ] || return 0
  elif [ -e "$link" ]; then
    return 0
  fi
  attempt "make ${link%/*}" mkdir -p "${link%/*}"
  attempt "enable $1" ln -sfn "$2" "$link"
  linked=yes changed=yes reload=yes
  did enabled "$1"
}

# add_account WHAT LINE: a line of sysusers.d(5).
add_account() {
  changed=yes
  [ "$dry" = no ] || return 0
  printf '%s\n' "$2" | systemd-sysusers ${root:+"--root=$root"} - >/dev/null 2>"$work/sysusers" ||
    refuse "cannot $1: $(reason_in "$(sed -n 1p "$work/sysusers")")"
}

# make_user NAME COMMENT
make_user() {
  ! known passwd "$1" || return 0
  attempt "make $root/etc" mkdir -p "$root/etc"
  # Without a shell here, the account gets the distribution's nologin.
  add_account "make the user $1" "u $1 - \"$2\" /nonexistent"
  did made "the user $1"
}
