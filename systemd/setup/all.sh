# shellcheck shell=sh source-path=SCRIPTDIR
# All parts of gilly-setup, from the folder that $parts names.
. "$parts/common.sh"
. "$parts/files.sh"
. "$parts/arguments.sh"
. "$parts/runtime.sh"
. "$parts/config.sh"
. "$parts/credentials.sh"
. "$parts/this_host.sh"
. "$parts/proxy.sh"
. "$parts/service.sh"
