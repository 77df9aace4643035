/** What a log promises while nothing fails. */
import { describe, expect, it } from 'vitest'
import { USUAL_LATENCY } from '../../src/env/sim/sim-disk.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { readBatchHeader } from '../../src/records/batch-header.ts'
import { append, DIRECTORY, makeBatch, openLog, readAll, simulate, whenDurable } from './support.ts'

async function withLog(
  seed: string,
  overrides: Parameters<typeof openLog>[1],
  work: (log: PartitionLog, world: ReturnType<typeof simulate>) => Promise<void>,
): Promise<void> {
  const world = simulate(seed)
  await world.simulation.runUntil(openLog(world.env, overrides).then((log) => work(log, world)))
}

describe('PartitionLog.appendAsLeader()', () => {
  it('gives offsets in the turn of the append and reads them back at once (TX-3)', async () => {
    await withLog('turn', {}, async (log) => {
      expect(append(log, { records: 3 })).toMatchObject({ kind: 'appended', baseOffset: 0, lastOffset: 2 })
      expect(append(log, { records: 2 })).toMatchObject({ kind: 'appended', baseOffset: 3, lastOffset: 4 })
      expect([log.logEndOffset, log.durableEndOffset]).toEqual([5, 0])
      expect(log.read(0, Infinity, 1e6, true)).toMatchObject({ startOffset: 0, endOffset: 5 })
      expect(log.pendingBytes).toBe(log.sizeBytes)
      await whenDurable(log, 5)
      expect(log.pendingBytes).toBe(0)
    })
  })

  it('writes a turn at once and syncs once for all that waits: group commit', async () => {
    await withLog('group', {}, async (log, { simulation, env }) => {
      append(log)
      await whenDurable(log, 1)
      const durable: number[] = []
      log.onDurable = (offset) => durable.push(offset)
      const before = simulation.node('a').disk.operationCount
      for (let index = 0; index < 50; index++) append(log)
      await new Promise<void>((resolve) => env.clock.after(20, resolve))
      expect(durable).toEqual([51])
      expect(simulation.node('a').disk.operationCount - before).toBe(2)
    })
  })

  it('moves the durable end in order while appends go on', async () => {
    await withLog('order', { segmentBytes: 600 }, async (log, { env }) => {
      const durable: number[] = []
      log.onDurable = (offset) => durable.push(offset)
      for (let index = 0; index < 100; index++) {
        append(log)
        await new Promise<void>((resolve) => env.clock.after(0.05, resolve))
      }
      while (log.durableEndOffset < 100) await new Promise<void>((resolve) => env.clock.after(1, resolve))
      expect(durable).toEqual([...durable].sort((a, b) => a - b))
      expect(durable.at(-1)).toBe(100)
    })
  })

  it('acknowledges from the page cache with durability os', async () => {
    await withLog('os', { durability: 'os' }, async (log, { simulation }) => {
      simulation.node('a').disk.fail({ kind: 'sync', path: (path) => path.endsWith('.log'), isSticky: true })
      append(log)
      await whenDurable(log, 1)
      expect(log.failure).toBeNull()
    })
  })

  it('syncs with durability os when a few MiB are written, and acknowledges on meanwhile', async () => {
    await withLog('behind', { durability: 'os' }, async (log, { simulation }) => {
      append(log)
      await whenDurable(log, 1) // The file that names its epoch is synced before.
      const { disk } = simulation.node('a')
      let syncs = 0
      disk.onOperation = (_, kind, path) => {
        if (kind === 'sync' && path.endsWith('.log')) syncs++
      }
      disk.latency = { ...USUAL_LATENCY, sync: [60_000, 60_000] }
      const syncsAfter: number[] = []
      for (let mebibytes = 1; mebibytes <= 16; mebibytes++) {
        append(log, { valueBytes: 2 ** 20 })
        await whenDurable(log, 1 + mebibytes)
        syncsAfter.push(syncs)
      }
      expect(syncsAfter).toEqual([0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1])
      expect(simulation.nowMs).toBeLessThan(60_000)
      await log.close()
    })
  })

  it('refuses an older leader epoch (R5)', async () => {
    await withLog('epoch', {}, async (log) => {
      append(log, {}, 4)
      expect(append(log, {}, 3)).toMatchObject({ kind: 'rejected', error: 'NOT_LEADER_OR_FOLLOWER' })
    })
  })

  it('ST-16: holds offsets near 2^53, and refuses the one past it', async () => {
    const { simulation, env } = simulate('far')
    const start = Number.MAX_SAFE_INTEGER - 10
    const log = await simulation.runUntil(openLog(env, {}, { logStartOffset: start }))
    expect(append(log, { records: 9 })).toMatchObject({ baseOffset: start, lastOffset: start + 8 })
    expect(append(log, { records: 5 })).toMatchObject({ kind: 'rejected' })
    await simulation.runUntil(whenDurable(log, start + 9))
    await simulation.runUntil(log.close())
    const again = await simulation.runUntil(
      openLog(env, {}, { recoveryPoint: start + 9, logStartOffset: start }),
    )
    expect(again.logEndOffset).toBe(start + 9)
  })
})

