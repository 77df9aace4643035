/**
 * `npm run sim -- --planted`: plants each bug of the list into the product and shows that a check finds it.
 *
 *   --list            the bugs, and who is to catch each
 *   --only <ids>      these alone, by commas
 *   --jobs <count>    processes at once; default one for each core
 *   --search <count>  tries seeds 1 to count for each bug that random lives are to catch, and writes down where they did
 *
 * The run fails if a bug is not caught, and if a life without any bug fails at a seed at which a bug was caught: then the check may
 * have found something else.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { PLANTED_BUGS } from './bugs/index.ts'
import { catchBug, runLives } from './catch.ts'
import type { Outcome } from './catch.ts'
import type { PlantedBug } from './planted-bug.ts'
import { describeBug, describeOutcome, describeRun } from './report.ts'
import { readSeeds, writeSeeds } from './seeds.ts'

/** Seeds that a run tries from the known one on, before it turns to the test that catches the bug as well, or gives up. */
const TRIES = { beforeTest: 6, alone: 30 }

type Say = (line: string) => void

/** @returns The exit code. */
export async function runPlanted(words: readonly string[], say: Say = console.log): Promise<number> {
  const options = parse(words)
  if (typeof options === 'string') {
    say(options)
    return 2
  }
  const { bugs, isList, jobs, searchCount } = options
  if (isList) {
    for (const bug of bugs) say(describeBug(bug))
    return 0
  }
  const startMs = performance.now()
  const directory = mkdtempSync(`${tmpdir()}/planted-`)
  try {
    const known = readSeeds()
    const outcomes: Outcome[] = []
    const failures: string[] = []
    await inParallel(bugs, jobs, async (bug) => {
      try {
        const outcome = await catchBug(bug, seedsFor(bug, known, searchCount), directory)
        outcomes.push(outcome)
        say(describeOutcome(outcome, known.get(bug.id) ?? null))
      } catch (error) {
        failures.push(bug.id)
        say(`error       ${bug.id}: ${(error as Error).message}`)
      }
    })
    if (searchCount !== null) {
      writeSeeds(learned(known, outcomes))
    }
    const broken = await findBroken(outcomes, jobs)
    for (const line of describeRun({
      bugs,
      outcomes,
      known: searchCount === null ? known : learned(known, outcomes),
      broken,
      errorCount: failures.length,
      ms: performance.now() - startMs,
    }))
      say(line)
    const isWell = outcomes.every(({ message }) => message !== null) && failures.length + broken.length === 0
    return isWell ? 0 : 1
  } finally {
    rmSync(directory, { recursive: true })
  }
}

interface Options {
  readonly bugs: readonly PlantedBug[]
  readonly isList: boolean
  readonly jobs: number
  readonly searchCount: number | null
}

/** @returns The options, or what is wrong with the words. */
function parse(words: readonly string[]): Options | string {
  let options: Options = {
    bugs: PLANTED_BUGS,
    isList: false,
    jobs: availableParallelism(),
    searchCount: null,
  }
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!
    if (word === '--list') {
      options = { ...options, isList: true }
      continue
    }
    const value = words[++index] ?? ''
    if (word === '--only') {
      const ids = value.split(',')
      const unknown = ids.find((id) => !PLANTED_BUGS.some((bug) => bug.id === id))
      if (unknown !== undefined) return `No planted bug is named ${unknown}: see --planted --list`
      options = { ...options, bugs: PLANTED_BUGS.filter(({ id }) => ids.includes(id)) }
      continue
    }
    const count = Number(value)
    const isCount = Number.isInteger(count) && count > 0
    if (word === '--jobs' && isCount) options = { ...options, jobs: count }
    else if (word === '--search' && isCount) options = { ...options, searchCount: count }
    else return `Unknown option ${word} ${value}: --planted takes --list, --only, --jobs and --search`
  }
  return options
}

function seedsFor(
  { id, catcher }: PlantedBug,
  known: ReadonlyMap<string, number>,
  searchCount: number | null,
): number[] {
  const from = searchCount === null ? known.get(id) : 1
  if (from === undefined && catcher.test !== null) return []
  const count = searchCount ?? (catcher.test === null ? TRIES.alone : TRIES.beforeTest)
  return Array.from({ length: count }, (_, index) => (from ?? 1) + index)
}

/** What a search has found; what it has not found any more is forgotten. */
function learned(known: ReadonlyMap<string, number>, outcomes: readonly Outcome[]): Map<string, number> {
  const seeds = new Map([...known].filter(([id]) => PLANTED_BUGS.some((bug) => bug.id === id)))
  for (const { bug, seed } of outcomes)
    if (seed === null) seeds.delete(bug.id)
    else seeds.set(bug.id, seed)
  return seeds
}

/** Seeds at which a bug was caught, and a life without any fails, too. */
async function findBroken(outcomes: readonly Outcome[], jobs: number): Promise<string[]> {
  const lives = new Map<string, { seed: number; hasGroup: boolean }>()
  for (const { bug, seed } of outcomes) {
    if (seed === null) continue
    const hasGroup = bug.catcher.hasGroup ?? false
    lives.set(`${seed} ${hasGroup}`, { seed, hasGroup })
  }
  const broken: string[] = []
  const orders = [false, true].flatMap((hasGroup) => {
    const seeds = [...lives.values()].filter((life) => life.hasGroup === hasGroup).map(({ seed }) => seed)
    const shares = Array.from({ length: jobs }, (_, share) =>
      seeds.filter((_seed, index) => index % jobs === share),
    )
    return shares.filter(({ length }) => length > 0).map((each) => ({ seeds: each, hasGroup, planted: null }))
  })
  await inParallel(orders, jobs, async (order) => {
    try {
      for (const { seed, failure } of await runLives(order))
        if (failure !== null) broken.push(`seed ${seed}${order.hasGroup ? ' with a group' : ''}: ${failure}`)
    } catch (error) {
      broken.push((error as Error).message)
    }
  })
  return broken
}

async function inParallel<T>(
  items: readonly T[],
  jobs: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = [...items]
  const worker = async (): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: jobs }, worker))
}
