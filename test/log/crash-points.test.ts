/**
 * A crash and a power cut before every operation that a log's life makes on the disk, recovery included. After each, the
 * log that comes back must be what was promised (docs/faults.md D1-D3, D5-D7, P2; ST-1, ST-6, ST-12, ST-13).
 */
import { describe, expect, it } from 'vitest'
import type { Env } from '../../src/env/index.ts'
import type { PowerCutModes } from '../../src/env/sim/disk-image.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { ProducerState } from '../../src/log/producer-state.ts'
import { batchSizeAt, readBatchHeader } from '../../src/records/batch-header.ts'
import { verifyDirectory } from '../../src/log/verify.ts'
import { seedFromEnv } from '../support/seed.ts'
import { logConfig, makeBatch, readAll, TOPIC_ID, whenDurable } from './support.ts'

const SEED = seedFromEnv('crash points')
const HOME = '/data/log'
const CONFIG = logConfig({ segmentBytes: 400, tailCacheBytes: 300, fileDeleteDelayMs: 10 })

interface Appended {
  readonly baseOffset: number
  readonly endOffset: number
  readonly bytes: Uint8Array
}

/** What the log must be, as far as a client could know. */
class Model {
  batches: Appended[] = []
  /** The log before a truncation that has not resolved: it may come back. */
  before: Appended[] | null = null
  durableEndOffset = 0
  /** Log start offsets that may be found. */
  startMin = 0
  startMax = 0
  /** The log's creation resolved: its directory survives. */
  isCreated = false
  #sequences = new Map<number, number>()

  get logEndOffset(): number {
    return this.batches.at(-1)?.endOffset ?? 0
  }

  watch(log: PartitionLog): void {
    // While a truncation is under way, what is above its target may still become durable, and does not count.
    log.onDurable = (endOffset) => (this.durableEndOffset = Math.min(endOffset, this.logEndOffset))
  }

  append(log: PartitionLog, epoch: number, producerId: number, records = 2): void {
    const baseSequence = this.#sequences.get(producerId) ?? 0
    this.#sequences.set(producerId, baseSequence + records)
    const batch = makeBatch({
      producerId,
      baseSequence,
      records,
      tag: log.logEndOffset,
      timestampMs: log.logEndOffset,
    })
    const result = log.appendAsLeader(batch, readBatchHeader(batch), epoch)
    if (result.kind !== 'appended') throw new Error(`Append was ${JSON.stringify(result)}`)
    this.batches.push({ baseOffset: result.baseOffset, endOffset: result.lastOffset + 1, bytes: batch })
  }

  async truncate(log: PartitionLog, offset: number): Promise<void> {
    this.before = this.batches
    this.batches = this.batches.filter(({ endOffset }) => endOffset <= offset)
    this.durableEndOffset = Math.min(this.durableEndOffset, this.logEndOffset)
    await log.truncateTo(offset)
    this.before = null
    expect(log.logEndOffset).toBe(this.logEndOffset)
    this.#sequences = new Map(
      [...foldProducers(this.batches).entries()].map((entry) => [entry.producerId, entry.lastSequence + 1]),
    )
  }

  async deleteBefore(log: PartitionLog, offset: number): Promise<void> {
    this.startMax = offset
    await log.deleteRecordsBefore(offset)
    this.startMin = offset
  }

  async check(log: PartitionLog): Promise<void> {
    const bytes = await readAll(log)
    const kept = this.#matching(log, bytes)
    expect(log.logEndOffset).toBeGreaterThanOrEqual(this.durableEndOffset)
    expect(log.logStartOffset).toBeGreaterThanOrEqual(this.startMin)
    expect(log.logStartOffset).toBeLessThanOrEqual(this.startMax)
    expect(describeProducers(log.producers())).toEqual(describeProducers(foldProducers(kept)))
    expect(log.durableEndOffset).toBe(log.logEndOffset)
    this.batches = kept
    this.before = null
  }

  /** The version of the log whose prefix was found, cut to it. */
  #matching(log: PartitionLog, found: Uint8Array): Appended[] {
    const versions = this.before === null ? [this.batches] : [this.batches, this.before]
    for (const version of versions) {
      const kept = version.filter(({ endOffset }) => endOffset <= log.logEndOffset)
      const first = kept.findIndex(({ endOffset }) => endOffset > log.logStartOffset)
      const wanted = first < 0 ? [] : kept.slice(first).map((batch) => batch.bytes)
      if (Buffer.compare(Buffer.concat(wanted), found) === 0) return kept
    }
    throw new Error(`The log ${log.logStartOffset} to ${log.logEndOffset} is no prefix of what was appended`)
  }
}

function foldProducers(batches: readonly Appended[]): ProducerState {
  const state = new ProducerState(1_000)
  for (const { bytes, baseOffset } of batches) state.update(readBatchHeader(bytes), baseOffset, 0)
  return state
}

