"""Scripts that have shells complete the words of our command line.

Each is made of what the parsers know: nothing has to be run while somebody types. A command is
recognised wherever it stands, since bash takes URLs apart at their colons.

Sources: the manuals of bash ("Programmable Completion"), of zsh ("Completion System"), of fish
("complete") and of PowerShell ("Register-ArgumentCompleter").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.completion_words import Option, Place, places
from esploader.commands.options import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_BASH: Final = """\
# bash completion for {program}. Made by: {program} completion bash
_{program}() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
    local found= i words= values=
    COMPREPLY=()
    if [[ $current == = ]]; then
        current=
    elif [[ $previous == = ]]; then
        previous=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        # The scheme of a URL may be called like a command.
        if [[ ${{COMP_WORDS[i+1]}} == : ]]; then continue; fi
        case "$found ${{COMP_WORDS[i]//_/-}}" in
{paths}
        esac
    done
    case "$found" in
{places}
    esac
    case "$values" in
        (-) return ;;
        (?*) words=$values ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _{program} {program}
"""

_ZSH: Final = """\
#compdef {program}
# zsh completion for {program}. Made by: {program} completion zsh
_{program}() {{
    local previous=${{words[CURRENT-1]}} found= word
    local -a names options values
    for word in ${{words[2,CURRENT-1]}}; do
        case "$found ${{word//_/-}}" in
{paths}
        esac
    done
    case "$found" in
{places}
    esac
    if [[ $values[1] == - ]]; then
        _files
    elif (( $#values )); then
        compadd -a values
    elif [[ ${{words[CURRENT]}} == -* ]]; then
        _describe option options
    elif (( $#names )); then
        _describe word names
    else
        _files
    fi
}}
# In a folder of fpath this file is the body of the function that it defines.
if [[ ${{funcstack[1]}} == _{program} ]]; then
    _{program} "$@"
else
    compdef _{program} {program}
fi
"""

_FISH: Final = """\
# fish completion for {program}. Made by: {program} completion fish
function __{program}_found
    set -l found ''
    for word in (commandline -opc)[2..-1]
        switch "$found "(string replace -a _ - -- $word)
{paths}
        end
    end
    test "$found" = "$argv"
end
complete -c {program} -f -n '__{program}_found'
{places}
"""

_POWERSHELL: Final = """\
# PowerShell completion for {program}. Made by: {program} completion powershell
Register-ArgumentCompleter -Native -CommandName {program} -ScriptBlock {{
    param($current, $line, $position)
    $names = @{{
{names}
    }}
    $values = @{{
{values}
    }}
    $found = ''
    $previous = ''
    foreach ($element in $line.CommandElements) {{
        if ($element.Extent.EndOffset -ge $position) {{ break }}
        $previous = "$element"
        $longer = "$found $($previous.Replace('_', '-'))".Trim()
        if ($names.ContainsKey($longer)) {{ $found = $longer }}
    }}
    $words = $names[$found]
    if ($values.ContainsKey("$found $previous".Trim())) {{
        $words = $values["$found $previous".Trim()]
    }}
    $words | Where-Object {{ $_ -like "$current*" }} | ForEach-Object {{
        [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
    }}
}}
"""


def script(shell: str) -> str:
    """Return what ``shell``, one of ``bash``, ``zsh``, ``fish`` and ``powershell``, has to read."""
    writers: Mapping[str, Callable[[list[Place]], str]] = {
        "bash": _bash,
        "zsh": _zsh,
        "fish": _fish,
        "powershell": _powershell,
    }
    return writers[shell](places())


def _lines(lines: Iterable[str], depth: int) -> str:
    return "\n".join(f"{'    ' * depth}{line}" for line in lines)


def _quoted(text: str) -> str:
    """Return ``text`` in quotation marks of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _paths(all_places: list[Place]) -> list[str]:
    """Return the branches of a POSIX shell that tell what has been found of a path."""
    return [
        f'("{" ".join(place.path[:-1])} {place.path[-1]}") found="{" ".join(place.path)}" ;;'
        for place in all_places
        if place.path
    ]


def _bash(all_places: list[Place]) -> str:
    branches = []
    for place in all_places:
        words = [name for option in place.options for name in option.names]
        words += [name for name, _ in place.words]
        branches.append(f'("{" ".join(place.path)}")')
        branches.append(f'    words="{" ".join(words)}"')
        branches += _values(place, lambda values: f'values="{" ".join(values)}"')
    return _BASH.format(
        program=PROGRAM, paths=_lines(_paths(all_places), 3), places=_lines(branches, 2)
    )


def _values(place: Place, assignment: Callable[[tuple[str, ...]], str]) -> list[str]:
    """Return what a POSIX shell does behind options that take a value: ``-`` stands for any."""
    lines = [
        f"        ({'|'.join(option.names)}) {assignment(option.values or ('-',))} ;;"
        for option in place.options
        if option.takes_value
    ]
    return ['    case "$previous" in', *lines, "    esac ;;"] if lines else ["    ;;"]


def _zsh(all_places: list[Place]) -> str:
    branches = []
    for place in all_places:
        options = [(name, option.help) for option in place.options for name in option.names]
        branches.append(f'("{" ".join(place.path)}")')
        for variable, words in (("options", options), ("names", place.words)):
            branches.append(f"    {variable}=(")
            branches += [f"        {_quoted(f'{name}:{text}')}" for name, text in words]
            branches.append("    )")
        branches += _values(place, lambda values: f"values=({' '.join(values)})")
    return _ZSH.format(
        program=PROGRAM, paths=_lines(_paths(all_places), 3), places=_lines(branches, 2)
    )


def _fish(all_places: list[Place]) -> str:
    paths, lines = [], []
    for place in all_places:
        path = " ".join(place.path)
        if place.path:
            paths.append(f"case '{' '.join(place.path[:-1])} {place.path[-1]}'")
            paths.append(f"    set found '{path}'")
        start = f"complete -c {PROGRAM} -n '__{PROGRAM}_found {path}'"
        lines += [f"{start} -f -a {name} -d {_fish_quoted(text)}" for name, text in place.words]
        lines += [f"{start} {_fish_option(option)}" for option in place.options]
    return _FISH.format(program=PROGRAM, paths=_lines(paths, 3), places="\n".join(lines))


def _fish_option(option: Option) -> str:
    words = []
    for name in option.names:
        bare = name.lstrip("-")
        kind = "l" if name.startswith("--") else "s" if len(bare) == 1 else "o"
        words.append(f"-{kind} {bare}")
    if option.values:
        words.append(f"-x -a '{' '.join(option.values)}'")
    elif option.takes_value:
        words.append("-r -F")
    return f"{' '.join(words)} -d {_fish_quoted(option.help)}"


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _powershell(all_places: list[Place]) -> str:
    names, values = [], []
    for place in all_places:
        path = " ".join(place.path)
        words = [name for name, _ in place.words]
        words += [name for option in place.options for name in option.names]
        names.append(f"{_powershell_quoted(path)} = {_powershell_list(words)}")
        values += [
            f"{_powershell_quoted(f'{path} {name}'.strip())} = {_powershell_list(option.values)}"
            for option in place.options
            if option.values
            for name in option.names
        ]
    return _POWERSHELL.format(program=PROGRAM, names=_lines(names, 2), values=_lines(values, 2))


def _powershell_list(words: Iterable[str]) -> str:
    return f"@({', '.join(map(_powershell_quoted, words))})"


def _powershell_quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
