# zsh -f complete.zsh FOLDER <LINES: prints what an interactive zsh with FOLDER in $fpath offers at the end of
# each line, as WORD or WORD<TAB>DESCRIPTION; a line that begins with `== ` comes before each.

zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "
PROMPT=
stty columns 200
fpath=(${(q)1} \$fpath)
autoload -Uz compinit && compinit -u -D
zstyle ':completion:*' list-separator ''
zstyle ':completion:*' insert-tab false
unsetopt beep zle_bracketed_paste
bindkey '^I' complete-word
bindkey '^U' kill-whole-line

# What the completion adds is printed instead.
compadd() {
  local -a words texts
  local at=\${@[(i)-d]} list
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
    builtin compadd \"\$@\"
    return
  fi
  (( at < \$# )) && list=\${@[at+1]} && texts=(\"\${(@P)list}\")
  builtin compadd -A words -D texts \"\$@\"
  for at in {1..\$#words}; do
    (( \$#words )) && print -r -- \"@\$words[at]\"\$'\\t'\"\${texts[at]}\"
  done
  (( \$#words ))
}
# zsh forgets these lists at each completion.
before() {
  compprefuncs=(before) comppostfuncs=(after)
  print -r -- '@@begin'
}
after() { print -r -- '@@end' }
compprefuncs=(before) comppostfuncs=(after)
# Not as it is echoed.
print -r -- @@rea''dy
"
typeset text lines
zpty -r -m shell text '*@@ready[[:space:]]*'
while IFS= read -r line; do
  print -r -- "== $line"
  zpty -w -n shell "$line"$'\t'
  zpty -r -m shell text '*@@begin*@@end*'
  lines=(${(f)${${text##*@@begin}%%@@end*}//$'\r'})
  print -rl -- ${${(M)lines:#@*}#@}
  zpty -w -n shell $'\x15'
done
zpty -d shell