function describeProducers(state: ProducerState): unknown {
  return [...state.entries()]
    .sort((a, b) => a.producerId - b.producerId)
    .map((entry) => ({
      producerId: entry.producerId,
      epoch: entry.epoch,
      lastOffset: entry.lastOffset,
      batches: Array.from({ length: entry.count }, (_, index) => entry.batchAt(index)),
    }))
}

function openManager(env: Env): Promise<LogManager> {
  const options = { directory: HOME, nodeId: 1, memoryFiles: env.files, configFor: () => CONFIG }
  return LogManager.open(env, options)
}

/** A log's life: appends, rolls, checkpoints, a truncation over segments, deletions, a clean stop, a second life. */
async function live(env: Env, model: Model): Promise<void> {
  let manager = await openManager(env)
  let log = await manager.create('orders', 0, TOPIC_ID, CONFIG)
  model.isCreated = true
  model.watch(log)
  log.startEpoch(0, 0)
  for (let index = 0; index < 5; index++) model.append(log, 0, index % 2)
  await whenDurable(log, log.logEndOffset)
  await manager.checkpoint()
  for (let index = 0; index < 8; index++) model.append(log, 0, index % 3)
  await whenDurable(log, log.logEndOffset)
  model.append(log, 0, 0)
  await model.truncate(log, 9)
  log.startEpoch(3, log.logEndOffset)
  for (let index = 0; index < 6; index++) model.append(log, 3, index % 2)
  await manager.checkpoint()
  await model.deleteBefore(log, 11)
  for (let index = 0; index < 3; index++) model.append(log, 3, 1)
  await whenDurable(log, log.logEndOffset)
  // TX-5: all that this producer sent is deleted, and none of it was in a checkpoint.
  model.append(log, 3, 5)
  for (let index = 0; index < 3; index++) model.append(log, 3, 1)
  await whenDurable(log, log.logEndOffset)
  await model.deleteBefore(log, log.logEndOffset - 3)
  await manager.close()
  manager = await openManager(env)
  log = manager.get('orders', 0)!
  model.watch(log)
  model.append(log, 3, 0)
  model.append(log, 4, 1)
  await whenDurable(log, log.logEndOffset)
  await (await manager.create('short-lived', 0, TOPIC_ID, CONFIG)).close()
  await manager.remove('short-lived', 0)
  model.append(log, 4, 1)
}

/** Checkpoints where a segment ends, or nearly, and goes on into the next one. */
const liveAcrossARoll =
  (batches: number) =>
  async (env: Env, model: Model): Promise<void> => {
    const manager = await openManager(env)
    const log = await manager.create('orders', 0, TOPIC_ID, CONFIG)
    model.isCreated = true
    model.watch(log)
    log.startEpoch(0, 0)
    for (let index = 0; index < batches; index++) model.append(log, 0, 0)
    await whenDurable(log, log.logEndOffset)
    await manager.checkpoint()
    model.append(log, 0, 0)
    await whenDurable(log, log.logEndOffset)
  }

interface World {
  readonly simulation: Simulation
  readonly model: Model
}

function build(seed: number | string): World {
  const simulation = new Simulation({ seed })
  simulation.node('a').disk.prepareDirectory('/data')
  return { simulation, model: new Model() }
}

type Crash = (world: World) => void

const kill: Crash = ({ simulation }) => simulation.node('a').crash()
const cutPower =
  (modes: PowerCutModes = {}): Crash =>
  ({ simulation }) =>
    simulation.node('a').powerCut(modes)

/** Lives until the disk operation with this number, and dies in its place. @returns False if there is none. */
async function dieAt(world: World, operation: number, crash: Crash, life = live): Promise<boolean> {
  const node = world.simulation.node('a')
  const first = node.disk.operationCount
  node.disk.onOperation = (number) => {
    if (number - first === operation) crash(world)
  }
  let isDone = false
  void life(node.env, world.model).then(() => (isDone = true))
  await world.simulation.runUntil(() => isDone || !node.isUp)
  node.disk.onOperation = () => undefined
  return !isDone
}

/** Starts the node again and compares what it finds; then appends, and stops and starts once more. */
async function checkRecovery(world: World): Promise<void> {
  const { simulation, model } = world
  const node = simulation.node('a')
  const env = node.isUp ? node.env : node.restart()
  await simulation.runUntil(
    (async () => {
      let manager = await openManager(env)
      expect([...manager.quarantined.values()]).toEqual([])
      const log = manager.get('orders', 0)
      if (log === undefined) {
        expect(model.isCreated).toBe(false)
        await manager.close()
        return
      }
      await model.check(log)
      const names = await env.files.list(`${HOME}/orders-0`)
      expect(
        names.filter(
          (name) =>
            !/^(\d{20}\.(log|index|timeindex|snapshot)|leader-epoch-checkpoint|partition\.metadata)$/.test(
              name,
            ),
        ),
      ).toEqual([])
      model.watch(log)
      const epoch = log.latestEpoch + 1
      const batch = makeBatch({ producerId: 99, baseSequence: 0, records: 1 })
      expect(log.appendAsLeader(batch, readBatchHeader(batch), epoch)).toMatchObject({ kind: 'appended' })
      model.batches.push({ baseOffset: log.logEndOffset - 1, endOffset: log.logEndOffset, bytes: batch })
      await whenDurable(log, log.logEndOffset)
      await manager.close()
      manager = await openManager(env)
      expect(manager.wasClosedCleanly).toBe(true)
      await model.check(manager.get('orders', 0)!)
      await manager.close()
      // D5: caches as well, of closed segments that no start looks at.
      for await (const { faults } of verifyDirectory(env.files, HOME)) expect(faults).toEqual([])
    })(),
  )
}

