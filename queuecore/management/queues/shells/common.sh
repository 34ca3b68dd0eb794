# Completes words of QueueCore's commands; written by: manage.py queues completion

# What is known of a command or subcommand: what stands below it, its options, those of them that
# take a value, and whether it takes one queue or many.
_queuecore_known() {
    below='' flags='' valued='' takes=''
    case "$1" in
    # KNOWN
    esac
}

# What the value of an option, or an argument, can be.
_queuecore_values() {
    values=''
    case "$1" in
    # VALUES
    esac
}

# Asks the project for names of a kind; a word that is completed twice asks once.
_queuecore_ask() {
    local kind="$1" text="$2" asked
    shift 2
    asked="$PWD|$kind|$text|$*"
    if [ "$asked" != "$_queuecore_asked" ] || [ $((SECONDS - _queuecore_asked_at)) -gt 10 ]; then
        _queuecore_told=$("$@" --skip-checks --what "$kind" --complete "$text" 2>/dev/null </dev/null)
        _queuecore_asked="$asked"
        _queuecore_asked_at=$SECONDS
    fi
    _queuecore_found="$_queuecore_told"
}

# What the word $1 could become behind the words that follow, in _queuecore_found, one a line.
# Fails where they are none of our commands, with 2 where it is a file.
_queuecore_answer() {
    [ -z "$ZSH_VERSION" ] || emulate -L sh
    local current="$1" script=0 at=0 word='' before='' option='' trail='' places=0 text=''
    local below='' flags='' valued='' takes='' values='' connection='' settings='' pythonpath=''
    _queuecore_found=''
    shift
    for word in "$@"; do
        at=$((at + 1))
        case "${word##*/}" in
        manage.py | django-admin | django-admin.py) script=$at && break ;;
        esac
    done
    [ "$script" -gt 0 ] || return 1
    at=0
    for word in "$@"; do
        at=$((at + 1))
        [ "$at" -gt "$script" ] || continue
        option=''
        if [ -n "$before" ]; then
            option="$before" text="$word" before=''
        else
            case "$word" in
            --*=*) option="${word%%=*}" text="${word#*=}" ;;
            -*) case " $valued " in *" $word "*) before="$word" ;; esac ;;
            *)
                case " $below " in
                *" $word "*) trail="$trail $word" && _queuecore_known "$trail" ;;
                *)
                    if [ -z "$trail" ]; then
                        trail="$word" && _queuecore_known "$trail"
                        [ -n "$flags" ] || return 1
                    else
                        places=$((places + 1))
                    fi
                    ;;
                esac
                ;;
            esac
        fi
        case "$option" in
        --connection) connection="$text" ;;
        --settings) settings="$text" ;;
        --pythonpath) pythonpath="$text" ;;
        esac
    done
    [ -n "$trail" ] || return 1
    text="$current"
    if [ -n "$before" ]; then
        _queuecore_values "$trail $before"
    else
        case "$current" in
        --*=*) option="${current%%=*}" text="${current#*=}" && _queuecore_values "$trail $option" ;;
        -*) values="$flags" ;;
        *)
            option=''
            if [ -n "$below" ]; then
                values="$below"
            elif [ "$takes" = many ] || [ "$places" -eq 0 ]; then
                _queuecore_values "$trail argument"
            fi
            ;;
        esac
    fi
    case "$values" in
    @files) return 2 ;;
    @*)
        word="${values#@}"
        [ "$word" != connections ] || connection=''
        if [ "$trail" = queueworker ] || [ "$trail" = runworker ]; then connection=''; fi
        _queuecore_ask "$word" "$text" "${@:1:$script}" queues names \
            ${settings:+"--settings=$settings"} ${pythonpath:+"--pythonpath=$pythonpath"} \
            ${connection:+"--connection=$connection"}
        ;;
    *)
        for word in $values; do
            case "$word" in "$text"*) _queuecore_found="$_queuecore_found$word
" ;; esac
        done
        ;;
    esac
    case "$current" in
    --*=*)
        values="$_queuecore_found" _queuecore_found=''
        while IFS= read -r word; do
            [ -z "$word" ] || _queuecore_found="$_queuecore_found$option=$word
"
        done <<END
$values
END
        ;;
    esac
    return 0
}

