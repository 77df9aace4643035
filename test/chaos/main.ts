/**
 * `npm run chaos`: faults of every kind on a cluster of real processes, drawn from a seed, under load of our clients and others';
 * then the verdict. Exit code 0 only if all is well. Ctrl-C ends it in order: no process, mount or file is left.
 *
 *   npm run chaos                                            one run, about three minutes
 *   npm run chaos -- --seed 7 --brokers 5                    the faults of this seed, on five brokers
 *   npm run chaos -- --minutes 10 --kills 60 --pauses 20     for so long, over and over, with so many faults of each kind in a pass
 */
import { randomInt } from 'node:crypto'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { Counts } from './plan.ts'
import { runChaos } from './run.ts'
import { formatOutcome } from './tally.ts'

/** Between two lines where they cannot be written over each other, in ms. */
const LINE_MS = 5000
/** Of a shell's convention: 128 and the number of SIGINT. */
const INTERRUPTED_EXIT_CODE = 130
const LINE_LENGTH_MAX = 160
const SEED_END = 2 ** 32

interface Flags extends Counts {
  readonly seed: number
  readonly brokers: string
  readonly minutes: number
  readonly pace: number
}

const program = new Command('chaos')
  .description('Harms a cluster of real processes under load, and checks what became of every record.')
  .option('--seed <number>', 'what is drawn (default: any; it is printed)', parseCount)
  .addOption(new Option('--brokers <count>', 'processes of the cluster').choices(['3', '5']).default('3'))
  .option('--minutes <count>', 'goes on with further draws until so many minutes have passed', parseCount, 0)
  .option('--kills <count>', 'kill -9', parseCount, 30)
  .option('--pauses <count>', 'SIGSTOP past the session', parseCount, 10)
  .option('--restarts <count>', 'clean ones', parseCount, 4)
  .option('--partitions <count>', 'half of them one-way', parseCount, 10)
  .option('--network-faults <count>', 'resets, delays, slivers, half-open connections', parseCount, 8)
  .option('--disk-faults <count>', 'failing, full and slow disks', parseCount, 20)
  .option('--corruptions <count>', 'damaged files of a stopped broker', parseCount, 6)
  .option('--power-cuts <count>', 'of one machine, or of all', parseCount, 6)
  .option('--pace <ms>', 'between two calls of a writer: larger for long runs', parseCount, 10)

program.parse()
const flags = program.opts<Flags>()
const seed = program.getOptionValueSource('seed') === undefined ? randomInt(SEED_END) : flags.seed
const { kills, pauses, restarts, partitions, networkFaults, diskFaults, corruptions, powerCuts } = flags
const counts: Counts = {
  kills,
  pauses,
  restarts,
  partitions,
  networkFaults,
  diskFaults,
  corruptions,
  powerCuts,
}

const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopping.abort())

console.log(`chaos: SEED=${seed}`)
let lastMs = -Infinity
const outcome = await runChaos({
  ...{ seed, counts, brokers: Number(flags.brokers), pauseMs: flags.pace, signal: stopping.signal },
  atLeastMs: flags.minutes * 60_000,
  again: commandFor(seed, flags),
  onProgress: (line) => {
    if (process.stdout.isTTY)
      process.stdout.write(`\r\x1b[K${line.slice(0, Math.min(process.stdout.columns, LINE_LENGTH_MAX))}`)
    else if (performance.now() - lastMs >= LINE_MS) {
      lastMs = performance.now()
      console.log(line)
    }
  },
})
if (process.stdout.isTTY) process.stdout.write('\r\x1b[K')
if (stopping.signal.aborted) {
  console.log('chaos: stopped, nothing is left')
  process.exit(INTERRUPTED_EXIT_CODE)
}
console.log(formatOutcome(outcome))
process.exit(outcome.verdict.faults.length === 0 ? 0 : 1)

function commandFor(seed: number, flags: Flags): string {
  const others = Object.entries(flags).filter(([name]) => name !== 'seed')
  const given = [['seed', seed] as const, ...others].map(([name, value]) => {
    const option = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    return `--${option} ${value}`
  })
  return `npm run chaos -- ${given.join(' ')}`
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isSafeInteger(count) || count < 0)
    throw new InvalidArgumentError('Wanted a whole number from 0 on.')
  return count
}
