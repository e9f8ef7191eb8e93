"""Writes the completion scripts and their table of settings: `python completions/generate.py`."""

from pathlib import Path

from typer.completion import get_completion_script  # pyright: ignore[reportPrivateImportUsage]

from lerax_cli import declared, fitting

HERE = Path(__file__).parent
# All three ask in the way of fish: a word a line, a tab and what it means behind it.
ASK = "_LERAX_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS"
# Bash ends a word at `=` and `:`: the line is handed over as it was typed, and what stands before them stays.
BASH = f"""_lerax_completion() {{
    local IFS=$'\\n' line=${{COMP_LINE:0:COMP_POINT}} answer kept=
    local last=${{line##*[[:space:]]}} ends=${{COMP_WORDBREAKS//[^=:]/}}
    [[ -n $ends ]] && kept=${{last%"${{last##*[$ends]}}"}}
    COMPREPLY=()
    for answer in $(env {ASK}="$line" "${{1:-lerax}}" 2>/dev/null); do
        answer=${{answer%%$'\\t'*}}
        COMPREPLY+=("${{answer#"$kept"}}")
    done
    [[ ${{COMPREPLY[*]: -1}} == *[=/] ]] && compopt -o nospace 2>/dev/null
    return 0
}}

complete -o default -F _lerax_completion lerax
"""
ZSH = f"""#compdef lerax

_lerax() {{
  local line name
  local -a whole open
  for line in ${{(f)"$(env {ASK}="${{words[1,$CURRENT]}}" lerax 2>/dev/null)"}}; do
    name=${{line%%$'\\t'*}}
    [[ $line == *$'\\t'* ]] && line=${{name//:/\\\\:}}:${{line#*$'\\t'}} || line=${{name//:/\\\\:}}
    if [[ $name == *[=/] ]]; then open+=($line); else whole+=($line); fi
  done
  (( $#whole + $#open )) || {{ _files; return }}
  (( $#whole )) && _describe word whole
  (( $#open )) && _describe word open -S ''
}}

# Found by compinit, the first call only defines it; sourced, it is to be announced.
if [[ $funcstack[1] == _lerax ]]; then _lerax "$@"; else compdef _lerax lerax; fi
"""


def files() -> dict[Path, str]:
    """The content of each file by its path."""
    fish = get_completion_script(prog_name="lerax", complete_var="_LERAX_COMPLETE", shell="fish")
    told = declared.text(declared.from_classes(), fitting.action_kinds_from_classes())
    return {
        HERE / "lerax.bash": BASH,
        HERE / "_lerax": ZSH,
        HERE / "lerax.fish": fish + "\n",
        HERE.parent / "lerax_cli" / declared.FILE: told,
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
