/** Compaction of one log: what goes, what stays, and when (docs/faults.md ST-17, R9, R10, T6, P2; KIP-534). */
import { describe, expect, it } from 'vitest'
import type { Env } from '../../src/env/index.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import { CLEAN_SHUTDOWN, RECOVERY_POINT_CHECKPOINT } from '../../src/log/file-names.ts'
import type { LogConfig } from '../../src/log/log-config.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { LogManagerOptions } from '../../src/log/log-manager-options.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { verifyDirectory } from '../../src/log/verify.ts'
import { batchSizeAt, hasDeleteHorizon, readBatchHeader } from '../../src/records/batch-header.ts'
import { forge } from '../broker/support/batches.ts'
import { CompactionModel, keyedBatch, loadCodecs, readRecords, strayNames } from './compaction-model.ts'
import { logConfig, readAll, TOPIC_ID, whenDurable } from './support.ts'

const HOME = '/data/log'
const { set: CODECS, all: ALL_CODECS } = await loadCodecs()

/** What a test returns that has closed the log or made it one that the model does not know. */
const LEFT = 'left'

interface Scene {
  readonly simulation: Simulation
  readonly env: Env
  readonly manager: LogManager
  readonly log: PartitionLog
  readonly model: CompactionModel
  /** Appends one record in a segment of its own, or some in one batch. */
  readonly put: (...records: (readonly [key: string | null, value: string | null])[]) => void
  /** Closes the active segment, waits for the disk, and compacts. @returns Passes made. */
  readonly clean: () => Promise<number>
  readonly sleep: (ms: number) => Promise<void>
  readonly keys: () => Promise<string[]>
}

async function withCompacted(
  name: string,
  overrides: Partial<LogConfig>,
  test: (scene: Scene) => Promise<typeof LEFT | undefined>,
  options: Partial<LogManagerOptions> = {},
): Promise<void> {
  const simulation = new Simulation({ seed: name })
  simulation.node('a').disk.prepareDirectory('/data')
  const env = simulation.env('a')
  const config = logConfig({
    segmentBytes: 200,
    tailCacheBytes: 0,
    isCompacted: true,
    deletesOldSegments: false,
    minCleanableDirtyRatio: 0,
    ...overrides,
  })
  await simulation.runUntil(
    (async () => {
      const manager = await LogManager.open(env, {
        ...{ directory: HOME, nodeId: 1, memoryFiles: env.files, configFor: () => config },
        ...options,
      })
      const log = await manager.create('orders', 0, TOPIC_ID, config)
      const model = new CompactionModel()
      model.watch(log)
      const put: Scene['put'] = (...records) =>
        void model.append(
          log,
          records.map(([key, value]) => ({ key, value })),
        )
      const outcome = await test({
        ...{ simulation, env, manager, log, model, put },
        clean: async () => {
          await whenDurable(log, log.logEndOffset)
          await new Promise<void>((resolve) => env.clock.after(50, resolve)) // closed segments are let go
          return manager.compact()
        },
        sleep: (ms) => new Promise<void>((resolve) => env.clock.after(ms, resolve)),
        keys: async () =>
          (await readRecords(log, CODECS)).map(({ offset, key, value }) => `${offset} ${key}=${value}`),
      })
      if (outcome !== LEFT) await model.check(log, CODECS)
      await manager.close()
    })(),
  )
}

/** Fills the active segment, so that all before is closed. */
function fill({ put }: Scene, count = 3): void {
  for (let index = 0; index < count; index++) put([`fill-${index}`, 'x'.repeat(80)])
}

