/**
 * The command tree: what is on the command line is loaded, the rest is only named. Usage errors of commander become
 * exit code 2, in the form that all errors have.
 */
import { Command, CommanderError } from 'commander'
import { COMMANDS, COMPLETE_COMMAND } from './commands.ts'
import type { Context } from './context.ts'
import { CommandError, describeError, printError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import type { ExitCode } from './exit-codes.ts'
import { packageVersion } from './version.ts'

/** Codes of commander for what is no failure. */
const HARMLESS_CODES: ReadonlySet<string> = new Set(['commander.helpDisplayed', 'commander.version'])

const EXAMPLES = `
Examples:
  millrace start                                   a broker on localhost:9092
  millrace topic create events --partitions 3
  echo hello | millrace produce events
  millrace tail events

More: docs/cli.md`

/**
 * Builds the tree.
 *
 * @param words - The command line. Commands named in it are loaded; all of them when a line is being completed.
 */
export async function createProgram(context: Context, words: readonly string[]): Promise<Command> {
  const program = new Command('millrace')
  program
    .description('A replicated append-only log broker that speaks the Kafka protocol on TCP and WebSocket')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .addHelpText('after', EXAMPLES)
  const needsAll = words[0] === COMPLETE_COMMAND
  for (const { name, summary, isHidden, load } of COMMANDS) {
    const isNamed = needsAll || words.includes(name)
    const command = isNamed ? await load(context) : new Command(name)
    program.addCommand(command.summary(summary), { hidden: isHidden ?? false })
  }
  prepare(program, context)
  return program
}

/** Runs a command line. @returns What the process answers. */
export async function run(context: Context, words: readonly string[]): Promise<ExitCode> {
  try {
    const program = await createProgram(context, words)
    if (words.length === 0) program.outputHelp()
    else await program.parseAsync(words, { from: 'user' })
    return context.exitCode
  } catch (error) {
    if (error instanceof UsageError) {
      await printUsageError(context, error)
      return EXIT.usage
    }
    if (error instanceof CommanderError) return EXIT.ok
    const described = describeError(error)
    context.err.overwrite('')
    await printError(context.err, described)
    return described.exitCode
  }
}

/** What commander complains about, and of which command. */
class UsageError extends Error {
  readonly command: string
  readonly hasShownHelp: boolean

  constructor(message: string, command: string, hasShownHelp: boolean) {
    super(message)
    this.command = command
    this.hasShownHelp = hasShownHelp
  }
}

async function printUsageError(
  context: Context,
  { message, command, hasShownHelp }: UsageError,
): Promise<void> {
  if (hasShownHelp) return
  const [first = '', ...rest] = message
    .replace(/^error: /, '')
    .replace(/ is invalid\. Wanted (.*)\.$/, ' is invalid: wanted $1')
    .split('\n')
  const suggestion = rest.length === 0 ? '' : ` ${rest.join(' ')}`
  const sentence = `${first.charAt(0).toUpperCase()}${first.slice(1)}${suggestion}`
  const advice = `See \`${command} --help\``
  await printError(context.err, describeError(new CommandError(EXIT.usage, sentence, advice)))
}

/** Gives a command and all below it our way to fail and to show help. */
function prepare(command: Command, context: Context, parents = ''): void {
  const path = `${parents}${command.name()}`
  command
    .exitOverride((error) => {
      if (HARMLESS_CODES.has(error.code)) throw error
      if (error.code === 'commander.help' && error.exitCode === 0) throw error
      throw new UsageError(error.message, path, error.code === 'commander.help')
    })
    .configureOutput({
      writeOut: (text) => void context.out.write(text),
      writeErr: (text) => void context.err.write(text),
      outputError: () => undefined, // printed by `run`
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .configureHelp({ showGlobalOptions: false, sortSubcommands: false })
    .showSuggestionAfterError(true)
  for (const child of command.commands) prepare(child, context, `${path} `)
}
