/** What a log does when its disk fails, fills up, or gives back other bytes than it got. */
import { describe, expect, it } from 'vitest'
import { FileError } from '../../src/env/index.ts'
import type { Env } from '../../src/env/index.ts'
import { MemoryFileSystem } from '../../src/env/memory/memory-file-system.ts'
import type { LogError } from '../../src/log/log-error.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { verifyDirectory } from '../../src/log/verify.ts'
import {
  append,
  DIRECTORY,
  logConfig,
  makeBatch,
  openLog,
  readAll,
  simulate,
  TOPIC_ID,
  whenDurable,
} from './support.ts'
import { readBatchHeader } from '../../src/records/batch-header.ts'

const HOME = '/data/log'
const FIRST_SEGMENT = `${DIRECTORY}/00000000000000000000.log`

interface Seen {
  readonly durable: number[]
  readonly rolledBack: number[]
  readonly failed: LogError[]
}

function watch(log: PartitionLog): Seen {
  const seen: Seen = { durable: [], rolledBack: [], failed: [] }
  log.onDurable = (offset) => seen.durable.push(offset)
  log.onRolledBack = (offset) => seen.rolledBack.push(offset)
  log.onFailed = (error) => seen.failed.push(error)
  return seen
}

describe('A failed sync', () => {
  it('ST-7 D4: ends appends for good, and nothing is acknowledged after it', async () => {
    const { simulation, env } = simulate(1)
    const log = await simulation.runUntil(openLog(env))
    const seen = watch(log)
    simulation.node('a').disk.fail({ kind: 'sync', path: (path) => path === FIRST_SEGMENT })
    append(log)
    await simulation.runUntil(() => seen.failed.length > 0)
    expect(seen.failed[0]).toMatchObject({ code: 'LOG_FAILED' })
    expect(seen.durable).toEqual([])
    expect(append(log)).toMatchObject({ kind: 'rejected', error: 'KAFKA_STORAGE_ERROR' })
    await simulation.run(simulation.nowMs + 10_000)
    expect(seen.failed).toHaveLength(1)
    await expect(simulation.runUntil(log.close())).rejects.toMatchObject({ code: 'LOG_FAILED' })
  })

  it('D4: of the directory, after a segment was begun, is as final', async () => {
    const { simulation, env } = simulate(2)
    const log = await simulation.runUntil(openLog(env, { segmentBytes: 200 }))
    const seen = watch(log)
    simulation.node('a').disk.fail({ kind: 'sync-directory', path: (path) => path === DIRECTORY, after: 1 })
    for (let index = 0; index < 5; index++) append(log)
    await simulation.runUntil(() => seen.failed.length > 0)
    expect(log.durableEndOffset).toBe(0)
  })
})

describe('A failed write', () => {
  it('D4: other than for lack of room ends appends, and reads go on below the durable end', async () => {
    const { simulation, env } = simulate(3)
    const log = await simulation.runUntil(openLog(env))
    const seen = watch(log)
    append(log)
    await simulation.runUntil(whenDurable(log, 1))
    simulation.node('a').disk.fail({ kind: 'append' })
    append(log)
    await simulation.runUntil(() => seen.failed.length > 0)
    expect(await log.read(0, Infinity, 1e6, true)).toMatchObject({ startOffset: 0, endOffset: 1 })
  })
})