describe('PartitionLog.read()', () => {
  it('gives the same bytes from memory, from files, and after a restart', async () => {
    const { simulation, env } = simulate('same')
    let log = await simulation.runUntil(openLog(env, { segmentBytes: 500, tailCacheBytes: 0 }))
    for (let index = 0; index < 40; index++) append(log, { tag: index, valueBytes: index * 3 })
    const fromMemory = await simulation.runUntil(readAll(log))
    await simulation.runUntil(whenDurable(log, 40))
    const fromFiles = await simulation.runUntil(readAll(log))
    expect(log.segmentCount).toBeGreaterThan(5)
    await simulation.runUntil(log.close())
    log = await simulation.runUntil(openLog(env, {}, { wasClosedCleanly: true, recoveryPoint: 40 }))
    expect(Buffer.compare(fromMemory, fromFiles)).toBe(0)
    expect(Buffer.compare(fromMemory, await simulation.runUntil(readAll(log)))).toBe(0)
  })

  it('gives whole batches below the end offset, within the size unless one is asked for', async () => {
    for (const tailCacheBytes of [0, 1e6]) {
      await withLog(`bounds ${tailCacheBytes}`, { tailCacheBytes }, async (log) => {
        for (let index = 0; index < 10; index++) append(log, { records: 3 })
        await whenDurable(log, 30)
        const size = log.sizeBytes / 10
        expect(await log.read(4, 15, 1e6, true)).toMatchObject({
          startOffset: 3,
          endOffset: 15,
          bytes: size * 4,
        })
        expect(await log.read(4, 14, 1e6, true)).toMatchObject({ startOffset: 3, endOffset: 12 })
        expect(await log.read(0, 30, size * 2 + 1, true)).toMatchObject({ bytes: size * 2 })
        expect(await log.read(0, 30, 1, true)).toMatchObject({ bytes: size, endOffset: 3 })
        expect(await log.read(0, 30, 1, false)).toMatchObject({ bytes: 0, endOffset: 0 })
        expect(await log.read(30, 30, 1, true)).toMatchObject({ bytes: 0 })
        expect(() => log.read(31, 31, 1, true)).toThrow(
          expect.objectContaining({ code: 'LOG_OFFSET_OUT_OF_RANGE' }),
        )
      })
    }
  })

  it('RP-20: beside a truncation and new appends gives old bytes or new ones, never a mixture', async () => {
    for (let seed = 0; seed < 40; seed++) {
      await withLog(`race ${seed}`, { tailCacheBytes: 0, segmentBytes: 400 }, async (log, { env }) => {
        for (let index = 0; index < 12; index++) append(log, { tag: 1 }, 1)
        await whenDurable(log, 12)
        const reads = Array.from({ length: 6 }, (_, index) =>
          (async () => {
            await new Promise<void>((resolve) => env.clock.after(index * 0.1, resolve))
            const { chunks } = await log.read(2, Infinity, 1e6, true)
            return { chunks, isCut: log.logEndOffset < 12 || log.latestEpoch === 2 }
          })(),
        )
        await log.truncateTo(5)
        for (let index = 0; index < 7; index++) append(log, { tag: 2 }, 2)
        for (const { chunks, isCut } of await Promise.all(reads)) {
          let epoch = 0
          for (const chunk of chunks) {
            for (let at = 0; at < chunk.length; at += readBatchHeader(chunk, at).batchSize) {
              const header = readBatchHeader(chunk, at)
              expect(header.leaderEpoch).toBeGreaterThanOrEqual(epoch)
              epoch = header.leaderEpoch
              if (header.baseOffset < 5) expect(epoch).toBe(1)
              else if (isCut) expect(epoch).toBe(2)
            }
          }
        }
      })
    }
  })
})

