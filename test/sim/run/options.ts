/** The command line of `npm run sim`. */
import { availableParallelism } from 'node:os'
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import type { LifeTask } from './lives.ts'
import { parseNumbers } from './number-list.ts'

/** Many lives. */
export interface SwarmOrder {
  readonly kind: 'swarm'
  readonly from: number
  /** How many; null: as many as the minutes allow. */
  readonly seeds: number | null
  readonly jobs: number
  readonly groupChance: number | undefined
  readonly minutes: number | null
  /** So many of the first run twice. */
  readonly twice: number
  readonly isVerbose: boolean
}

/** One life, to be looked at. */
export interface ReplayOrder {
  readonly kind: 'replay'
  readonly task: LifeTask
  readonly isVerbose: boolean
  readonly tracePath: string | null
}

/** Nothing is to be done but to say this. */
export interface TellOrder {
  readonly kind: 'tell'
  readonly text: string
  readonly isError: boolean
}

export type Order = SwarmOrder | ReplayOrder | TellOrder

const SEEDS = 200
/** Seeds are drawn by people and by CI from dates; a life takes any whole number. */
const SEED_MAX = 2 ** 48
const JOBS_MAX = 256

interface Parsed {
  readonly seeds?: number
  readonly from?: number
  readonly jobs?: number
  readonly groups?: number
  readonly minutes?: number
  readonly twice?: number
  readonly seed?: number
  readonly without?: ReadonlySet<number>
  readonly producers?: number
  readonly consumers?: number
  readonly group: boolean
  readonly operator: boolean
  readonly stormMs?: number
  readonly verbose?: boolean
  readonly trace?: string
}

const OF_ONE = ['without', 'producers', 'consumers', 'stormMs', 'trace'] as const
const OF_MANY = ['seeds', 'from', 'jobs', 'minutes', 'twice'] as const

const EXAMPLES = `
Examples:
  npm run sim                                  ${SEEDS} lives of clusters, on all cores
  npm run sim -- --seeds 2000 --minutes 10     as many of 2,000 as ten minutes allow
  npm run sim -- --seed 42                     one of them, with what happens in it
  npm run sim -- --seed 42 --without 3,5-9     the same without some of its faults
  npm run sim -- --planted                     whether the checks find bugs that are put in

More: docs/simulation.md`

export function parseOrder(words: readonly string[], cores = availableParallelism()): Order {
  let told = ''
  const program = makeProgram((text) => (told += text))
  try {
    program.parse([...words], { from: 'user' })
    return toOrder(program.opts<Parsed>(), cores)
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0)
      return { kind: 'tell', text: told.trimEnd(), isError: false }
    if (!(error instanceof CommanderError) && !(error instanceof RangeError)) throw error
    const message = error.message.replace(/^error: /, '').replace(/\.$/, '')
    const sentence = `${message.charAt(0).toUpperCase()}${message.slice(1)}`
    return { kind: 'tell', text: `${sentence}\nSee npm run sim -- --help`, isError: true }
  }
}

function makeProgram(tell: (text: string) => void): Command {
  return new Command('npm run sim --')
    .description('Lives of simulated clusters under faults. See docs/simulation.md.')
    .optionsGroup('Many lives:')
    .option('--seeds <count>', `how many lives, one for each seed (default ${SEEDS})`, whole(1, SEED_MAX))
    .option('--from <seed>', 'the first seed (default 1)', whole(0, SEED_MAX))
    .option('--jobs <count>', 'processes at once (default one for each core)', whole(1, JOBS_MAX))
    .option('--minutes <count>', 'begin no life after so many minutes', minutes)
    .option('--twice <count>', 'so many of the first lives twice: both must be the same', whole(0, SEED_MAX))
    .optionsGroup('One life:')
    .option('--seed <seed>', 'this life, with what happens in it', whole(0, SEED_MAX))
    .option('--without <acts>', 'without these acts, such as 3,5,8-12', acts)
    .option('--producers <count>', 'only so many producers', whole(1, 100))
    .option('--consumers <count>', 'only so many consumers', whole(0, 100))
    .option('--no-group', 'no group')
    .option('--no-operator', 'nobody who makes and deletes topics')
    .option('--storm-ms <ms>', 'faults for so long only, in virtual ms', whole(0, 3_600_000))
    .option('--trace <file>', 'write every event to this file')
    .optionsGroup('Both:')
    .option('--groups <chance>', 'how many of all lives have a group, from 0 to 1 (default 0.2)', chance)
    .option('-v, --verbose', 'all that is logged; of many lives, how often')
    .option('--planted', 'whether the checks find bugs that are put in')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', EXAMPLES)
    .allowExcessArguments(false)
    .showSuggestionAfterError(true)
    .exitOverride()
    .configureOutput({ writeOut: tell, writeErr: tell, outputError: () => undefined })
}

function toOrder(parsed: Parsed, cores: number): Order {
  const { seed, groups: groupChance } = parsed
  const given = (names: readonly (keyof Parsed)[]): string | undefined =>
    names.find((name) => parsed[name] !== undefined)
  if (seed === undefined) {
    const stray = given(OF_ONE) ?? (!parsed.group ? 'no-group' : !parsed.operator ? 'no-operator' : undefined)
    if (stray !== undefined) throw new RangeError(`${flag(stray)} is for one life: name it by --seed`)
    const { seeds, minutes = null, from = 1, jobs = cores, twice = 0 } = parsed
    const order = { from, jobs, groupChance, minutes, twice, isVerbose: parsed.verbose ?? false }
    return { kind: 'swarm', seeds: seeds ?? (minutes === null ? SEEDS : null), ...order }
  }
  const stray = given(OF_MANY)
  if (stray !== undefined) throw new RangeError(`${flag(stray)} is for many lives: --seed names one`)
  const { without, producers, consumers, stormMs } = parsed
  const task: LifeTask = {
    seed,
    ...(groupChance === undefined ? {} : { groupChance }),
    ...(without === undefined ? {} : { without }),
    ...(producers === undefined ? {} : { producers }),
    ...(consumers === undefined ? {} : { consumers }),
    ...(stormMs === undefined ? {} : { stormMs }),
    ...(parsed.group ? {} : { hasGroup: false }),
    ...(parsed.operator ? {} : { hasOperator: false }),
  }
  return { kind: 'replay', task, isVerbose: parsed.verbose ?? false, tracePath: parsed.trace ?? null }
}

function flag(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`Wanted a whole number from ${min} to ${max}.`)
    return value
  }
}

function chance(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= 0 && value <= 1))
    throw new InvalidArgumentError('Wanted a number from 0 to 1.')
  return value
}

function minutes(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value > 0 && value < Infinity))
    throw new InvalidArgumentError('Wanted a number greater than 0.')
  return value
}

function acts(text: string): ReadonlySet<number> {
  try {
    return parseNumbers(text)
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}
