_lerax_completion() {
    local IFS=$'\n' line=${COMP_LINE:0:COMP_POINT} answer kept=
    local last=${line##*[[:space:]]} ends=${COMP_WORDBREAKS//[^=:]/}
    [[ -n $ends ]] && kept=${last%"${last##*[$ends]}"}
    COMPREPLY=()
    for answer in $(env _LERAX_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS="$line" "${1:-lerax}" 2>/dev/null); do
        answer=${answer%%$'\t'*}
        COMPREPLY+=("${answer#"$kept"}")
    done
    [[ ${COMPREPLY[*]: -1} == *[=/] ]] && compopt -o nospace 2>/dev/null
    return 0
}

complete -o default -F _lerax_completion lerax