describe('PartitionLog.truncateTo()', () => {
  it('TX-4: drops producer state past the new end, whatever snapshots were taken of it', async () => {
    await withLog('tx4', { segmentBytes: 300 }, async (log) => {
      for (let sequence = 0; sequence < 11; sequence++)
        append(log, { producerId: 7, baseSequence: sequence }, 1)
      await log.checkpoint()
      await log.truncateTo(5)
      expect(log.recoveryPoint).toBeLessThanOrEqual(5)
      expect(append(log, { producerId: 7, baseSequence: 11 }, 2)).toMatchObject({
        error: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
      })
      for (let index = 0; index < 12; index++) append(log, { producerId: 8, baseSequence: index }, 2)
      await whenDurable(log, 17)
      await log.truncateTo(11)
      expect(log.producers().find(7)?.lastSequence).toBe(4)
      expect(log.producers().find(8)?.lastSequence).toBe(5)
      expect(log.epochEntries()).toEqual([
        { epoch: 1, startOffset: 0 },
        { epoch: 2, startOffset: 5 },
      ])
    })
  })

  it('RP-17: truncateFullyAndStartAt() begins an empty log elsewhere and keeps the latest epoch', async () => {
    await withLog('restart', { segmentBytes: 300 }, async (log) => {
      for (let index = 0; index < 12; index++) append(log, {}, 3)
      await whenDurable(log, 12)
      await log.truncateFullyAndStartAt(100)
      expect([log.logStartOffset, log.logEndOffset, log.durableEndOffset, log.segmentCount]).toEqual([
        100, 100, 100, 1,
      ])
      expect(log.epochEntries()).toEqual([{ epoch: 3, startOffset: 100 }])
      expect(append(log, {}, 3)).toMatchObject({ baseOffset: 100 })
      await whenDurable(log, 101)
    })
  })
})

describe('Idempotent producers', () => {
  it('TX-2: get the offsets of any of their last five batches again, in any order', async () => {
    await withLog('five', {}, async (log) => {
      for (let sequence = 0; sequence < 12; sequence += 2)
        append(log, { producerId: 7, baseSequence: sequence, records: 2 })
      for (const sequence of [10, 2, 6, 8, 4]) {
        const result = append(log, { producerId: 7, baseSequence: sequence, records: 2 })
        expect(result).toMatchObject({ kind: 'duplicate', baseOffset: sequence, lastOffset: sequence + 1 })
      }
      expect(append(log, { producerId: 7, baseSequence: 0, records: 2 })).toMatchObject({
        error: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
      })
      expect(append(log, { producerId: 7, baseSequence: 14 })).toMatchObject({
        error: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
      })
      expect(log.logEndOffset).toBe(12)
    })
  })

  it('ST-16: count on at 0 after sequence 2^31 - 1, also inside a batch', async () => {
    await withLog('wrap', {}, async (log) => {
      const last = 2 ** 31 - 1
      expect(append(log, { producerId: 7, baseSequence: last - 1, records: 1 }).kind).toBe('appended')
      expect(append(log, { producerId: 7, baseSequence: last, records: 3 }).kind).toBe('appended')
      expect(append(log, { producerId: 7, baseSequence: last, records: 3 }).kind).toBe('duplicate')
      expect(append(log, { producerId: 7, baseSequence: 2 }).kind).toBe('appended')
      expect(append(log, { producerId: 8, baseSequence: last }).kind).toBe('appended')
      expect(append(log, { producerId: 8, baseSequence: 0 }).kind).toBe('appended')
    })
  })

  it('KIP-360: go on at any sequence when unknown; a new epoch begins at 0; an old one is fenced', async () => {
    await withLog('epochs', {}, async (log) => {
      expect(append(log, { producerId: 7, baseSequence: 55 }).kind).toBe('appended')
      expect(append(log, { producerId: 7, producerEpoch: 1, baseSequence: 56 })).toMatchObject({
        error: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
      })
      expect(append(log, { producerId: 7, producerEpoch: 1, baseSequence: 0 }).kind).toBe('appended')
      expect(append(log, { producerId: 7, baseSequence: 56 })).toMatchObject({
        error: 'INVALID_PRODUCER_EPOCH',
      })
    })
  })

  it('X25: are bounded in number, the longest silent forgotten first, and expire', async () => {
    await withLog('many', { producerCountMax: 20, producerIdExpirationMs: 1_000 }, async (log, { env }) => {
      for (let producerId = 0; producerId < 100; producerId++) append(log, { producerId })
      expect(log.producerCount).toBeLessThanOrEqual(20)
      expect(log.producers().find(99)).toBeDefined()
      await new Promise<void>((resolve) => env.clock.after(2_000, resolve))
      expect(log.expireProducers()).toBeGreaterThan(0)
      expect(log.producerCount).toBe(0)
    })
  })
})

