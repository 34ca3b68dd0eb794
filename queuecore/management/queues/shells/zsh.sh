_queuecore_zsh() {
    local -a before found
    local at command=${words[1]:t}
    before=("${(@Q)words[1,CURRENT-1]}")
    for at in {1..$#before}; do before[at]="${before[at]/#\~\//$HOME/}"; done
    _queuecore_answer "${(Q)PREFIX}" "${before[@]}"
    case $? in
    1)
        if [[ -n "${_queuecore_before[$command]}" ]]; then
            "${_queuecore_before[$command]}"
        else
            _default
        fi
        return
        ;;
    2) _files && return ;;
    esac
    found=("${(@f)_queuecore_found}")
    found=("${(@)found:#}")
    (( $#found )) && compadd -- "${found[@]}"
}

# Whoever completed these before is asked where the words are none of ours.
if (( ! $+functions[compdef] )); then autoload -Uz compinit && compinit; fi
typeset -gA _queuecore_before
for _queuecore_command in manage.py django-admin python python3; do
    if [[ -n "${_comps[$_queuecore_command]}" && "${_comps[$_queuecore_command]}" != _queuecore_zsh ]]
    then _queuecore_before[$_queuecore_command]="${_comps[$_queuecore_command]}"; fi
    compdef _queuecore_zsh $_queuecore_command
done
unset _queuecore_command