/** Starts the node again and stops it, without a read that would put its indexes right. */
async function checkCaches({ simulation }: World): Promise<void> {
  const node = simulation.node('a')
  const env = node.isUp ? node.env : node.restart()
  await simulation.runUntil(
    (async () => {
      await (await openManager(env)).close()
      for await (const { faults } of verifyDirectory(env.files, HOME)) expect(faults).toEqual([])
    })(),
  )
}

async function enumerate(name: string, crash: Crash, life = live, check = checkRecovery): Promise<number> {
  for (let operation = 1; ; operation++) {
    const world = build(`${SEED} ${name} ${operation}`)
    if (!(await dieAt(world, operation, crash, life))) return operation - 1
    try {
      await check(world)
    } catch (error) {
      throw new Error(`SEED=${SEED}, ${name} before operation ${operation}`, { cause: error })
    }
  }
}

describe('A log whose process dies before any one disk operation', () => {
  it('D1 D2 D6 D7 P2 TX-5: is what was promised after kill -9', async () => {
    expect(await enumerate('kill', kill)).toBeGreaterThan(100)
  })

  it('D1 D2 D6 D7 P2 ST-6: is what was promised after a power cut that loses all that was not synced', async () => {
    expect(await enumerate('lost', cutPower({ data: 'lost', names: 'lost' }))).toBeGreaterThan(100)
  })

  it('D1 D2 D6 D7 P2 ST-1: is what was promised after a power cut that keeps, tears and reorders at will', async () => {
    expect(await enumerate('drawn', cutPower())).toBeGreaterThan(100)
  })

  it('D2 ST-6: is what was promised when names survive and bytes do not, and the other way round', async () => {
    await enumerate('names', cutPower({ data: 'zero-tail', names: 'kept' }))
    await enumerate('bytes', cutPower({ data: 'kept', names: 'subset' }))
  })

  it('D5: has whole indexes, also of a segment that ended at the recovery point when the power was cut', async () => {
    const cut = cutPower({ data: 'zero-tail', names: 'kept' })
    for (let batches = 1; batches <= 4; batches++)
      await enumerate(`roll ${batches}`, cut, liveAcrossARoll(batches), checkCaches)
  })

  it('ST-12: survives any number of power cuts during recovery, one before each of its operations', async () => {
    for (let operation = 5; ; operation += 7) {
      const world = build(`${SEED} recovery ${operation}`)
      if (!(await dieAt(world, operation, cutPower()))) break
      const node = world.simulation.node('a')
      for (let step = 1; ; step++) {
        const env = node.restart()
        const first = node.disk.operationCount
        node.disk.onOperation = (number) => {
          if (number - first === step) node.powerCut()
        }
        const opened: LogManager[] = []
        void openManager(env).then((manager) => opened.push(manager))
        await world.simulation.runUntil(() => opened.length > 0 || !node.isUp)
        node.disk.onOperation = () => undefined
        if (opened.length > 0) break
      }
      node.powerCut()
      await checkRecovery(world)
    }
  })

  it('S7: does the same with the same seed', async () => {
    const run = async () => {
      const world = build(`${SEED} twice`)
      await dieAt(world, 60, cutPower())
      await checkRecovery(world)
      return world.simulation.trace.hash
    }
    expect(await run()).toBe(await run())
  })
})

describe('The batches of a model', () => {
  it('are what their headers say', () => {
    const batch = makeBatch({ records: 2 })
    expect(batchSizeAt(batch, 0)).toBe(batch.length)
  })
})

describe('What recovery says is durable', () => {
  it('D1: survives a power cut that follows at once, even what only the page cache had before', async () => {
    for (let operation = 20; operation < 150; operation += 9) {
      const world = build(`${SEED} kill, then power ${operation}`)
      if (!(await dieAt(world, operation, kill))) break
      const node = world.simulation.node('a')
      const manager = await world.simulation.runUntil(openManager(node.restart()))
      const log = manager.get('orders', 0)
      if (log === undefined) continue
      const { durableEndOffset } = log
      node.powerCut({ data: 'lost', names: 'lost' })
      const again = await world.simulation.runUntil(openManager(node.restart()))
      expect([...again.quarantined.values()]).toEqual([])
      expect(again.get('orders', 0)!.logEndOffset).toBe(durableEndOffset)
    }
  })
})
