# shellcheck shell=sh
# Starting what was set up, and what is said of a start that failed.

# set_up_host: writes all that is particular to this host; nothing is started.
set_up_host() {
  set_config_group
  if proxy_is_wanted; then set_up_proxy_user; fi
  install_config
  set_up_proxy
  install_drop_ins
  set_up_renewal
}

run_service() {
  # An interrupted run, or a new drop-in, may have left settings that systemd has not read.
  if [ "$(show NeedDaemonReload)" = yes ]; then reload=yes restart=yes; fi
  if [ "$restart" = yes ] || [ "$reload" = yes ]; then
    attempt "make systemd reload its units" systemctl daemon-reload
  fi
  enabled=$(systemctl is-enabled gilly.service 2>/dev/null) || :
  find_missing
  if systemctl is-active --quiet gilly.service; then
    if [ "$restart" = yes ] || runs_another_binary; then
      changed=yes
      [ "$start" = yes ] || finish "not restarted (--no-start): systemctl restart gilly"
      start_service restart
    fi
  elif [ "$start" = no ]; then
    finish "not started (--no-start): systemctl start gilly"
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
  if is_own; then own=yes; fi
  if cmp -s "$example" "$(in_force)"; then
    todo="edit $config"
  elif lacks_mirrors; then
    todo="name your mirrors (gilly-setup --mirror, or registries: in $config)"
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
  if [ "$dry" = yes ]; then
    say "would $1 gilly.service"
    return 0
  fi
  since=$(date '+@%s.%N')
  if systemctl "$1" gilly.service 2>/dev/null; then return 0; fi
  result=$(show Result) status=$(show ExecMainStatus)
  journalctl --sync 2>/dev/null || :
  journalctl -u gilly -t gilly -o cat -p warning --since "$since" --no-pager 2>/dev/null | sed -n 1,5p >&2 || :
  refuse "$version $achieved but did not start: $(explain_failure "$result" "$status")"
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
    case $1 in 'not started'*) say "it is $1" ;; esac
    say "$version $achieved already, nothing to do"
  elif [ "$dry" = yes ]; then
    say "dry run: nothing was changed"
  else
    say "$version $achieved and $1"
  fi
  exit 0
}
