#compdef seamir
# Completion of the command seamir for zsh: to be sourced, or as _seamir in a folder of fpath.
_seamir() {
    local kind value help
    local -a answers whole begun shown
    answers=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \
        _SEAMIR_COMPLETE=zsh_complete "${words[1]}" 2>/dev/null)}")
    for kind value help in "${answers[@]}"; do
        if [[ $kind == dir ]]; then
            _path_files -/
        elif [[ $kind == file ]]; then
            _path_files
        elif [[ $value == *[/=] ]]; then
            begun+=("$value")  # after a folder or NAME= the word goes on
        elif [[ -n $value ]]; then
            whole+=("$value")
            shown+=("$value${${help:#_}:+ -- $help}")
        fi
    done
    (( $#begun )) && compadd -U -S '' -a begun
    (( $#whole )) && compadd -U -V seamir -l -d shown -a whole
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _seamir "$@"
else
    compdef _seamir seamir
fi
