#!/bin/sh
# private_view.sh FOLDER PROGRAM...: runs the kubelet so that it makes no lasting change to the
# host: kernel settings become copies under FOLDER, and /var/log a tmpfs. Only inside `unshare
# --mount`.
set -eu

copies=$1
shift
mkdir -p "$copies"
mount -t tmpfs tmpfs /var/log
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
  kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  copy=$copies/${setting##*/}
  cat "/proc/sys/$setting" >"$copy"
  mount --bind "$copy" "/proc/sys/$setting"
done
exec "$@"