describe('PartitionLog.appendAsFollower()', () => {
  it('takes what continues the log byte for byte, and nothing else', async () => {
    await withLog('follow', {}, async (leader, { env }) => {
      for (let index = 0; index < 8; index++)
        append(leader, { records: 2, producerId: 7, baseSequence: index * 2 }, 1 + (index >> 2))
      const bytes = new Uint8Array(await readAll(leader))
      const follower = await openLog(env, {}, { directory: '/data/follower-0' })
      const size = bytes.length / 8
      const bad = { code: 'LOG_BAD_BATCH' }
      expect(() => follower.appendAsFollower(bytes.slice(size))).toThrow(expect.objectContaining(bad))
      expect(() => follower.appendAsFollower(bytes.slice(0, size * 2 - 1))).toThrow(
        expect.objectContaining(bad),
      )
      for (let position = 0; position < size * 2; position++) {
        if (position >= 12 && position < 16) continue // the epoch of a batch is the leader's to say
        const flipped = bytes.slice()
        flipped[position]! ^= 0x40
        expect(() => follower.appendAsFollower(flipped)).toThrow(expect.objectContaining(bad))
      }
      expect(follower.logEndOffset).toBe(0)
      follower.appendAsFollower(bytes.slice())
      await whenDurable(follower, 16)
      expect(Buffer.compare(await readAll(follower), bytes)).toBe(0)
      expect(follower.epochEntries()).toEqual(leader.epochEntries())
      expect(follower.producers().find(7)?.lastSequence).toBe(15)
    })
  })
})

describe('Retention', () => {
  it('R12: deletes by age and by size, whole segments, never past the high watermark', async () => {
    const config = { segmentBytes: 300, retentionMs: 1_000, retentionBytes: -1 }
    await withLog('age', config, async (log, { env }) => {
      for (let index = 0; index < 30; index++) append(log, { timestampMs: index * 100 })
      await whenDurable(log, 30)
      await new Promise<void>((resolve) => env.clock.after(100, resolve))
      expect(await log.applyRetention(2_500, 4)).toBe(1)
      await log.applyRetention(2_500, 30)
      expect(log.logStartOffset).toBeGreaterThan(10)
      expect(log.logStartOffset).toBeLessThanOrEqual(15)
      log.updateConfig({ ...log.config, retentionMs: -1, retentionBytes: 700 })
      await log.applyRetention(2_500, 30)
      expect(log.sizeBytes).toBeGreaterThanOrEqual(700)
      expect(log.sizeBytes).toBeLessThan(1_100)
      log.updateConfig({ ...log.config, retentionMs: 1_000, retentionBytes: -1 })
      await log.applyRetention(1e6, 30)
      expect([log.logStartOffset, log.logEndOffset, log.sizeBytes]).toEqual([30, 30, 0])
      expect(append(log, {})).toMatchObject({ baseOffset: 30 })
      await whenDurable(log, 31)
      await log.close()
    })
  })

  it('ST-15: goes by the time of writing for records without a time or with one in the future', async () => {
    for (const timestampMs of [-1, 253_402_300_000_000]) {
      await withLog(
        `time ${timestampMs}`,
        { segmentBytes: 300, retentionMs: 1_000 },
        async (log, { env }) => {
          for (let index = 0; index < 10; index++) append(log, { timestampMs })
          await whenDurable(log, 10)
          expect(await log.applyRetention(env.clock.wallTimeMs(), 10)).toBe(0)
          await new Promise<void>((resolve) => env.clock.after(2_000, resolve))
          await log.applyRetention(env.clock.wallTimeMs(), 10)
          expect(log.logStartOffset).toBe(10)
        },
      )
    }
  })

  it('deleteRecordsBefore() hides records at once and removes files of whole segments', async () => {
    await withLog('delete', { segmentBytes: 300, tailCacheBytes: 0 }, async (log, { env }) => {
      for (let index = 0; index < 20; index++) append(log)
      await whenDurable(log, 20)
      await new Promise<void>((resolve) => env.clock.after(50, resolve))
      await log.deleteRecordsBefore(8)
      expect(() => log.read(7, 20, 1, true)).toThrow(
        expect.objectContaining({ code: 'LOG_OFFSET_OUT_OF_RANGE' }),
      )
      expect(await log.read(8, 20, 1, true)).toMatchObject({ startOffset: 8 })
      const names = await env.files.list(DIRECTORY)
      expect(names.filter((name) => name.endsWith('.log')).length).toBe(log.segmentCount)
      expect(log.epochEntries()[0]).toEqual({ epoch: 0, startOffset: 8 })
    })
  })
})

