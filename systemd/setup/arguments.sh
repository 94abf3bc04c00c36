# shellcheck shell=sh
# The flags that install.sh and gilly-setup have in common: what is written into the config and into drop-ins.

# The part of the help that explains them.
usage_of_settings() {
  cat <<'TEXT'
Flags that write the config, as long as nobody has edited it:
  --mirror REGISTRY=MIRROR[,MIRROR]
                       images of REGISTRY come from MIRROR; may be repeated
  --kubelet-url URL    the kubelet of this host; {hostname} is its name
                       (default https://{hostname}:10250)
  --kubelet-ca FILE    the CA of the kubelet's serving certificate
  --kubelet-cert FILE  client certificate that the kubelet accepts, and
  --kubelet-key FILE   its key; systemd passes files outside /etc/gilly
                       to the daemon (LoadCredential=)
  --runtime NAME       docker or containerd (default: what the kubelet uses)

  --proxy        serve this host's pulls in the first place: the registry proxy,
                 as a user gilly-proxy, and with Docker its redirect
  --proxy-host HOST    redirect only HOST; may be repeated, implies --proxy
  --no-proxy     turn the registry proxy and its redirect off
TEXT
}

# Sets every setting to what it is without its flag.
begin_settings() {
  root='' start=yes enable=yes dry=no
  mirrors='' kubelet_url='' ca_file='' cert_file='' key_file='' chosen_runtime='' proxy='' proxy_hosts=''
}

# is_setting FLAG: whether FLAG is one of these, with a value.
is_setting() {
  case $1 in
    --root | --mirror | --proxy-host | --kubelet-url | --kubelet-ca | --kubelet-cert | --kubelet-key | --runtime) ;;
    *) return 1 ;;
  esac
}

take_setting() {
  case $1 in
    --root)
      case $2 in /*) ;; *) refuse "--root needs an absolute path, got '$2'" ;; esac
      [ -d "$2" ] || refuse "--root $2 is not a directory: create it first"
      root=${2%/}
      ;;
    --mirror) take_mirror "$2" ;;
    --proxy-host)
      matches "$2" '[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+' || refuse "--proxy-host expects the host of a registry, such as gcr.io, got '$2'"
      proxy_hosts="$proxy_hosts${proxy_hosts:+, }$2"
      ;;
    --kubelet-url)
      matches "$2" 'https?://([a-zA-Z0-9._{}-]+|\[[0-9a-fA-F:]+\]):[0-9]+/?' ||
        refuse "--kubelet-url expects https://HOST:PORT, such as https://{hostname}:10250, got '$2'"
      kubelet_url=$2
      ;;
    --kubelet-ca) check_path "$1" "$2" && ca_file=$2 ;;
    --kubelet-cert) check_path "$1" "$2" && cert_file=$2 ;;
    --kubelet-key) check_path "$1" "$2" && key_file=$2 ;;
    --runtime)
      case $2 in
        docker | containerd) chosen_runtime=$2 ;;
        cri-o | crio) refuse "CRI-O has no call that names an image, so Gilly cannot serve it: gilly export registries.conf is its way" ;;
        *) refuse "--runtime expects docker or containerd, got '$2'" ;;
      esac
      ;;
  esac
}

# check_settings: what the flags say together.
check_settings() {
  if [ "$proxy" = no ] && [ -n "$proxy_hosts" ]; then refuse "--no-proxy and --proxy-host exclude each other"; fi
  if [ -n "$proxy_hosts" ]; then proxy=yes; fi
  if [ -n "$cert_file" ] && [ -z "$key_file" ]; then refuse "--kubelet-cert needs --kubelet-key as well"; fi
  if [ -n "$key_file" ] && [ -z "$cert_file" ]; then refuse "--kubelet-key needs --kubelet-cert as well"; fi
}

# check_files: the files that the flags name.
check_files() {
  for file in $ca_file $cert_file $key_file; do
    [ -s "$root$file" ] || refuse "$file does not exist or is empty: check the path"
  done
}

# The values end up in YAML and in a unit file, so only plain characters pass.
check_path() {
  matches "$2" '/[a-zA-Z0-9._/+@-]+' || refuse "$1 expects an absolute path of letters, digits and ._+@-, got '$2'"
}

take_mirror() {
  matches "$1" '[]a-zA-Z0-9.:/_*[-]+=[]a-zA-Z0-9.:/_{}[-]+(,[]a-zA-Z0-9.:/_{}[-]+)*' ||
    refuse "--mirror expects REGISTRY=MIRROR, such as gcr.io=mirror.example, got '$1'"
  case $mirrors in
    *"  \"${1%%=*}\":"*) refuse "--mirror names ${1%%=*} twice: list its mirrors in one, $1,SECOND-MIRROR" ;;
  esac
  mirrors="$mirrors${mirrors:+$newline}  \"${1%%=*}\": [\"$(printf '%s' "${1#*=}" | sed 's/,/", "/g')\"]"
}