describe('A compacted log', () => {
  it('ST-17: keeps the newest record of each key, at its offset, and every record of the active segment', async () => {
    await withCompacted('newest', { segmentBytes: 300 }, async (scene) => {
      const { put, clean, keys } = scene
      put(['a', '1'], ['b', '1'], ['a', '2'])
      put(['c', '1'], ['b', '2'])
      put(['a', '3'])
      put(['d', '1'])
      fill(scene)
      expect(await clean()).toBe(1)
      const kept = await keys()
      expect(kept.slice(0, 4)).toEqual(['3 c=1', '4 b=2', '5 a=3', '6 d=1'])
      expect(await clean()).toBe(0)
    })
  })

  it('R10: answers a fetch from inside a hole with what follows, and its batches join up for followers', async () => {
    await withCompacted('hole', {}, async (scene) => {
      for (let index = 0; index < 12; index++) scene.put(['a', `${index}`])
      fill(scene)
      await scene.clean()
      const slice = await scene.log.read(4, scene.log.logEndOffset, 1e6, true)
      expect(slice.startOffset).toBeLessThanOrEqual(4)
      const follower = await LogManager.open(scene.env, {
        ...{ directory: '/data/follower', nodeId: 1, memoryFiles: scene.env.files },
      })
      const copy = await follower.create('orders', 0, TOPIC_ID, scene.log.config)
      copy.appendAsFollower(Buffer.from(await readAll(scene.log)))
      expect(await readRecords(copy, CODECS)).toEqual(await readRecords(scene.log, CODECS))
      await follower.close()
    })
  })

  it('R10: a follower that ends within what its leader has compacted away goes on from there', async () => {
    await withCompacted('behind', {}, async (scene) => {
      for (let index = 0; index < 12; index++) scene.put(['a', `${index}`])
      fill(scene)
      const follower = await LogManager.open(scene.env, {
        ...{ directory: '/data/follower', nodeId: 1, memoryFiles: scene.env.files },
      })
      for (const end of [1, 5, 9]) {
        const copy = await follower.create(`behind-${end}`, 0, TOPIC_ID, scene.log.config)
        const whole = Buffer.from(await readAll(scene.log))
        let position = 0
        for (let batches = 0; batches < end; batches++) position += batchSizeAt(whole, position)
        copy.appendAsFollower(whole.subarray(0, position))
        expect(copy.logEndOffset).toBe(end)
      }
      await scene.clean()
      for (const end of [1, 5, 9]) {
        const copy = follower.get(`behind-${end}`, 0)!
        const slice = await scene.log.read(end, scene.log.logEndOffset, 1e6, true)
        expect(slice.startOffset, 'in the middle of a filler').toBeLessThan(end)
        copy.appendAsFollower(Buffer.concat(slice.chunks))
        expect(copy.logEndOffset).toBe(scene.log.logEndOffset)
        const newest = (await readRecords(copy, CODECS)).filter(({ offset }) => offset >= end)
        expect(newest).toEqual((await readRecords(scene.log, CODECS)).filter(({ offset }) => offset >= end))
      }
      await follower.close()
    })
  })

  it.each([1, 4, 7, 11])(
    'D3: opens after a crash when one filler stands for offsets on both sides of the recovery point %i',
    async (recoveryPoint) => {
      await withCompacted(`recovery point ${recoveryPoint}`, { segmentBytes: 2000 }, async (scene) => {
        const { env } = scene
        for (let index = 0; index < 12; index++) scene.put(['a', `${index}`])
        fill(scene, 20)
        await scene.clean()
        const before = await readRecords(scene.log, CODECS)
        await scene.manager.close()
        // As a crash leaves them that comes before the next checkpoint.
        await env.files.remove(`${HOME}/${CLEAN_SHUTDOWN}`)
        const file = await env.files.open(`${HOME}/${RECOVERY_POINT_CHECKPOINT}`, 'append')
        await file.truncate(0)
        await file.append([Buffer.from(`0\n1\norders 0 ${recoveryPoint}\n`)])
        await file.close()
        const manager = await LogManager.open(env, {
          ...{ directory: HOME, nodeId: 1, memoryFiles: env.files, configFor: () => scene.log.config },
        })
        const log = manager.get('orders', 0)
        expect(log, 'is served').toBeDefined()
        expect(await readRecords(log!, CODECS)).toEqual(before)
        await manager.close()
        return LEFT
      })
    },
  )

  it('merges the segments that are left into as few as segment.bytes allows', async () => {
    await withCompacted('merge', { segmentBytes: 1000 }, async (scene) => {
      for (let index = 0; index < 100; index++) scene.put([`k${index % 3}`, 'v'.repeat(60)])
      fill(scene, 12)
      const before = scene.log.segmentCount
      await scene.clean()
      fill(scene, 12)
      await scene.clean()
      expect(scene.log.segmentCount).toBeLessThan(before / 2)
      expect(await strayNames(scene.manager, (path) => scene.env.files.list(path))).toEqual([])
    })
  })

  it('writes batches anew with the codec they came with, and leaves those alone that lose nothing', async () => {
    await withCompacted('codecs', { segmentBytes: 2000 }, async (scene) => {
      const { model, log, clean } = scene
      for (const [index, codec] of ALL_CODECS.entries()) {
        const records = Array.from({ length: 20 }, (_, at) => ({
          key: at % 2 === 0 ? `shared-${at}` : `own-${index}-${at}`,
          value: 'v'.repeat(100),
        }))
        model.append(log, records, { codec })
      }
      fill(scene, 20)
      await clean()
      const bytes = await readAll(log)
      const found: [codec: number, records: number][] = []
      for (let at = 0; at < bytes.length && found.length < ALL_CODECS.length; at += batchSizeAt(bytes, at)) {
        const { attributes, recordCount } = readBatchHeader(bytes, at)
        if (recordCount > 1) found.push([attributes & 7, recordCount])
      }
      expect(found).toEqual([
        [0, 10],
        [1, 10],
        [2, 10],
        [3, 10],
        [4, 20],
      ])
    })
  })

  it('ST-17 KIP-534: keeps a tombstone for delete.retention.ms after its pass, then forgets it, and the key stays deleted', async () => {
    await withCompacted('tombstone', { deleteRetentionMs: 10_000 }, async (scene) => {
      scene.put(['a', '1'])
      scene.put(['b', '1'])
      scene.put(['a', null])
      fill(scene)
      await scene.clean()
      expect((await scene.keys()).slice(0, 2)).toEqual(['1 b=1', '2 a=null'])
      const horizons = await tombstoneHorizons(scene.log)
      expect(horizons).toEqual([scene.env.clock.wallTimeMs() - expectedAge(scene, horizons) + 10_000])
      await scene.sleep(9_000)
      fill(scene)
      await scene.clean()
      expect((await scene.keys())[1]).toBe('2 a=null')
      await scene.sleep(2_000)
      fill(scene)
      await scene.clean()
      expect((await scene.keys())[0]).toBe('1 b=1')
      expect((await scene.keys()).join()).not.toContain('a=')
    })
  })

  it('D5: a cleaner checkpoint that is lost, or says too much, brings no deleted key back', async () => {
    for (const lie of [0, 1, 2, 3, 5, 1000]) {
      await withCompacted(`lie ${lie}`, { deleteRetentionMs: 0 }, async (scene) => {
        scene.put(['a', '1'])
        scene.put(['b', '1'])
        scene.put(['a', null])
        fill(scene)
        await whenDurable(scene.log, scene.log.logEndOffset)
        await scene.manager.close()
        const file = await scene.env.files.open(`${HOME}/cleaner-offset-checkpoint`, 'append')
        await file.truncate(0)
        await file.append([Buffer.from(`0\n1\norders 0 ${lie}\n`)])
        await file.close()
        const manager = await LogManager.open(scene.env, {
          ...{ directory: HOME, nodeId: 1, memoryFiles: scene.env.files, configFor: () => scene.log.config },
        })
        const log = manager.get('orders', 0)!
        scene.model.watch(log)
        for (let round = 0; round < 4; round++) {
          for (let index = 0; index < 3; index++)
            scene.model.append(log, [{ key: 'f', value: 'x'.repeat(80) }])
          await whenDurable(log, log.logEndOffset)
          await scene.sleep(50)
          await manager.compact()
          await scene.model.check(log, CODECS)
        }
        await manager.close()
        return LEFT
      })
    }
  })

  it('never touches what is not committed, is too young, or belongs to an open transaction', async () => {
    let highWatermark = 2
    await withCompacted(
      'bounds',
      { minCompactionLagMs: 1_000 },
      async (scene) => {
        const timestamp = scene.env.clock.wallTimeMs()
        for (let index = 0; index < 8; index++)
          scene.model.append(scene.log, [{ key: 'a', value: `${index}`.repeat(40), timestamp }])
        expect(await scene.clean()).toBe(0)
        await scene.sleep(2_000)
        await scene.clean()
        expect(await scene.keys()).toHaveLength(7)
        highWatermark = Infinity
        await scene.clean()
        const left = (await scene.keys()).length
        expect(left).toBeLessThan(4)
        scene.model.appendBatch(
          scene.log,
          keyedBatch([{ key: 'a', value: 'open', timestamp }], { producerId: 7, isTransactional: true }),
          [{ key: 'a', value: 'open', timestamp }],
          0,
        )
        for (let index = 0; index < 8; index++)
          scene.model.append(scene.log, [{ key: 'a', value: `${index}`.repeat(40), timestamp }])
        await scene.sleep(2_000)
        await scene.clean()
        expect((await scene.keys()).length).toBeGreaterThanOrEqual(9)
      },
      { highWatermarkOf: (log) => Math.min(highWatermark, log.durableEndOffset) },
    )
  })

  it('T6: keeps markers, and lets no record of a transaction, which may be aborted, supersede another', async () => {
    await withCompacted('aborted', {}, async (scene) => {
      scene.put(['a', 'committed'])
      const records = [{ key: 'a', value: 'aborted' }]
      const batch = keyedBatch(records, { producerId: 7, isTransactional: true })
      scene.model.appendBatch(scene.log, batch, records, 0)
      scene.model.appendMarker(scene.log, 7)
      fill(scene)
      await scene.clean()
      expect((await scene.keys()).slice(0, 2)).toEqual(['0 a=committed', '1 a=aborted'])
      const bytes = await readAll(scene.log)
      expect(readBatchHeader(bytes, 0).baseOffset).toBe(0)
      scene.put(['a', 'later'])
      fill(scene)
      await scene.clean()
      expect((await scene.keys())[0]).not.toContain('a=')
      const control: number[] = []
      const after = await readAll(scene.log)
      for (let at = 0; at < after.length; at += batchSizeAt(after, at)) {
        const { attributes, baseOffset } = readBatchHeader(after, at)
        if ((attributes & 0x20) !== 0) control.push(baseOffset)
      }
      expect(control).toEqual([2])
    })
  })

  it('keeps a batch that cannot be read, and every tombstone behind it', async () => {
    await withCompacted('opaque', { deleteRetentionMs: 0, segmentBytes: 400 }, async (scene) => {
      const records = [{ key: 'a', value: 'v'.repeat(200) }]
      const broken = forge(keyedBatch(records, { codec: ALL_CODECS[1]! }), (view) => view.setUint8(63, 0xff))
      scene.log.appendAsLeader(broken, readBatchHeader(broken), 0)
      scene.model.batches.push({ baseOffset: 0, endOffset: 1, epoch: 0, bytes: broken.slice(), records: [] })
      scene.put(['a', null])
      for (let round = 0; round < 3; round++) {
        fill(scene, 6)
        await scene.clean()
      }
      const bytes = await readAll(scene.log)
      expect(Buffer.from(bytes.subarray(0, batchSizeAt(bytes, 0))).equals(broken)).toBe(true)
      expect(readBatchHeader(bytes, batchSizeAt(bytes, 0))).toMatchObject({ baseOffset: 1, recordCount: 1 })
      return LEFT // the broken batch has no records to compare
    })
  })

  it('P2: keeps what is known of living producers, from compacted batches alone', async () => {
    await withCompacted('producers', {}, async (scene) => {
      const { model, log, env } = scene
      for (let index = 0; index < 9; index++) model.append(log, [{ key: 'a', value: 'v' }], { producerId: 5 })
      model.append(log, [{ key: 'a', value: 'v' }], { producerId: 6 })
      fill(scene)
      await scene.clean()
      await scene.manager.close()
      for (const name of await env.files.list(`${HOME}/orders-0`))
        if (name.endsWith('.snapshot')) await env.files.remove(`${HOME}/orders-0/${name}`)
      const options = { directory: HOME, nodeId: 1, memoryFiles: env.files, configFor: () => log.config }
      const manager = await LogManager.open(env, options)
      await model.check(manager.get('orders', 0)!, CODECS)
      expect(manager.get('orders', 0)!.producers().find(5)!.count).toBe(5)
      await manager.close()
      return LEFT
    })
  })

  it('takes several passes when the keys do not fit into memory', async () => {
    await withCompacted(
      'passes',
      { segmentBytes: 2000 },
      async (scene) => {
        for (let index = 0; index < 600; index++) scene.put([`key ${index % 300}`, `${index}`])
        fill(scene, 30)
        expect(await scene.clean()).toBeGreaterThan(2)
        const kept = (await scene.keys()).filter((line) => line.includes('key '))
        expect(new Set(kept.map((line) => line.split('=')[0]!.split(' key')[1])).size).toBe(300)
        expect(kept.length).toBeLessThan(330)
      },
      { cleanerMapBytes: 4096 },
    )
  })

  it('waits for the dirty share, but no longer than max.compaction.lag.ms', async () => {
    await withCompacted(
      'ratio',
      { minCleanableDirtyRatio: 0.9, maxCompactionLagMs: 60_000, segmentBytes: 150 },
      async (scene) => {
        const timestamp = scene.env.clock.wallTimeMs()
        const put = (key: string) =>
          void scene.model.append(scene.log, [{ key, value: 'v'.repeat(80), timestamp }])
        for (let index = 0; index < 10; index++) put(`a${index}`)
        expect(await scene.clean()).toBe(1)
        for (let index = 0; index < 5; index++) put(`a${index}`)
        expect(await scene.clean()).toBe(0)
        await scene.sleep(61_000)
        expect(await scene.clean()).toBe(1)
        const { cleanedEndOffset } = scene.log.compaction
        expect(cleanedEndOffset, 'the active segment waited too long as well').toBe(scene.log.logEndOffset)
      },
    )
  })

  it('keeps to its rate, and compacts the dirtiest log first', async () => {
    await withCompacted(
      'rate',
      { segmentBytes: 1000 },
      async (scene) => {
        const other = await scene.manager.create('other', 0, TOPIC_ID, scene.log.config)
        const order: string[] = []
        for (let index = 0; index < 200; index++) scene.put([`k${index % 5}`, 'v'.repeat(60)])
        const model = new CompactionModel()
        for (let index = 0; index < 100; index++) model.append(other, [{ key: 'k', value: 'v'.repeat(60) }])
        await whenDurable(other, other.logEndOffset)
        for (const [name, log] of [
          ['orders', scene.log],
          ['other', other],
        ] as const) {
          const run = log.compaction.run.bind(log.compaction)
          log.compaction.run = (...given) => (order.push(name), run(...given))
        }
        const startMs = scene.simulation.nowMs
        expect(await scene.clean()).toBe(2)
        expect(order).toHaveLength(2)
        const bytes = 300 * 140
        expect(scene.simulation.nowMs - startMs).toBeGreaterThan((bytes / 10_000) * 1000)
      },
      { cleanerBytesPerSecond: 10_000 },
    )
  })

  it('is sound to `verify`, its segments and indexes too', async () => {
    await withCompacted('verify', { segmentBytes: 600 }, async (scene) => {
      for (let index = 0; index < 60; index++)
        scene.put([`k${index % 7}`, `${index}`], [`l${index % 3}`, null])
      fill(scene, 9)
      await scene.clean()
      const wanted = await scene.keys()
      await scene.manager.close()
      for await (const found of verifyDirectory(scene.env.files, HOME)) expect(found.faults).toEqual([])
      expect(await scene.env.files.list(HOME)).toContain('cleaner-offset-checkpoint')
      expect(wanted.length).toBeGreaterThan(5)
      const { config } = scene.log
      const options = { directory: HOME, nodeId: 1, memoryFiles: scene.env.files, configFor: () => config }
      const manager = await LogManager.open(scene.env, options)
      expect(manager.get('orders', 0)!.compaction.cleanedEndOffset).toBe(
        scene.log.compaction.cleanedEndOffset,
      )
      await manager.close()
      return LEFT
    })
  })
})

