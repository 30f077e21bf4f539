# Completion of the command seamir for bash 4.4 and newer.
_seamir_completion() {
    local IFS=$'\n' answer kind
    COMPREPLY=()
    while read -r answer; do
        kind=${answer%%,*}
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            '') ;; # no answers
            *) COMPREPLY+=("${answer#*,}") ;;
        esac
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \
        _SEAMIR_COMPLETE=bash_complete "$1" 2>/dev/null)
    if [[ $kind == path ]]; then
        compopt -o filenames
    fi
    # After a folder or NAME= the word goes on.
    if [[ ${COMPREPLY[0]-} == *[/=] ]]; then
        compopt -o nospace
    fi
}
complete -o nosort -F _seamir_completion seamir