describe('Lookups by time', () => {
  it('KIP-79 KIP-734: find the first record at or after a time, and the largest time', async () => {
    for (const isWritten of [false, true]) {
      await withLog(`lookup ${isWritten}`, { segmentBytes: 300, tailCacheBytes: 0 }, async (log) => {
        for (let index = 0; index < 20; index++) append(log, { timestampMs: index * 10, records: 2 })
        if (isWritten) await whenDurable(log, 40)
        expect(await log.offsetForTimestamp(0, 40)).toMatchObject({ offset: 0, timestamp: 0 })
        expect(await log.offsetForTimestamp(95, 40)).toMatchObject({ offset: 20, timestamp: 100 })
        expect(await log.offsetForTimestamp(190, 40)).toMatchObject({ offset: 38 })
        expect(await log.offsetForTimestamp(190, 38)).toBeNull()
        expect(await log.offsetForTimestamp(191, 40)).toBeNull()
        append(log, { timestampMs: 50 })
        expect(await log.offsetOfMaxTimestamp()).toMatchObject({ offset: 38, timestamp: 190 })
      })
    }
  })
})

describe('Leader epochs', () => {
  it('D5: a lost checkpoint is rebuilt with a warning; a log that was just made has nothing to warn of', async () => {
    const { simulation, env } = simulate('lost epochs')
    const warnings: string[] = []
    const logger = { ...env.logger, warn: (message: string) => void warnings.push(message) }
    const open = () => simulation.runUntil(openLog({ ...env, logger }))
    await simulation.runUntil((await open()).close())
    const log = await open()
    append(log, {}, 3)
    await simulation.runUntil(log.close())
    expect(warnings).toEqual([])
    await simulation.runUntil(env.files.remove(`${DIRECTORY}/leader-epoch-checkpoint`))
    expect((await open()).latestEpoch).toBe(3)
    expect(warnings).toEqual([expect.stringContaining('leader epoch checkpoint')])
  })

  it.each([true, false])(
    'of deleted records that are back are known again, for the log start was not kept (clean stop: %s)',
    async (wasClosedCleanly) => {
      const { simulation, env } = simulate('forgotten epochs')
      const log = await simulation.runUntil(openLog(env))
      append(log, { records: 4 }, 3)
      append(log, { records: 2 }, 4)
      append(log, { records: 3 }, 5)
      await simulation.runUntil(log.deleteRecordsBefore(7))
      expect(log.epochEntries()).toEqual([{ epoch: 5, startOffset: 7 }])
      await simulation.runUntil(log.close())
      const options = { logStartOffset: 0, recoveryPoint: 9, wasClosedCleanly }
      const opened = await simulation.runUntil(openLog(env, {}, options))
      expect(opened.logStartOffset).toBe(0)
      expect(opened.epochEntries()).toEqual([
        { epoch: 3, startOffset: 0 },
        { epoch: 4, startOffset: 4 },
        { epoch: 5, startOffset: 6 },
      ])
      expect(opened.endOffsetForEpoch(4)).toEqual({ epoch: 4, endOffset: 6 })
    },
  )

  it('KIP-101 KIP-279: an epoch ends where the next known one begins', async () => {
    await withLog('ends', {}, async (log) => {
      append(log, { records: 4 }, 2)
      append(log, { records: 3 }, 5)
      log.startEpoch(7, 7)
      expect(log.endOffsetForEpoch(1)).toEqual({ epoch: 1, endOffset: 0 })
      expect(log.endOffsetForEpoch(2)).toEqual({ epoch: 2, endOffset: 4 })
      expect(log.endOffsetForEpoch(4)).toEqual({ epoch: 2, endOffset: 4 })
      expect(log.endOffsetForEpoch(6)).toEqual({ epoch: 5, endOffset: 7 })
      expect(log.endOffsetForEpoch(7)).toEqual({ epoch: 7, endOffset: 7 })
      expect(log.endOffsetForEpoch(8)).toBeNull()
      const batch = makeBatch()
      expect(log.appendAsLeader(batch, readBatchHeader(batch), 7)).toMatchObject({ baseOffset: 7 })
    })
  })
})
