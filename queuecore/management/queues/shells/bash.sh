# A word as it is meant: without quotes, the home directory written out.
_queuecore_meant() {
    local word="$1"
    case "$word" in "~/"*) word="$HOME/${word:2}" ;; esac
    word="${word//\\/}" word="${word//\"/}"
    REPLY="${word//\'/}"
}

_queuecore_bash() {
    local rest="$COMP_LINE" word='' head='' glued=0 at=0 last=-1 current='' REPLY=''
    local -a words=()
    # Bash splits words at : and =, which stand in ours.
    for ((at = 0; at <= COMP_CWORD; at++)); do
        word="${COMP_WORDS[at]}" glued=1
        while [[ "$rest" == [[:space:]]* ]]; do rest="${rest:1}" glued=0; done
        rest="${rest#"$word"}"
        if ((last >= 0 && glued)); then
            words[last]+="$word"
        else
            last=$((last + 1))
            words[last]="$word"
        fi
    done
    for ((at = 0; at <= last; at++)); do
        _queuecore_meant "${words[at]}"
        words[at]="$REPLY"
    done
    current="${words[last]}"
    unset "words[last]"
    COMPREPLY=()
    _queuecore_answer "$current" "${words[@]}"
    case $? in
    1)
        word="_queuecore_before_${1//[^a-zA-Z0-9]/_}"
        [ -z "${!word}" ] || "${!word}" "$@"
        return
        ;;
    2) return ;;
    esac
    # No file is a queue.
    compopt +o default +o bashdefault 2>/dev/null
    # What stands before the last : or = is a word of its own to bash, and stays.
    for ((at = ${#current} - 1; at >= 0; at--)); do
        word="${current:at:1}"
        if [[ "$word" == [:=] && "$COMP_WORDBREAKS" == *"$word"* ]]; then
            head="${current:0:at + 1}"
            break
        fi
    done
    while IFS= read -r word; do
        [[ -n "$word" && "$word" == "$current"* ]] || continue
        word="${word#"$head"}"
        case "${COMP_WORDS[COMP_CWORD]}" in
        \'* | \"*) COMPREPLY+=("$word") ;;
        *) COMPREPLY+=("$(printf %q "$word")") ;;
        esac
    done <<<"$_queuecore_found"
}

# Whoever completed these before is asked where the words are none of ours.
_queuecore_register() {
    local command before
    for command in "$@"; do
        before="$(complete -p "$command" 2>/dev/null)"
        if [[ "$before" =~ \ -F\ ([^ ]+)\  && "${BASH_REMATCH[1]}" != _queuecore_bash ]]; then
            printf -v "_queuecore_before_${command//[^a-zA-Z0-9]/_}" %s "${BASH_REMATCH[1]}"
        fi
        complete -o bashdefault -o default -F _queuecore_bash "$command"
    done
}
_queuecore_register manage.py django-admin python python3
