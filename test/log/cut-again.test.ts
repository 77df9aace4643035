/**
 * A cut that finds no handle, or no room, at any of its steps is done again and leaves the same (docs/faults.md ST-8, ST-9, D2): what
 * was cut is not in the way of what is appended next, neither at once nor after a power cut.
 */
import { describe, expect, it } from 'vitest'
import type { Env, FileErrorCode, FileSystem } from '../../src/env/index.ts'
import { FileError } from '../../src/env/index.ts'
import { MemoryFileSystem } from '../../src/env/memory/memory-file-system.ts'
import { NO_SPACE_PAUSE_MS } from '../../src/log/log-surgery.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { append, logConfig, readAll, simulate, TOPIC_ID, whenDurable } from './support.ts'
import { verifyDirectory } from '../../src/log/verify.ts'

const HOME = '/data/log'
/** Four batches a segment. */
const CONFIG = logConfig({ segmentBytes: 500 })
/** More than any cut asks of the disk. */
const STEPS_MAX = 30

/** Once armed it fails the given calls that open something, each counted from 1 and from the failure before. */
class Scarce {
  count = 0
  failing: number[] = []
  readonly #code: FileErrorCode
  readonly files: FileSystem

  constructor(files: FileSystem, code: FileErrorCode) {
    this.#code = code
    this.files = {
      open: (path, mode) => this.#spend(path) ?? files.open(path, mode),
      syncDirectory: (path) => this.#spend(path) ?? files.syncDirectory(path),
      stat: (path) => files.stat(path),
      list: (path) => files.list(path),
      rename: (from, to) => files.rename(from, to),
      remove: (path) => files.remove(path),
      makeDirectory: (path) => files.makeDirectory(path),
      space: (path) => files.space(path),
      lock: (path) => files.lock(path),
    }
  }

  #spend(path: string): Promise<never> | undefined {
    if (++this.count !== this.failing[0]) return undefined
    this.count = 0
    this.failing.shift()
    return Promise.reject(new FileError(this.#code, `Opened ${path}: none is left`, path))
  }
}

const openHome = (env: Env): Promise<LogManager> =>
  LogManager.open(env, {
    directory: HOME,
    nodeId: 1,
    memoryFiles: new MemoryFileSystem({ clock: env.clock }),
    configFor: () => CONFIG,
  })

async function faultsIn(env: Env): Promise<unknown[]> {
  const faults: unknown[] = []
  for await (const verified of verifyDirectory(env.files, HOME)) faults.push(...verified.faults)
  return faults
}

interface Cut {
  readonly what: string
  /** Where the log ends then. */
  readonly to: number
  readonly cut: (log: PartitionLog) => Promise<void>
}

const CUTS: readonly Cut[] = [
  { what: 'between two segments', to: 4, cut: (log) => log.truncateTo(4) },
  { what: 'within a segment', to: 5, cut: (log) => log.truncateTo(5) },
  { what: 'of everything, to begin above its end', to: 100, cut: (log) => log.truncateFullyAndStartAt(100) },
  { what: 'of everything, to begin within it', to: 4, cut: (log) => log.truncateFullyAndStartAt(4) },
]

/** @returns Which of the wanted failures did not come: the cut has fewer steps. */
async function cutAndAppend(
  { to, cut, ...named }: Cut,
  code: FileErrorCode,
  failing: readonly number[],
): Promise<number[]> {
  const what = `cut ${named.what}, ${code} at steps ${failing.join(', ')}`
  const { simulation, env } = simulate(what)
  const node = simulation.node('a')
  const scarce = new Scarce(env.files, code)
  const manager = await simulation.runUntil(openHome({ ...env, files: scarce.files }))
  const log = await simulation.runUntil(manager.create('t', 0, TOPIC_ID, CONFIG))
  for (let index = 0; index < 12; index++) append(log, { valueBytes: 40 })
  await simulation.runUntil(whenDurable(log, 12))
  await simulation.runUntil(manager.checkpoint())

  scarce.count = 0
  scarce.failing = [...failing]
  await simulation.runUntil(cut(log))
  const left = scarce.failing
  scarce.failing = []
  expect(log.logEndOffset, what).toBe(to)

  // One, so that nothing else has to be made in the directory, and syncs it.
  append(log, { valueBytes: 30 }, 9)
  await simulation.runUntil(whenDurable(log, to + 1))
  const bytes = await simulation.runUntil(readAll(log))
  node.powerCut({ data: 'lost', names: 'lost' })

  const later = node.restart()
  const again = await simulation.runUntil(openHome(later))
  expect([...again.quarantined.keys()], what).toEqual([])
  expect(await simulation.runUntil(readAll(again.get('t', 0)!)), what).toEqual(bytes)
  await simulation.runUntil(again.close())
  expect(await simulation.runUntil(faultsIn(later)), what).toEqual([])
  return left
}

describe.each(CUTS)('A cut $what', (cut) => {
  it.each(['FILE_TOO_MANY_OPEN', 'FILE_NO_SPACE'] as const)(
    'ST-8 ST-9 D2: that meets %s at any two steps is done again, and leaves nothing of what it cut',
    async (code) => {
      let first = 1
      for (; (await cutAndAppend(cut, code, [first])).length === 0; first++) {
        let second = 1
        while ((await cutAndAppend(cut, code, [first, second])).length === 0) second++
        expect(second).toBeLessThan(STEPS_MAX)
      }
      expect(first).toBeGreaterThan(5)
      expect(first).toBeLessThan(STEPS_MAX)
    },
  )
})

it.each(CUTS)('ST-8 D2: a stop is no clean one while a cut $what waits', async ({ what, cut }) => {
  let step = 1
  for (; ; step++) {
    const { simulation, env } = simulate(`stopped while a cut ${what} waits at step ${step}`)
    const node = simulation.node('a')
    const scarce = new Scarce(env.files, 'FILE_NO_SPACE')
    const manager = await simulation.runUntil(openHome({ ...env, files: scarce.files }))
    const log = await simulation.runUntil(manager.create('t', 0, TOPIC_ID, CONFIG))
    for (let index = 0; index < 12; index++) append(log, { valueBytes: 40 })
    await simulation.runUntil(whenDurable(log, 12))
    await simulation.runUntil(manager.checkpoint())

    scarce.count = 0
    scarce.failing = [step]
    let isDone = false
    const cutting = cut(log).then(
      () => (isDone = true),
      () => false,
    )
    await simulation.run(simulation.nowMs + NO_SPACE_PAUSE_MS / 2)
    if (scarce.failing.length > 0) break
    expect(isDone, `step ${step}`).toBe(false)
    await expect(simulation.runUntil(manager.close(1)), `step ${step}`).rejects.toMatchObject({
      code: 'LOG_NOT_CLOSED_CLEANLY',
    })
    await simulation.runUntil(cutting)

    node.powerCut({ data: 'lost', names: 'lost' })
    const again = await simulation.runUntil(openHome(node.restart()))
    expect(again.cleanBrokerEpoch, `step ${step}`).toBe(-1)
    await simulation.runUntil(again.close())
  }
  expect(step).toBeGreaterThan(5)
})
