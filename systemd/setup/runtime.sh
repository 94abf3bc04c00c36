# shellcheck shell=sh
# Which runtime the kubelet of this host uses, where its socket is, and which group may use it.

# Decides which runtime the config names: what --runtime says, or an edited config, or what the
# kubelet uses. Sets runtime, socket and, if a runtime was found, found and found_by.
find_runtime() {
  found='' found_socket='' found_by=''
  kubelets_endpoint
  [ "$found" != cri-o ] || [ -n "$chosen_runtime" ] ||
    refuse "the kubelet uses CRI-O ($found_by), which has no call that names an image, so Gilly cannot serve it:" \
      "${binary:-$here/gilly} export registries.conf --config FILE writes the rules for CRI-O itself"
  in_config=$(runtime_in_config)
  if [ -n "$chosen_runtime" ]; then
    runtime=$chosen_runtime
    if [ "$found" = "$runtime" ]; then socket=$found_socket; else socket=$(usual_socket "$runtime"); fi
  elif [ -n "$in_config" ] && { [ -z "$found" ] || ! is_own; }; then
    runtime=${in_config%% *} socket=${in_config#* }
    [ -z "$found" ] || [ "$found" = "$runtime" ] ||
      say "$config names $runtime, but the kubelet uses $found ($found_by): write $found: with its socket, $found_socket," \
        "instead of $runtime: there, and run gilly-setup again"
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
  if is_live; then find_kubelet; fi
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
  if is_live && [ -S "$found_socket" ]; then
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
  if is_live && [ -S "$socket" ]; then socket_group=$(stat -Lc %G "$socket"); fi
}

check_socket() {
  find_socket_group
  is_live || return 0
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
    "restart of containerd, the daemon needs only that group; then run gilly-setup"
}
