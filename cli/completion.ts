/**
 * Shell completion: `completion` prints a script for a shell, `__complete` answers what that script asks while a line is
 * typed. The script knows nothing of commands, so it never goes stale.
 */
import { Argument, Command } from 'commander'
import type { Option } from 'commander'
import { BOOTSTRAP_VARIABLE } from './connect.ts'
import { completionScripts } from './completion-scripts.ts'
import type { Shell } from './completion-scripts.ts'
import type { Context } from './context.ts'

/** A line that is being typed must not hang: names that take longer, in ms, are left out. */
const NAMES_TIMEOUT_MS = 500

export function completionCommand(context: Context): Command {
  return new Command('completion')
    .description(
      'Print a completion script. Commands, flags and the names of topics and groups are completed.\n\n' +
        '  bash   eval "$(millrace completion bash)"      in ~/.bashrc\n' +
        '  zsh    eval "$(millrace completion zsh)"       in ~/.zshrc, after compinit\n' +
        '  fish   millrace completion fish | source       in ~/.config/fish/config.fish',
    )
    .addArgument(new Argument('<shell>', 'the shell').choices([...completionScripts.keys()]))
    .action((shell: Shell) => context.out.write(completionScripts.get(shell)!))
}

export function completeCommand(context: Context): Command {
  return new Command('__complete')
    .argument('[words...]', 'the words after millrace, the last one being typed')
    .option('--line <text>', 'the line as it was typed up to the cursor, instead of words')
    .helpOption(false)
    .action(async (words: string[], options: { line?: string }, command: Command) => {
      const typed = options.line === undefined ? words : options.line.trimStart().split(/\s+/).slice(1)
      const candidates = await complete(command.parent!, typed, (what, bootstrap) =>
        findNames(context, what, bootstrap),
      )
      for (const candidate of candidates) await context.out.line(candidate)
    })
}

/**
 * What can stand at the end of a line.
 *
 * @param words - After `millrace`; the last is being typed and may be empty.
 * @param names - Asks the broker at an address given by `-b`, or else the usual one.
 * @returns Nothing where the shell should offer files.
 */
export async function complete(
  program: Command,
  words: readonly string[],
  names: (what: Named, bootstrap: string | null) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const typed = words.at(-1) ?? ''
  const { command, operands, pending, bootstrap } = readWords(program, words.slice(0, -1))
  const startsRight = (candidate: string): boolean => candidate.startsWith(typed)
  if (pending !== null) {
    const what = namedBy(pending.attributeName())
    const choices = pending.argChoices ?? (what === null ? [] : await names(what, bootstrap))
    return choices.filter(startsRight)
  }
  if (typed.startsWith('-')) return flagsOf(command).filter(startsRight)
  if (command.commands.length > 0) {
    const visible = command.createHelp().visibleCommands(command)
    return visible.map((child) => child.name()).filter(startsRight)
  }
  const argument = argumentAt(command, operands.length)
  if (argument?.argChoices !== undefined) return argument.argChoices.filter(startsRight)
  const what = argument === null ? null : namedBy(argument.name())
  if (what === null) return []
  const known = await names(what, bootstrap)
  return known.filter((name) => startsRight(name) && !operands.includes(name))
}

/** What a broker knows by name. */
export type Named = 'topics' | 'groups'

/** What an argument, or the value of an option, of that name is. */
function namedBy(name: string): Named | null {
  if (/^topics?$/.test(name)) return 'topics'
  return /^groups?$/.test(name) ? 'groups' : null
}

interface ReadWords {
  readonly command: Command
  /** Words that are neither commands nor options nor their values. */
  readonly operands: readonly string[]
  /** The option whose value is being typed. */
  readonly pending: Option | null
  readonly bootstrap: string | null
}

function readWords(program: Command, words: readonly string[]): ReadWords {
  let command = program
  let pending: Option | null = null
  let bootstrap: string | null = null
  const operands: string[] = []
  for (const word of words) {
    if (pending !== null) {
      if (pending.long === '--bootstrap') bootstrap = word
      pending = null
    } else if (word.startsWith('-')) {
      const [name, value] = word.split('=', 2)
      const option = findOption(command, name!)
      if (option === null) continue
      if (option.long === '--bootstrap' && value !== undefined) bootstrap = value
      if (value === undefined && (option.required || option.optional)) pending = option
    } else {
      const child: Command | undefined = command.commands.find((each) => each.name() === word)
      if (child === undefined) operands.push(word)
      else command = child
    }
  }
  return { command, operands, pending, bootstrap }
}

function findOption(command: Command, flag: string): Option | null {
  return command.options.find(({ long, short }) => long === flag || short === flag) ?? null
}

function flagsOf(command: Command): readonly string[] {
  const visible = command.createHelp().visibleOptions(command)
  return visible.flatMap(({ long, short }) => long ?? short ?? [])
}

/** The argument that the operand at `index` is for; the last one when it takes many. */
function argumentAt(command: Command, index: number): Argument | null {
  const { registeredArguments } = command
  const last = registeredArguments.at(-1)
  return registeredArguments[index] ?? (last?.variadic === true ? last : null)
}

/** Names, or none when the broker does not tell in time: a completion never shows an error. */
async function findNames(
  context: Context,
  what: Named,
  bootstrap: string | null,
): Promise<readonly string[]> {
  const { Client } = await import('../src/index.ts')
  const client = new Client({
    bootstrap: bootstrap ?? context.environment[BOOTSTRAP_VARIABLE] ?? 'localhost:9092',
    bootstrapTimeoutMs: 0,
    connectTimeoutMs: NAMES_TIMEOUT_MS,
    requestTimeoutMs: NAMES_TIMEOUT_MS,
  })
  const timer = setTimeout(() => void client.close(), NAMES_TIMEOUT_MS)
  try {
    if (what === 'groups') return (await client.admin().listGroups()).map(({ groupId }) => groupId)
    const topics = await client.admin().listTopics()
    return topics.filter(({ isInternal }) => !isInternal).map(({ name }) => name)
  } catch {
    return []
  } finally {
    clearTimeout(timer)
    await client.close()
  }
}
