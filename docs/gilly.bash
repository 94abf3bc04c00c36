# Bash completion of gilly. Made by tools/docs.ts.

_gilly() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "run once status history check explain pull export version help --version" -- "$word")
    return
  fi
  case $previous in
    --config | --state-file | --ledger | --output)
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return
      ;;
  esac
  case ${COMP_WORDS[1]} in
    run) words="--config --help" ;;
    once) words="--config --dry-run --json --help" ;;
    status) words="--json --watch --state-file --help" ;;
    history) words="--config --ledger --since --pod --image --json --help" ;;
    check) words="--config --syntax-only --state-file --files --renewed --json --help" ;;
    explain) words="--config --json --help" ;;
    pull) words="--config --plain --json --help" ;;
    export) words="--config --output --force --json --help" ;;
    version) words="--json --help" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o default -F _gilly gilly
