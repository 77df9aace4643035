/** What a run over the planted bugs prints. */
import type { Outcome } from './catch.ts'
import { isAsExpected } from './expectation.ts'
import type { PlantedBug } from './planted-bug.ts'
import { INVARIANTS, TOP_SCENARIOS, UNPLANTED } from './promises.ts'

/** Of a message, which may tell of many records. */
const MESSAGE_LENGTH_MAX = 160

export interface PlantedRun {
  readonly bugs: readonly PlantedBug[]
  readonly outcomes: readonly Outcome[]
  /** Seeds that lives from the first on need, by bug. */
  readonly known: ReadonlyMap<string, number>
  /** Lives that fail without a bug. */
  readonly broken: readonly string[]
  readonly errorCount: number
  readonly ms: number
}

export function describeBug({ id, file, what, breaks, scenarios, catcher }: PlantedBug): string {
  const lives = `random lives${catcher.hasGroup === true ? ' with a group' : ''}`
  const by = catcher.test === null ? lives : `${lives}, or “${catcher.test.name}” of ${catcher.test.file}`
  return `${id}\n    ${what}\n    ${file}; breaks ${[...breaks, ...scenarios].join(', ')}; caught by ${by}`
}

/** @param firstSeed - The first at which lives were ever seen to catch it. */
export function describeOutcome(
  { bug, message, seed, seedCount, ms }: Outcome,
  firstSeed: number | null,
): string {
  const seconds = `${(ms / 1000).toFixed(1)} s`
  const shift = firstSeed === null || firstSeed === seed ? '' : `, known was ${firstSeed}`
  const lives = `${seedCount} ${seedCount === 1 ? 'life' : 'lives'}`
  const how =
    seed !== null
      ? `in ${lives} (seed ${seed}${shift})`
      : seedCount === 0
        ? 'by test'
        : `by test after ${lives}`
  if (message === null) return `NOT CAUGHT  ${bug.id} ${how}, ${seconds}: ${bug.what}`
  const expected = isAsExpected(message, bug) ? 'as expected' : `not of ${bug.breaks.join()}`
  return `caught      ${bug.id} ${how}, ${seconds}, ${expected}: ${shortened(message)}`
}

export function describeRun({ bugs, outcomes, known, broken, errorCount, ms }: PlantedRun): string[] {
  const caught = outcomes.filter(({ message }) => message !== null)
  const byLives = caught.filter(({ seed }) => seed !== null)
  const expected = caught.filter(({ bug, message }) => isAsExpected(message!, bug))
  const seeds = byLives.map(({ bug, seed }) => known.get(bug.id) ?? seed!).sort((a, b) => a - b)
  const violated = new Set(caught.flatMap(({ bug }) => bug.breaks))
  const reached = new Set(caught.flatMap(({ bug }) => bug.scenarios))
  const lines = [
    '',
    `${caught.length} of ${bugs.length} planted bugs caught in ${Math.round(ms / 1000)} s: ${byLives.length} by random lives, ${caught.length - byLives.length} by tests of one scenario`,
    `${expected.length} of ${caught.length} by a message that names what was broken`,
    `Seeds that lives need from the first on: median ${seeds[Math.floor(seeds.length / 2)] ?? 0}, most ${seeds.at(-1) ?? 0}`,
    `Invariants that no caught bug breaks, so that their checks are untested: ${listed(INVARIANTS, violated)}`,
    `Scenarios of the first fifteen without a caught bug: ${listed(TOP_SCENARIOS, reached)}`,
    `Not planted, since they do not exist yet or are measured elsewhere: ${UNPLANTED.join(', ')}, TX-7 to TX-17`,
  ]
  if (errorCount > 0) lines.push(`${errorCount} could not be tried`)
  for (const { bug } of outcomes.filter(({ message }) => message === null))
    lines.push(`Not caught: ${bug.id}`)
  for (const each of broken) lines.push(`Fails without any bug: ${shortened(each)}`)
  return lines
}

function listed(all: readonly string[], found: ReadonlySet<string>): string {
  const missing = all.filter((each) => !found.has(each))
  return missing.length === 0 ? 'none' : missing.join(', ')
}

function shortened(message: string): string {
  const line = message.replace(/\s+/g, ' ')
  return line.length <= MESSAGE_LENGTH_MAX ? line : `${line.slice(0, MESSAGE_LENGTH_MAX)}…`
}
