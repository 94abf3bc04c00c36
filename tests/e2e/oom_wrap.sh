#!/bin/sh
# Wraps runc where CAP_SYS_RESOURCE is missing. Only with it may a process lower its oom_score_adj,
# which the kubelet requests for every sandbox, so a negative value becomes 0. All else is left to
# runc.
set -eu

bundle=
creating=
previous=
for argument in "$@"; do
  case $argument in
    create) creating=yes ;;
    --bundle=*) bundle=${argument#--bundle=} ;;
  esac
  case $previous in
    --bundle | -b) bundle=$argument ;;
  esac
  previous=$argument
done
if [ -n "$creating" ] && [ -n "$bundle" ]; then
  sed -i 's/"oomScoreAdj": *-[0-9]*/"oomScoreAdj":0/' "$bundle/config.json"
fi
PATH=$PATH:/usr/sbin:/sbin exec runc "$@"
