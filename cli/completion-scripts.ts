/**
 * What `millrace completion` prints. The scripts know nothing of commands and flags: they ask `millrace __complete` while
 * a line is typed, so they never go stale. Without an answer they offer files.
 */

export type Shell = 'bash' | 'zsh' | 'fish'

/** Readline splits words at `:` and `=`, which addresses hold; so bash hands over the line as it was typed. */
const BASH = [
  '# millrace completion for bash: eval "$(millrace completion bash)"',
  '_millrace() {',
  "  local IFS=$'\\n'",
  '  COMPREPLY=($(millrace __complete --line "${COMP_LINE:0:COMP_POINT}" 2>/dev/null))',
  '}',
  'complete -o default -F _millrace millrace',
]

const ZSH = [
  '#compdef millrace',
  '# millrace completion for zsh: eval "$(millrace completion zsh)"',
  '_millrace() {',
  '  local -a found',
  '  found=("${(@f)$(millrace __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")',
  '  if [[ -n "$found[1]" ]]; then compadd -a found; else _files; fi',
  '}',
  'compdef _millrace millrace',
]

const FISH = [
  '# millrace completion for fish: millrace completion fish | source',
  'function __millrace_complete',
  '    set -l words (commandline -opc) (commandline -ct)',
  '    set -l found (millrace __complete -- $words[2..-1] 2>/dev/null)',
  '    if test (count $found) -gt 0',
  "        printf '%s\\n' $found",
  '    else',
  '        __fish_complete_path (commandline -ct)',
  '    end',
  'end',
  "complete -c millrace -f -a '(__millrace_complete)'",
]

export const completionScripts: ReadonlyMap<Shell, string> = new Map(
  Object.entries({ bash: BASH, zsh: ZSH, fish: FISH }).map(([shell, lines]) => [
    shell as Shell,
    `${lines.join('\n')}\n`,
  ]),
)
