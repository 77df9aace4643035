/** A node with one compacted log and its model, for the tests of compaction under faults. */
import { expect } from 'vitest'
import type { Env } from '../../src/env/index.ts'
import type { PowerCutModes } from '../../src/env/sim/disk-image.ts'
import type { Prng } from '../../src/env/sim/prng.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import type { LogConfig } from '../../src/log/log-config.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { verifyDirectory } from '../../src/log/verify.ts'
import { CompactionModel, drawRecords, loadCodecs, strayNames } from './compaction-model.ts'
import { logConfig, TOPIC_ID, whenDurable } from './support.ts'

export const HOME = '/data/log'
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
export class Life {
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

/** Ends the node before disk operation `operation` of `work`, and opens it again. @returns False if there is none. */
export async function crashWhile(
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
  const state = { isDone: false }
  void work().then(
    () => (state.isDone = true),
    () => (state.isDone = true),
  )
  await life.simulation.runUntil(() => state.isDone || !node.isUp)
  node.disk.onOperation = () => undefined
  if (state.isDone) return false
  node.restart()
  await life.run(async () => {
    for await (const found of verifyDirectory(life.env.files, HOME))
      expect(found.faults.filter(({ severity }) => severity === 'damage')).toEqual([])
    await life.open()
  })
  return true
}
