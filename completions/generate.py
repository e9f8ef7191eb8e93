"""Writes the completion scripts and their table of settings: `python completions/generate.py`."""

import json
from pathlib import Path

from typer.completion import get_completion_script

from lerax import registry
from lerax_cli.options import settings_tables
from lerax_cli.words import TABLE

HERE = Path(__file__).parent
# All three ask in the way of fish: a word a line, a tab and what it means behind it.
ASK = "_LERAX_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS"
# Bash ends a word at `=`: the line is handed over as it was typed, and what stands before the `=` stays.
BASH = f"""_lerax_completion() {{
    local IFS=$'\\n' line=${{COMP_LINE:0:COMP_POINT}} answer kept=
    local last=${{line##*[[:space:]]}}
    [[ $last == *=* && $COMP_WORDBREAKS == *=* ]] && kept=${{last%=*}}=
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
    table = {name: _rows(entry) for name, entry in registry.ALGORITHMS.items()}
    return {
        HERE / "lerax.bash": BASH,
        HERE / "_lerax": ZSH,
        HERE / "lerax.fish": fish + "\n",
        HERE.parent / "lerax_cli" / TABLE: json.dumps(table, indent=1) + "\n",
    }


def _rows(entry: registry.Entry) -> dict[str, dict]:
    """What completion shows of the settings of an algorithm and its policy."""
    rows = {}
    for name, s in settings_tables(entry).items():
        choices = ["true", "false"] if isinstance(s.default, bool) else list(s.limits.choices)
        rows[name] = {"help": s.help, "choices": choices}
    return rows


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