describe('A process without file handles', () => {
  it('ST-9: fails what it cannot write for want of one, and goes on when it has one again', async () => {
    const { simulation, env } = simulate('handles')
    const first = await simulation.runUntil(openLog(env))
    append(first)
    await simulation.runUntil(whenDurable(first, 1))
    await simulation.runUntil(first.close())
    let hasHandles = true
    const files = new Proxy(env.files, {
      get(target, name) {
        if (name === 'open' && !hasHandles)
          return (path: string) =>
            Promise.reject(new FileError('FILE_TOO_MANY_OPEN', `Opened ${path}: no handle is left`, path))
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    const log = await simulation.runUntil(openLog({ ...env, files }, {}, { recoveryPoint: 1 }))
    const seen = watch(log)
    hasHandles = false
    append(log)
    await simulation.run(simulation.nowMs + 2_000)
    expect(append(log)).toMatchObject({ kind: 'rejected', error: 'KAFKA_STORAGE_ERROR' })
    expect(seen).toEqual({ durable: [], rolledBack: [], failed: [] })
    hasHandles = true
    await simulation.run(simulation.nowMs + 1_000)
    expect(seen).toEqual({ durable: [], rolledBack: [1], failed: [] })
    expect(append(log)).toMatchObject({ kind: 'appended', baseOffset: 1 })
    await simulation.runUntil(whenDurable(log, 2))
  })
})

describe('A full disk', () => {
  it('ST-8: fails what was not written, cuts partial bytes, and takes appends again when there is room', async () => {
    for (let freeBytes = 0; freeBytes < 500; freeBytes += 13) {
      const { simulation, env } = simulate(`full ${freeBytes}`)
      const { disk } = simulation.node('a')
      const log = await simulation.runUntil(openLog(env))
      const seen = watch(log)
      append(log, { producerId: 7, baseSequence: 0 })
      await simulation.runUntil(whenDurable(log, 1))
      disk.freeBytes = freeBytes
      for (let sequence = 1; sequence < 8; sequence++) {
        append(log, { producerId: 7, baseSequence: sequence })
        if (sequence === 4) await simulation.run(simulation.nowMs + 0.05)
      }
      await simulation.runUntil(() => seen.rolledBack.length > 0)
      const from = seen.rolledBack[0]!
      expect(log.logEndOffset).toBe(from)
      expect(log.durableEndOffset).toBe(from)
      expect(append(log, { producerId: 7, baseSequence: from })).toMatchObject({
        error: 'KAFKA_STORAGE_ERROR',
      })
      expect((await simulation.runUntil(readAll(log))).length).toBe(disk.contents(FIRST_SEGMENT)!.length)
      disk.freeBytes = 1e9
      await simulation.run(simulation.nowMs + 1_000)
      expect(append(log, { producerId: 7, baseSequence: from })).toMatchObject({
        kind: 'appended',
        baseOffset: from,
      })
      await simulation.runUntil(whenDurable(log, from + 1))
      expect(seen.failed).toEqual([])
      // R13: what was reported as failed does not come back, even if power fails in the worst way.
      simulation.node('a').powerCut()
      const again = await simulation.runUntil(openLog(simulation.node('a').restart()))
      expect(again.logEndOffset).toBe(from + 1)
      expect(again.recoveryCut).toBeNull()
    }
  })

  it('R13: a power cut right after the report does not bring failed batches back', async () => {
    for (let seed = 0; seed < 60; seed++) {
      const { simulation, env } = simulate(`report ${seed}`)
      const { disk } = simulation.node('a')
      const log = await simulation.runUntil(openLog(env))
      const seen = watch(log)
      append(log)
      await simulation.runUntil(whenDurable(log, 1))
      disk.freeBytes = 300
      for (let index = 0; index < 6; index++) append(log)
      await simulation.runUntil(() => seen.rolledBack.length > 0)
      simulation.node('a').powerCut()
      const again = await simulation.runUntil(openLog(simulation.node('a').restart()))
      expect(again.logEndOffset).toBe(seen.rolledBack[0])
    }
  })

  it('D5: without room for the indexes of a closed segment, later starts still look at it', async () => {
    let kept = 0
    for (let freeBytes = 0; freeBytes < 1200; freeBytes += 12) {
      const { simulation, env } = simulate(`indexes ${freeBytes}`)
      const node = simulation.node('a')
      const config = logConfig({ segmentBytes: 250 })
      const open = (env: Env): Promise<LogManager> => {
        const memoryFiles = new MemoryFileSystem({ clock: env.clock })
        return LogManager.open(env, { directory: HOME, nodeId: 1, memoryFiles, configFor: () => config })
      }
      const manager = await simulation.runUntil(open(env))
      const log = await simulation.runUntil(manager.create('orders', 0, TOPIC_ID, config))
      append(log, { timestampMs: 1 })
      await simulation.runUntil(whenDurable(log, 1))
      node.disk.freeBytes = freeBytes
      for (let index = 0; index < 6; index++) append(log, { timestampMs: 2 + index })
      await simulation.run(simulation.nowMs + 5)
      await simulation.runUntil(log.checkpoint())
      if (log.recoveryPoint < log.logEndOffset) kept++
      node.disk.freeBytes = 1e9
      await simulation.runUntil(manager.checkpoint())
      node.powerCut({ data: 'zero-tail', names: 'kept' })
      const again = await simulation.runUntil(open(node.restart()))
      await simulation.runUntil(again.close())
      await simulation.runUntil(
        (async () => {
          for await (const { faults } of verifyDirectory(node.env.files, HOME)) expect(faults).toEqual([])
        })(),
      )
    }
    expect(kept).toBeGreaterThan(0)
  })

  it('ST-8: at a roll drops the segment that could not be made', async () => {
    for (let freeBytes = 0; freeBytes < 900; freeBytes += 31) {
      const { simulation, env } = simulate(`roll ${freeBytes}`)
      const { disk } = simulation.node('a')
      const log = await simulation.runUntil(openLog(env, { segmentBytes: 250 }))
      const seen = watch(log)
      append(log)
      await simulation.runUntil(whenDurable(log, 1))
      disk.freeBytes = freeBytes
      for (let index = 0; index < 12; index++) append(log)
      await simulation.runUntil(() => seen.rolledBack.length > 0)
      disk.freeBytes = 1e9
      await simulation.run(simulation.nowMs + 1_000)
      const from = log.logEndOffset
      for (let index = 0; index < 12; index++) append(log)
      await simulation.runUntil(whenDurable(log, from + 12))
      expect(log.logEndOffset).toBe(from + 12)
      const bytes = await simulation.runUntil(readAll(log))
      await simulation.runUntil(log.close())
      const again = await simulation.runUntil(openLog(env, { segmentBytes: 250 }))
      expect(again.recoveryCut).toBeNull()
      expect(Buffer.compare(await simulation.runUntil(readAll(again)), bytes)).toBe(0)
    }
  })

  it('R4: fences the epoch if a reader was given what is undone, and only then', async () => {
    for (const isExposed of [true, false]) {
      const { simulation, env } = simulate(`fence ${isExposed}`)
      const { disk } = simulation.node('a')
      const log = await simulation.runUntil(openLog(env))
      const seen = watch(log)
      append(log, {}, 5)
      await simulation.runUntil(whenDurable(log, 1))
      disk.freeBytes = 0
      append(log, {}, 5)
      if (isExposed) expect(log.read(0, Infinity, 1e6, true)).toMatchObject({ endOffset: 2 })
      await simulation.runUntil(() => seen.rolledBack.length > 0)
      disk.freeBytes = 1e9
      await simulation.run(simulation.nowMs + 1_000)
      expect(append(log, {}, 5).kind).toBe(isExposed ? 'rejected' : 'appended')
      expect(log.leaderEpochMin).toBe(isExposed ? 6 : 5)
      expect(append(log, {}, 6).kind).toBe('appended')
    }
  })

  it('ST-8: a cut waits for room, and takes it up', async () => {
    await cutOnAFullDisk(true)
  })

  it('ST-8: a cut that finds no room for half a minute ends the log', async () => {
    await cutOnAFullDisk(false)
  })

  async function cutOnAFullDisk(hasRoom: boolean): Promise<void> {
    const { simulation, env } = simulate(`cut ${hasRoom}`)
    const node = simulation.node('a')
    const openHome = (given: Env) =>
      LogManager.open(given, {
        directory: HOME,
        nodeId: 1,
        memoryFiles: new MemoryFileSystem({ clock: given.clock }),
      })
    const manager = await simulation.runUntil(openHome(env))
    const log = await simulation.runUntil(manager.create('t', 0, TOPIC_ID, logConfig({ segmentBytes: 300 })))
    for (let index = 0; index < 8; index++) append(log)
    await simulation.runUntil(whenDurable(log, 8))
    await simulation.runUntil(log.checkpoint())
    await simulation.runUntil(manager.checkpoint())
    node.disk.freeBytes = 0
    let outcome = 'waits'
    log.truncateTo(3).then(
      () => (outcome = 'cut'),
      (error: unknown) => (outcome = (error as LogError).code),
    )
    await simulation.run(simulation.nowMs + 20_000)
    expect(outcome).toBe('waits')
    expect(append(log, {}, 9)).toMatchObject({ kind: 'rejected', error: 'KAFKA_STORAGE_ERROR' })
    if (!hasRoom) {
      await simulation.run(simulation.nowMs + 20_000)
      expect(outcome).toBe('LOG_FAILED')
      return
    }
    node.disk.freeBytes = 1e9
    await simulation.run(simulation.nowMs + 1000)
    expect([outcome, log.logEndOffset]).toEqual(['cut', 3])
    expect(append(log, {}, 9)).toMatchObject({ kind: 'appended', baseOffset: 3 })
    await simulation.runUntil(whenDurable(log, 4))
    node.powerCut()
    const again = (await simulation.runUntil(openHome(node.restart()))).get('t', 0)!
    expect([again.logEndOffset, again.recoveryPoint]).toEqual([4, 3])
  }

  it('ST-8: beside a truncation that waits for the write: both end, and the failure is reported', async () => {
    const { simulation, env } = simulate('both')
    const { disk } = simulation.node('a')
    const log = await simulation.runUntil(openLog(env))
    const seen = watch(log)
    for (let index = 0; index < 4; index++) append(log)
    await simulation.runUntil(whenDurable(log, 4))
    disk.freeBytes = 100
    for (let index = 0; index < 4; index++) append(log)
    await simulation.runUntil(log.truncateTo(2))
    await simulation.runUntil(() => seen.rolledBack.length > 0)
    expect(log.logEndOffset).toBe(2)
    disk.freeBytes = 1e9
    await simulation.run(simulation.nowMs + 1_000)
    expect(append(log)).toMatchObject({ kind: 'appended', baseOffset: 2 })
    await simulation.runUntil(whenDurable(log, 3))
  })
})

describe('Damaged bytes', () => {
  const build = async (seed: string) => {
    const { simulation, env } = simulate(seed)
    const log = await simulation.runUntil(openLog(env))
    for (let index = 0; index < 6; index++) append(log, { records: 2, tag: index }, index < 3 ? 1 : 4)
    await simulation.runUntil(whenDurable(log, 12))
    const bytes = await simulation.runUntil(readAll(log))
    simulation.node('a').crash()
    return { simulation, bytes, size: bytes.length / 6 }
  }

  it('ST-1: a tail torn at any byte of the last three batches leaves the whole batches before it', async () => {
    const { size } = await build('size')
    for (let length = size * 3; length < size * 6; length += 3) {
      for (const fills of [false, true]) {
        const { simulation, bytes } = await build(`torn ${length}`)
        const env = simulation.node('a').restart()
        const file = await simulation.runUntil(env.files.open(FIRST_SEGMENT, 'append'))
        await simulation.runUntil(file.truncate(length))
        if (fills) await simulation.runUntil(file.truncate(size * 6))
        await simulation.runUntil(file.close())
        const log = await simulation.runUntil(openLog(env))
        const found = await simulation.runUntil(readAll(log))
        // A batch ends with zeros of its own, so a fill may happen to restore the last one.
        const kept = Buffer.concat([bytes.subarray(0, length), new Uint8Array(fills ? size * 6 - length : 0)])
        const isRestored = (index: number) =>
          Buffer.compare(
            kept.subarray(index * size, (index + 1) * size),
            bytes.subarray(index * size, (index + 1) * size),
          ) === 0
        const whole = [0, 1, 2, 3, 4, 5, 6].findIndex((index) => index === 6 || !isRestored(index))
        expect(log.logEndOffset).toBe(whole * 2)
        expect(Buffer.compare(found, bytes.subarray(0, whole * size))).toBe(0)
        expect(log.recoveryCut === null).toBe(kept.length === whole * size)
      }
    }
  })

  it('ST-3 D2: a bit flipped in any byte of the last two batches is cut off with all after it', async () => {
    const { size } = await build('size')
    for (let position = size * 4; position < size * 6; position++) {
      const { simulation, bytes } = await build(`flip ${position}`)
      simulation.node('a').disk.flipBit(FIRST_SEGMENT, position, position % 8)
      const log = await simulation.runUntil(openLog(simulation.node('a').restart()))
      const found = await simulation.runUntil(readAll(log))
      const whole = Math.floor(position / size)
      expect([position, log.logEndOffset]).toEqual([position, whole * 2])
      expect(Buffer.compare(found, bytes.subarray(0, whole * size))).toBe(0)
      expect(log.recoveryCut).toMatchObject({
        path: FIRST_SEGMENT,
        position: whole * size,
        offset: whole * 2,
      })
    }
  })

  it('D3: below the recovery point a lost or broken batch is refused, and no file is changed', async () => {
    const { size } = await build('size')
    const damage = async (
      seed: string,
      recoveryPoint: number,
      act: (simulation: Awaited<ReturnType<typeof build>>['simulation']) => Promise<void>,
    ) => {
      const { simulation } = await build(seed)
      const env = simulation.node('a').restart()
      await act(simulation)
      const before = simulation.node('a').disk.contents(FIRST_SEGMENT)!
      await expect(simulation.runUntil(openLog(env, {}, { recoveryPoint }))).rejects.toMatchObject({
        code: 'LOG_CORRUPT',
      })
      expect(Buffer.compare(before, simulation.node('a').disk.contents(FIRST_SEGMENT)!)).toBe(0)
    }
    await damage('cut', 12, async (simulation) => {
      const file = await simulation.runUntil(simulation.env('a').files.open(FIRST_SEGMENT, 'append'))
      await simulation.runUntil(file.truncate(size * 5))
    })
    await damage('length', 8, async (simulation) =>
      simulation.node('a').disk.flipBit(FIRST_SEGMENT, size * 2 + 9, 0),
    )
    await damage('removed', 8, async (simulation) => {
      const { files } = simulation.env('a')
      await simulation.runUntil(files.rename(FIRST_SEGMENT, '/data/elsewhere'))
      const file = await simulation.runUntil(files.open(FIRST_SEGMENT, 'create'))
      await simulation.runUntil(file.close())
    })
  })

  it('ST-3 D3: an epoch that a flipped bit has raised is found by the batch behind it when epochs are read from batches', async () => {
    const { simulation, env } = simulate('epoch')
    const log = await simulation.runUntil(openLog(env))
    for (let index = 0; index < 6; index++) append(log, {}, index < 3 ? 0 : 1)
    await simulation.runUntil(whenDurable(log, 6))
    const size = log.sizeBytes / 6
    await simulation.runUntil(log.close())
    simulation.node('a').disk.flipBit(FIRST_SEGMENT, size + 14, 7)
    const open = (recoveryPoint: number) => simulation.runUntil(openLog(env, {}, { recoveryPoint }))
    // The list of epochs is right, and nothing below the recovery point is read.
    const again = await open(6)
    expect(again.latestEpoch).toBe(1)
    await simulation.runUntil(again.close())
    await simulation.runUntil(env.files.remove(`${DIRECTORY}/leader-epoch-checkpoint`))
    await expect(open(6)).rejects.toMatchObject({ code: 'LOG_CORRUPT' })
  })

  it('ST-2 D3: are never served: a read of a rotten batch from disk fails, one of a sound batch does not', async () => {
    const { simulation, env } = simulate('rot')
    const log = await simulation.runUntil(openLog(env, { tailCacheBytes: 0 }))
    for (let index = 0; index < 5; index++) append(log)
    await simulation.runUntil(whenDurable(log, 5))
    const size = log.sizeBytes / 5
    simulation.node('a').disk.flipBit(FIRST_SEGMENT, size * 2 + 70, 3)
    await expect(simulation.runUntil(Promise.resolve(log.read(2, 5, 1e6, true)))).rejects.toMatchObject({
      code: 'LOG_CORRUPT',
    })
    expect(await simulation.runUntil(Promise.resolve(log.read(3, 5, 1e6, true)))).toMatchObject({
      startOffset: 3,
      endOffset: 5,
    })
  })
})

describe('Caches', () => {
  it('D5 ST-4: missing, empty, longer, foreign or flipped, they change nothing but time', async () => {
    const { simulation, env } = simulate('caches')
    const build = openLog(env, { segmentBytes: 700, tailCacheBytes: 0 })
    const log = await simulation.runUntil(build)
    for (let index = 0; index < 30; index++)
      append(
        log,
        { timestampMs: index * 10, producerId: index % 3, baseSequence: Math.floor(index / 3) },
        index < 15 ? 2 : 3,
      )
    await simulation.runUntil(whenDurable(log, 30))
    const bytes = await simulation.runUntil(readAll(log))
    const producers = JSON.stringify(
      [...log.producers().entries()]
        .map((entry) => [entry.producerId, entry.lastSequence, entry.count])
        .sort(),
    )
    await simulation.runUntil(log.close())
    const names = (await simulation.runUntil(env.files.list(DIRECTORY))).filter(
      (name) => !/\.log$|partition/.test(name),
    )
    const damages = ['remove', 'empty', 'longer', 'zeros', 'flip', 'swap'] as const
    for (const name of names) {
      for (const damage of damages) {
        for (const wasClosedCleanly of [true, false]) {
          const path = `${DIRECTORY}/${name}`
          const good = simulation.node('a').disk.contents(path)!
          const write = async (content: Uint8Array) => {
            const file = await env.files.open(path, 'append')
            await file.truncate(0)
            await file.append([content])
            await file.close()
          }
          const other = names.find(
            (candidate) => candidate !== name && candidate.split('.').at(-1) === name.split('.').at(-1),
          )
          await simulation.runUntil(
            damage === 'remove'
              ? env.files.remove(path)
              : write(
                  damage === 'empty'
                    ? new Uint8Array(0)
                    : damage === 'longer'
                      ? Buffer.concat([good, good, good])
                      : damage === 'zeros'
                        ? new Uint8Array(good.length + 48)
                        : damage === 'flip'
                          ? good.map((byte, index) => (index % 5 === 3 ? byte ^ 0x11 : byte))
                          : other === undefined
                            ? Buffer.from('another file')
                            : simulation.node('a').disk.contents(`${DIRECTORY}/${other}`)!,
                ),
          )
          const opened = await simulation.runUntil(
            openLog(env, { segmentBytes: 700, tailCacheBytes: 0 }, { recoveryPoint: 30, wasClosedCleanly }),
          )
          const label = `${damage} ${name} clean=${wasClosedCleanly}`
          expect([label, opened.logEndOffset, opened.recoveryCut]).toEqual([label, 30, null])
          for (const offset of [0, 7, 14, 21, 29]) {
            const slice = await simulation.runUntil(Promise.resolve(opened.read(offset, 30, 1, true)))
            expect([label, slice.startOffset]).toEqual([label, offset])
            const found = await simulation.runUntil(opened.offsetForTimestamp(offset * 10, 30))
            expect([label, found?.offset]).toEqual([label, offset])
          }
          expect(Buffer.compare(await simulation.runUntil(readAll(opened)), bytes)).toBe(0)
          expect([label, opened.epochEntries()]).toEqual([
            label,
            [
              { epoch: 2, startOffset: 0 },
              { epoch: 3, startOffset: 15 },
            ],
          ])
          expect([
            label,
            JSON.stringify(
              [...opened.producers().entries()]
                .map((entry) => [entry.producerId, entry.lastSequence, entry.count])
                .sort(),
            ),
          ]).toEqual([label, producers])
          await simulation.runUntil(opened.close())
          await simulation.runUntil(write(good))
        }
      }
    }
  })

  it('D5 ST-4: an index entry that rots between sound ones is found out when it is used', async () => {
    for (const name of ['index', 'timeindex']) {
      const { simulation, env } = simulate(`entry ${name}`)
      let log = await simulation.runUntil(openLog(env, { tailCacheBytes: 0 }))
      for (let index = 0; index < 60; index++) append(log, { timestampMs: index * 10 })
      await simulation.runUntil(whenDurable(log, 60))
      await simulation.runUntil(log.close())
      const path = `${DIRECTORY}/00000000000000000000.${name}`
      const entryBytes = name === 'index' ? 8 : 12
      for (let entry = 20; entry < 40; entry++) {
        const position = entry * entryBytes + entryBytes - 1
        simulation.node('a').disk.flipBit(path, position, 1)
        log = await simulation.runUntil(
          openLog(env, { tailCacheBytes: 0 }, { recoveryPoint: 60, wasClosedCleanly: true }),
        )
        for (const offset of [entry + 2, entry + 1, entry, entry - 1]) {
          expect(await simulation.runUntil(Promise.resolve(log.read(offset, 60, 1, true)))).toMatchObject({
            startOffset: offset,
          })
          expect(await simulation.runUntil(log.offsetForTimestamp(offset * 10, 60))).toMatchObject({ offset })
        }
        await simulation.runUntil(log.close())
      }
    }
  })

  it('RP-16: an epoch in which nothing was written is still known after a restart', async () => {
    const { simulation, env } = simulate('epochs')
    let log = await simulation.runUntil(openLog(env))
    append(log, {}, 1)
    log.startEpoch(4, 1)
    await simulation.runUntil(log.close())
    log = await simulation.runUntil(openLog(env, {}, { recoveryPoint: 1 }))
    expect(log.latestEpoch).toBe(4)
    expect(log.endOffsetForEpoch(3)).toEqual({ epoch: 1, endOffset: 1 })
    // The leader's own log goes on in epoch 2: what this replica led is forgotten, and its batches are taken.
    const batch = makeBatch()
    const leader = await simulation.runUntil(
      openLog(env, {}, { directory: '/data/leader-0', topic: 'leader' }),
    )
    append(leader, {}, 1)
    leader.appendAsLeader(batch, readBatchHeader(batch), 2)
    log.appendAsFollower(batch)
    expect(log.epochEntries()).toEqual([
      { epoch: 1, startOffset: 0 },
      { epoch: 2, startOffset: 1 },
    ])
  })
})
