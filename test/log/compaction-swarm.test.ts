/**
 * Compaction under faults: lives drawn from a seed against a model, and a stop before every disk operation of a pass and of
 * the recovery behind it (docs/faults.md ST-12, ST-17, D2, D5, D7, P2, R5, R9, R10).
 */
import { describe, expect, it } from 'vitest'
import type { Env } from '../../src/env/index.ts'
import type { PowerCutModes } from '../../src/env/sim/disk-image.ts'
import type { Prng } from '../../src/env/sim/prng.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import type { LogConfig } from '../../src/log/log-config.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { seedFromEnv } from '../support/seed.ts'
import { CompactionModel, drawRecords, loadCodecs, strayNames } from './compaction-model.ts'
import { logConfig, TOPIC_ID, whenDurable } from './support.ts'

const SEED = seedFromEnv('compaction')
const LIVES = Number(process.env['COMPACTION_LIVES'] ?? 60)
const STEPS = 60
const HOME = '/data/log'
const { set: CODECS, all: ALL_CODECS } = await loadCodecs()

const CONFIG: Partial<LogConfig> = {
  segmentBytes: 600,
  tailCacheBytes: 0,
  isCompacted: true,
  deletesOldSegments: false,
  minCleanableDirtyRatio: 0,
  deleteRetentionMs: 500,
}

/** A node with one compacted log, its model, and the way back after a stop. */
class Life {
  readonly simulation: Simulation
  readonly model = new CompactionModel()
  readonly config: LogConfig
  readonly #mapBytes: number
  manager!: LogManager
  log!: PartitionLog
  highWatermark = 0

  constructor(seed: string, overrides: Partial<LogConfig> = {}, mapBytes = 1 << 20) {
    this.simulation = new Simulation({ seed })
    this.simulation.node('a').disk.prepareDirectory('/data')
    this.config = logConfig({ ...CONFIG, ...overrides })
    this.#mapBytes = mapBytes
  }

  get node() {
    return this.simulation.node('a')
  }

  get env(): Env {
    return this.node.env
  }

  async open(): Promise<void> {
    this.manager = await LogManager.open(this.env, {
      ...{ directory: HOME, nodeId: 1, memoryFiles: this.env.files, configFor: () => this.config },
      cleanerMapBytes: this.#mapBytes,
      highWatermarkOf: (log) => Math.min(this.highWatermark, log.durableEndOffset),
    })
    expect([...this.manager.quarantined.values()]).toEqual([])
    this.log = await this.manager.create('orders', 0, TOPIC_ID, this.config)
    expect(await strayNames(this.manager, (path) => this.env.files.list(path))).toEqual([])
    expect(this.log.logEndOffset).toBeGreaterThanOrEqual(this.model.durableEndOffset)
    this.model.cutTo(this.log.logEndOffset)
    this.model.watch(this.log)
    await this.check()
  }

  async check(): Promise<void> {
    this.model.judgedEndOffset = Math.max(this.model.judgedEndOffset, this.highWatermark)
    await this.model.check(this.log, CODECS)
  }

  async settle(): Promise<void> {
    await whenDurable(this.log, this.log.logEndOffset)
    await this.sleep(20)
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.env.clock.after(ms, resolve))
  }

  append(random: Prng, keyCount: number): void {
    const producer = random.below(3) === 0 ? { producerId: random.below(3) } : {}
    const codec = ALL_CODECS[random.below(4)]! // zstd takes its time, and is no different here
    this.model.append(this.log, drawRecords(random, keyCount), { codec, ...producer })
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    return this.simulation.runUntil(work())
  }
}

function drawCut(random: Prng): PowerCutModes {
  return [
    {},
    { data: 'lost', names: 'lost' },
    { data: 'kept', names: 'subset' },
    { data: 'zero-tail', names: 'kept' },
  ][random.below(4)] as PowerCutModes
}

async function live(seed: string): Promise<{ passes: number; crashes: number }> {
  const draw = new Simulation({ seed }).stream('life')
  const life = new Life(
    seed,
    { segmentBytes: [300, 600, 1500][draw.below(3)]!, deleteRetentionMs: [0, 200, 2_000][draw.below(3)]! },
    draw.below(3) === 0 ? 4096 : 1 << 20,
  )
  const keyCount = [3, 12, 300][draw.below(3)]!
  let passes = 0
  let crashes = 0
  await life.run(() => life.open())
  for (let step = 0; step < STEPS; step++) {
    const deed = draw.below(12)
    if (deed < 5) for (let count = draw.below(12); count >= 0; count--) life.append(draw, keyCount)
    else if (deed === 5) life.log.startEpoch(life.log.latestEpoch + 1, life.log.logEndOffset)
    else if (deed === 6) await life.run(() => life.sleep(draw.below(1_500)))
    else if (deed === 7) {
      const end = life.log.logEndOffset
      const offset = life.highWatermark + draw.below(end - life.highWatermark + 1)
      await life.run(() => life.log.truncateTo(offset))
      life.model.cutTo(life.log.logEndOffset)
    } else if (deed === 8) {
      await life.run(async () => {
        await life.settle()
        await life.manager.checkpoint()
      })
    } else {
      await life.run(() => life.settle())
      const wanted = life.highWatermark + draw.below(life.log.durableEndOffset - life.highWatermark + 1)
      const reached = life.model.batches.findLast(({ endOffset }) => endOffset <= wanted)
      life.highWatermark = reached?.endOffset ?? 0
      life.model.judgedEndOffset = Math.max(life.model.judgedEndOffset, life.highWatermark)
      if (deed === 9) {
        passes += await life.run(() => life.manager.compact())
        await life.run(() => life.check())
      } else if (deed === 10) {
        crashes++
        await crashWhile(
          life,
          () => life.manager.compact(),
          draw.below(60),
          draw.below(3) === 0 ? null : drawCut(draw),
        )
      } else {
        await life.run(() => life.manager.close())
        if (draw.below(2) === 0) await life.run(() => scramble(life, draw))
        await life.run(() => life.open())
      }
    }
  }
  await life.run(async () => {
    await life.settle()
    await life.check()
    await life.manager.close()
  })
  return { passes, crashes }
}