describe('Beside compaction', () => {
  it('RP-20: readers get old batches or new ones, never a mixture, and nothing is lost to them', async () => {
    await withCompacted('readers', { segmentBytes: 500 }, async (scene) => {
      for (let index = 0; index < 150; index++) scene.put([`k${index % 9}`, `${index}`])
      await whenDurable(scene.log, scene.log.logEndOffset)
      await scene.sleep(50)
      scene.model.judgedEndOffset = scene.log.logEndOffset
      const state = { isDone: false }
      const cleaning = scene.manager.compact().finally(() => (state.isDone = true))
      let reads = 0
      while (!state.isDone) {
        await scene.model.check(scene.log, CODECS)
        await scene.log.offsetForTimestamp(0, Infinity)
        reads++
      }
      expect(await cleaning).toBe(1)
      expect(reads).toBeGreaterThan(2)
    })
  })

  it('a truncation, a deletion of records, a close and a removal end a pass at any of its steps', async () => {
    const deeds: Record<string, (scene: Scene) => Promise<void>> = {
      truncate: async ({ log, model }) => {
        const offset = log.logEndOffset - 40
        await log.truncateTo(offset)
        model.cutTo(offset)
        for (let index = 0; index < 40; index++) model.append(log, [{ key: `n${index % 4}`, value: 'new' }])
      },
      delete: async ({ log }) => log.deleteRecordsBefore(60),
      close: async ({ manager }) => manager.close(),
      remove: async ({ manager }) => manager.remove('orders', 0),
    }
    for (const [name, deed] of Object.entries(deeds)) {
      for (let step = 1; step < 60; step += 6) {
        const highWatermarkOf = () => 80
        await withCompacted(
          `${name} ${step}`,
          { segmentBytes: 400 },
          async (scene) => {
            for (let index = 0; index < 120; index++) scene.put([`k${index % 9}`, `${index}`])
            await whenDurable(scene.log, scene.log.logEndOffset)
            await scene.sleep(50)
            scene.model.judgedEndOffset = 80
            const { disk } = scene.simulation.node('a')
            const first = disk.operationCount
            const begun: Promise<void>[] = []
            disk.onOperation = (number) => {
              if (number - first === step && begun.length === 0) begun.push(deed(scene))
            }
            await scene.manager.compact()
            disk.onOperation = () => undefined
            await Promise.all(begun)
            if (name === 'delete') expect(await readRecords(scene.log, CODECS)).not.toEqual([])
            if (name !== 'truncate') return LEFT
            await whenDurable(scene.log, scene.log.logEndOffset)
            await scene.model.check(scene.log, CODECS)
            await scene.clean()
            expect(scene.log.compaction.cleanedEndOffset).toBeGreaterThan(60)
            return undefined
          },
          { highWatermarkOf },
        )
      }
    }
  })
})

async function tombstoneHorizons(log: PartitionLog): Promise<number[]> {
  const bytes = await readAll(log)
  const horizons: number[] = []
  for (let at = 0; at < bytes.length; at += batchSizeAt(bytes, at)) {
    const { attributes, baseTimestamp } = readBatchHeader(bytes, at)
    if (hasDeleteHorizon(attributes)) horizons.push(baseTimestamp)
  }
  return horizons
}

/** Ms since the pass that set the horizon. */
function expectedAge({ env }: Scene, [horizon]: readonly number[]): number {
  const ageMs = env.clock.wallTimeMs() + 10_000 - horizon!
  expect(ageMs).toBeGreaterThanOrEqual(0)
  expect(ageMs).toBeLessThan(1_000)
  return ageMs
}