/** D5: what compaction adds to the caches, and what it relies on of them. */
async function scramble(life: Life, draw: Prng): Promise<void> {
  const { files } = life.env
  const names = (await files.list(`${HOME}/orders-0`)).filter((name) =>
    /\.(index|timeindex|snapshot)$/.test(name),
  )
  const paths = [`${HOME}/cleaner-offset-checkpoint`, ...names.map((name) => `${HOME}/orders-0/${name}`)]
  for (const path of paths) if (draw.below(2) === 0) await files.remove(path)
  if (draw.below(2) === 0) {
    const file = await files.open(`${HOME}/cleaner-offset-checkpoint`, 'append')
    await file.truncate(0)
    await file.append([Buffer.from(`0\n1\norders 0 ${draw.below(2 * life.log.logEndOffset + 1)}\n`)])
    await file.close()
  }
}

/** Ends the node before disk operation `operation` of `work`, and opens it again. @returns False if there is none. */
async function crashWhile(
  life: Life,
  work: () => Promise<unknown>,
  operation: number,
  modes: PowerCutModes | null,
): Promise<boolean> {
  const { node } = life
  const first = node.disk.operationCount
  node.disk.onOperation = (number) => {
    if (number - first !== operation + 1) return
    if (modes === null) node.crash()
    else node.powerCut(modes)
  }
  let isDone = false
  void work().then(
    () => (isDone = true),
    () => (isDone = true),
  )
  await life.simulation.runUntil(() => isDone || !node.isUp)
  node.disk.onOperation = () => undefined
  if (isDone) return false
  node.restart()
  await life.run(() => life.open())
  return true
}

describe('Compaction', () => {
  it(`ST-17 R9 P2 D5: in lives drawn from a seed, loses no newest value and brings no deleted key back`, async () => {
    let passes = 0
    let crashes = 0
    for (let index = 0; index < LIVES; index++) {
      const seed = `${SEED} ${index}`
      try {
        const life = await live(seed)
        passes += life.passes
        crashes += life.crashes
      } catch (error) {
        throw new Error(`SEED=${SEED}, life ${index}`, { cause: error })
      }
    }
    expect(passes).toBeGreaterThan(LIVES)
    expect(crashes).toBeGreaterThan(LIVES)
  })

  const CUTS: Record<string, PowerCutModes | null> = {
    'kill -9': null,
    'a power cut that loses what was not synced': { data: 'lost', names: 'lost' },
    'a power cut that keeps bytes and some names': { data: 'kept', names: 'subset' },
    'a power cut that keeps names and no bytes': { data: 'zero-tail', names: 'kept' },
    'a power cut of any kind': {},
  }
  for (const [name, modes] of Object.entries(CUTS)) {
    it(`ST-12 D2 D7: leaves the old segments or the new ones after ${name} before any of its operations`, async () => {
      let operation = 0
      for (; ; operation++) {
        const life = await grown(`${SEED} ${name} ${operation}`)
        life.model.judgedEndOffset = life.log.logEndOffset
        if (!(await crashWhile(life, () => life.manager.compact(), operation, modes))) break
        await life.run(async () => {
          await life.manager.compact()
          await life.check()
          await life.manager.close()
          await life.open()
        })
      }
      expect(operation).toBeGreaterThan(60)
    })
  }

  it('ST-12: survives a power cut before each operation of the recovery that finishes a swap', async () => {
    for (let operation = 12; ; operation += 3) {
      const life = await grown(`${SEED} recovery ${operation}`)
      life.model.judgedEndOffset = life.log.logEndOffset
      const { node } = life
      const first = node.disk.operationCount
      node.disk.onOperation = (number) => {
        if (number - first === operation) node.powerCut()
      }
      let isDone = false
      void life.manager.compact().then(() => (isDone = true))
      await life.simulation.runUntil(() => isDone || !node.isUp)
      if (isDone) break
      for (let step = 1; !isDone; step++) {
        node.restart()
        const begin = node.disk.operationCount
        node.disk.onOperation = (number) => {
          if (number - begin === step) node.powerCut()
        }
        const opened: LogManager[] = []
        const { env } = node
        const options = { directory: HOME, nodeId: 1, memoryFiles: env.files, configFor: () => life.config }
        void LogManager.open(env, options).then((manager) => opened.push(manager))
        await life.simulation.runUntil(() => opened.length > 0 || !node.isUp)
        isDone = opened.length > 0
      }
      node.disk.onOperation = () => undefined
      if (node.isUp) node.powerCut()
      node.restart()
      await life.run(() => life.open())
    }
  })
})

/** A log of several segments, part clean, part dirty, with tombstones whose time is over. */
async function grown(seed: string): Promise<Life> {
  const life = new Life(seed)
  const draw = new Simulation({ seed: `${SEED} grown` }).stream('life')
  await life.run(async () => {
    await life.open()
    for (let round = 0; round < 2; round++) {
      for (let count = 0; count < 14; count++) life.append(draw, 8)
      life.log.startEpoch(life.log.latestEpoch + 1, life.log.logEndOffset)
      await life.settle()
      life.highWatermark = life.log.logEndOffset
      if (round === 0) await life.manager.compact()
      await life.sleep(600)
    }
    await life.manager.checkpoint()
  })
  return life
}
