/**
 * The runtime of coordinators over logs whose every outcome is decided here: what is told to whom while a shard loads, leads,
 * loses its log or its leadership.
 */
import { describe, expect, it } from 'vitest'
import type { CoordinatorRecord } from '../../src/coordinator/records/coordinator-record.ts'
import { CoordinatorRuntime, LOADS_MAX } from '../../src/coordinator/runtime.ts'
import type { Shard } from '../../src/coordinator/runtime.ts'
import { CoordinatorFailure } from '../../src/coordinator/shard-context.ts'
import type { ShardContext } from '../../src/coordinator/shard-context.ts'
import { LOAD_PIECE_BYTES } from '../../src/coordinator/shard-loader.ts'
import { UNCOMMITTED_BYTES_MAX } from '../../src/coordinator/shard-writer.ts'
import { silentLogger } from '../../src/env/index.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import type { ErrorName } from '../../src/protocol/errors.ts'
import { commitOf, FakeLog } from './support/fake-log.ts'

const WRITE_TIMEOUT_MS = 5000

/** A state that is the list of its records. */
class FakeShard implements Shard {
  readonly write: ShardContext['write']
  readonly state: CoordinatorRecord[] = []
  isLoaded = false
  closedWith: ErrorName | null = null
  closeCount = 0
  onReplay: (record: CoordinatorRecord) => void = () => undefined

  constructor(write: ShardContext['write']) {
    this.write = write
  }

  replay(record: CoordinatorRecord): void {
    this.onReplay(record)
    this.state.push(record)
  }

  loaded(): void {
    this.isLoaded = true
  }

  close(error: ErrorName): void {
    this.closedWith = error
    this.closeCount++
  }
}

function stage() {
  const simulation = new Simulation({ seed: 'runtime' })
  const { clock, random } = simulation.env('broker')
  const made: FakeShard[] = []
  const runtime = new CoordinatorRuntime<FakeShard>(
    { clock, random, logger: silentLogger },
    {
      writeTimeoutMs: WRITE_TIMEOUT_MS,
      createShard: (_, write) => {
        const shard = new FakeShard(write)
        made.push(shard)
        return shard
      },
    },
  )
  const pass = (ms: number): Promise<void> => simulation.run(simulation.nowMs + ms)
  const ready = async (log: FakeLog): Promise<FakeShard> => {
    runtime.lead(log)
    await pass(10)
    const shard = runtime.findShard(log.index)
    if (typeof shard === 'string') throw new Error(shard)
    return shard
  }
  return { runtime, made, pass, ready }
}

/** What becomes of a write: null when it was acknowledged, 'waiting' while it is not. */
function watch(write: Promise<void>): { outcome: ErrorName | null | 'waiting' } {
  const seen: { outcome: ErrorName | null | 'waiting' } = { outcome: 'waiting' }
  write.then(
    () => (seen.outcome = null),
    (error: unknown) => {
      if (!(error instanceof CoordinatorFailure)) throw error
      seen.outcome = error.error
    },
  )
  return seen
}

describe('A shard that loads', () => {
  it('G6: answers COORDINATOR_LOAD_IN_PROGRESS until it has all that was in the log at the election, committed or not', async () => {
    const { runtime, made, pass } = stage()
    const log = new FakeLog()
    log.commits = false
    log.put([commitOf('a', 1)], [commitOf('b', 2), commitOf('c', 3)])
    let go: () => void = () => undefined
    log.onRead = () => new Promise((resolve) => (go = resolve))

    runtime.lead(log)
    await pass(1000)

    expect(runtime.findShard(0)).toBe('COORDINATOR_LOAD_IN_PROGRESS')
    expect(runtime.loadingCount).toBe(1)
    expect(watch(made[0]!.write([])).outcome).toBe('waiting')
    expect(made[0]!.isLoaded).toBe(false)
    go()
    await pass(10)
    const shard = runtime.findShard(0) as FakeShard
    expect(shard.state).toEqual(log.records())
    expect(shard.isLoaded).toBe(true)
    expect(runtime.loadingCount).toBe(0)
  })

  it('tells nothing of what it found in the log before that is committed', async () => {
    const { pass, ready } = stage()
    const log = new FakeLog().put([commitOf('a', 1)])
    log.highWatermark = 0
    const shard = await ready(log)

    const read = watch(shard.write([]))
    await pass(10)
    expect(read.outcome).toBe('waiting')
    log.commit()
    await pass(1)
    expect(read.outcome).toBe(null)
  })

  it('CG-1: that cannot read its log, or finds it damaged, goes on loading and is never empty', async () => {
    const { runtime, made, pass } = stage()
    const log = new FakeLog().put([commitOf('a', 1)], [commitOf('b', 2)])
    log.readErrors.push(new Error('cannot be read'), new Error('cannot be read'))
    const [first] = log.batches
    const damaged = first!.slice()
    damaged[damaged.length - 1]! ^= 1

    runtime.lead(log)
    for (let ms = 0; ms < 40; ms++) {
      expect(runtime.findShard(0)).toBe('COORDINATOR_LOAD_IN_PROGRESS')
      await pass(1)
    }
    log.batches[0] = damaged
    await pass(60_000)
    expect(runtime.findShard(0)).toBe('COORDINATOR_LOAD_IN_PROGRESS')
    log.batches[0] = first!
    await pass(10_000)

    expect((runtime.findShard(0) as FakeShard).state).toEqual(log.records())
    expect(made.length).toBeGreaterThan(3)
    for (const shard of made.slice(0, -1)) {
      expect(shard).toMatchObject({ closedWith: 'NOT_COORDINATOR', closeCount: 1, isLoaded: false })
    }
  })

  it('whose log loses its end meanwhile begins anew', async () => {
    const { runtime, pass } = stage()
    const log = new FakeLog().put([commitOf('a', 1)], [commitOf('b', 2)])
    log.onRead = () => {
      log.onRead = () => Promise.resolve()
      log.undo()
      return Promise.resolve()
    }
    runtime.lead(log)
    await pass(1000)
    expect((runtime.findShard(0) as FakeShard).state).toEqual([commitOf('a', 1)])
  })

  it('reads in pieces, and lets others work between them', async () => {
    const { runtime, made, pass } = stage()
    const log = new FakeLog()
    const metadata = 'm'.repeat(4000)
    const batch = Array.from({ length: 50 }, (_, each) => commitOf('a', each, metadata))
    log.put(...Array.from({ length: 20 }, () => batch))
    const found: number[] = []
    log.onRead = () => {
      found.push(made[0]!.state.length)
      return Promise.resolve()
    }
    runtime.lead(log)
    await pass(100)
    const perPiece = 50 * Math.floor(LOAD_PIECE_BYTES / log.batches[0]!.length)
    expect(found).toEqual(Array.from({ length: Math.ceil(1000 / perPiece) }, (_, each) => each * perPiece))
    expect((runtime.findShard(0) as FakeShard).state).toHaveLength(1000)
  })

  it(`waits while ${LOADS_MAX} others load`, async () => {
    const { runtime, pass } = stage()
    const gates: (() => void)[] = []
    const logs = Array.from({ length: LOADS_MAX + 3 }, (_, index) =>
      new FakeLog(index).put([commitOf('a', 1)]),
    )
    for (const log of logs) {
      log.onRead = () => new Promise((resolve) => gates.push(resolve))
      runtime.lead(log)
    }
    const underWay = (): number => logs.filter(({ readsUnderWay }) => readsUnderWay > 0).length
    await pass(10)
    expect(underWay()).toBe(LOADS_MAX)
    runtime.resign(LOADS_MAX + 2)
    while (gates.length > 0) {
      gates.shift()!()
      await pass(10)
      expect(underWay()).toBeLessThanOrEqual(LOADS_MAX)
    }
    expect(logs.map(({ index }) => typeof runtime.findShard(index))).toEqual([
      ...Array<string>(LOADS_MAX + 2).fill('object'),
      'string',
    ])
  })

  it('that is given up while it loads never comes to be', async () => {
    const { runtime, made, pass } = stage()
    const log = new FakeLog().put([commitOf('a', 1)])
    let go: () => void = () => undefined
    log.onRead = () => new Promise((resolve) => (go = resolve))
    runtime.lead(log)
    await pass(1)
    runtime.resign(0)
    go()
    await pass(60_000)
    expect(runtime.findShard(0)).toBe('NOT_COORDINATOR')
    expect(made).toHaveLength(1)
    expect(made[0]).toMatchObject({ isLoaded: false, closeCount: 1 })
  })
})

describe('A write', () => {
  it('changes the state at once, and is acknowledged when it is committed', async () => {
    const { pass, ready } = stage()
    const log = new FakeLog()
    log.commits = false
    const shard = await ready(log)

    const write = watch(shard.write([commitOf('a', 1)]))
    expect(shard.state).toEqual([commitOf('a', 1)])
    const read = watch(shard.write([]))
    await pass(10)
    expect(log.records()).toEqual([commitOf('a', 1)])
    expect([write.outcome, read.outcome]).toEqual(['waiting', 'waiting'])
    log.commit()
    await pass(1)
    expect([write.outcome, read.outcome]).toEqual([null, null])
  })

  it('becomes one batch with the others of its turn', async () => {
    const { pass, ready } = stage()
    const log = new FakeLog()
    const shard = await ready(log)

    const writes = Array.from({ length: 1000 }, (_, each) => watch(shard.write([commitOf(`g${each}`, each)])))
    await pass(1)
    const next = watch(shard.write([commitOf('later', 1), commitOf('later', 2)]))
    await pass(1)

    expect(log.recordCounts).toEqual([1000, 2])
    expect([...writes, next].every(({ outcome }) => outcome === null)).toBe(true)
    expect(log.records()).toEqual(shard.state)
  })

  it('is in one batch with itself, and no batch is larger than the topic takes', async () => {
    const { pass, ready } = stage()
    const log = new FakeLog()
    log.batchBytesMax = 2000
    const shard = await ready(log)
    const pair = (group: string) => [commitOf(group, 1, 'm'.repeat(400)), commitOf(group, 2, 'm'.repeat(400))]

    const writes = ['a', 'b', 'c', 'd', 'e'].map((group) => watch(shard.write(pair(group))))
    await pass(1)

    expect(log.recordCounts).toEqual([4, 4, 2])
    expect(writes.every(({ outcome }) => outcome === null)).toBe(true)
    expect(log.records()).toEqual(shard.state)
  })

  it('that is larger than a batch may be is refused before it changes anything', async () => {
    const { pass, ready } = stage()
    const log = new FakeLog()
    log.batchBytesMax = 2000
    const shard = await ready(log)
    const large = watch(shard.write([commitOf('a', 1, 'm'.repeat(1500)), commitOf('a', 1, 'm'.repeat(1500))]))
    const group: CoordinatorRecord = {
      kind: 'GroupMetadata',
      key: { group: 'g'.repeat(3000) },
      value: null,
    }
    const other = watch(shard.write([group]))
    const small = watch(shard.write([commitOf('a', 1)]))
    await pass(1)
    expect(large.outcome).toBe('INVALID_COMMIT_OFFSET_SIZE')
    expect(other.outcome).toBe('UNKNOWN_SERVER_ERROR')
    expect(small.outcome).toBe(null)
    expect(shard.state).toEqual([commitOf('a', 1)])
  })

  it.each<[ErrorName, ErrorName]>([
    ['NOT_ENOUGH_REPLICAS', 'COORDINATOR_NOT_AVAILABLE'],
    ['NOT_LEADER_OR_FOLLOWER', 'NOT_COORDINATOR'],
    ['KAFKA_STORAGE_ERROR', 'NOT_COORDINATOR'],
  ])('that the log would refuse with %s is refused with %s, and changes nothing', async (fault, error) => {
    const { pass, ready } = stage()
    const log = new FakeLog()
    const shard = await ready(log)
    log.fault = fault
    const write = watch(shard.write([commitOf('a', 1)]))
    const read = watch(shard.write([]))
    await pass(10)
    expect(write.outcome).toBe(error)
    expect(read.outcome).toBe(null)
    expect(shard).toMatchObject({ state: [], closeCount: 0 })
  })

  it('is refused while too much is not committed', async () => {
    const { pass, ready } = stage()
    const log = new FakeLog()
    log.commits = false
    const shard = await ready(log)
    const record = commitOf('a', 1, 'm'.repeat(30_000))
    const writes = Array.from({ length: 600 }, () => watch(shard.write([record])))
    await pass(10)
    const taken = writes.filter(({ outcome }) => outcome === 'waiting').length
    expect(Math.abs(taken - UNCOMMITTED_BYTES_MAX / 30_060)).toBeLessThan(2)
    expect(writes.at(-1)!.outcome).toBe('COORDINATOR_NOT_AVAILABLE')
    expect(shard.state).toHaveLength(taken)
    log.commit()
    log.commits = true
    const later = watch(shard.write([record]))
    await pass(1)
    expect(later.outcome).toBe(null)
  })

  it('that the state does not take is not in the log, nor are those of its turn', async () => {
    const { runtime, pass, ready } = stage()
    const log = new FakeLog().put([commitOf('a', 0)])
    const shard = await ready(log)
    shard.onReplay = ({ key }) => {
      if ('group' in key && key.group === 'bad') throw new Error('defect')
    }
    const good = watch(shard.write([commitOf('a', 1)]))
    await expect(shard.write([commitOf('bad', 1)])).rejects.toThrow('defect')
    await pass(1000)
    expect(good.outcome).toBe('UNKNOWN_SERVER_ERROR')
    expect(log.records()).toEqual([commitOf('a', 0)])
    expect((runtime.findShard(0) as FakeShard).state).toEqual([commitOf('a', 0)])
  })

  it('whose commit takes too long ends the shard; a read only waits in vain', async () => {
    const { runtime, made, pass, ready } = stage()
    const log = new FakeLog().put([commitOf('a', 0)])
    log.highWatermark = 0
    log.commits = false
    const shard = await ready(log)

    const read = watch(shard.write([]))
    await pass(WRITE_TIMEOUT_MS + 1)
    expect(read.outcome).toBe('COORDINATOR_NOT_AVAILABLE')
    expect(shard.closeCount).toBe(0)
    const write = watch(shard.write([commitOf('a', 1)]))
    await pass(WRITE_TIMEOUT_MS - 1)
    expect(write.outcome).toBe('waiting')
    await pass(1000)
    expect(write.outcome).toBe('COORDINATOR_NOT_AVAILABLE')
    expect(shard).toMatchObject({ closedWith: 'NOT_COORDINATOR', closeCount: 1 })
    // It is in the log, so the next shard knows it, and tells it once it is committed.
    expect(made).toHaveLength(2)
    expect((runtime.findShard(0) as FakeShard).state).toEqual([commitOf('a', 0), commitOf('a', 1)])
  })
})

describe('A shard whose leader changes', () => {
  it('CG-3: acknowledges nothing any more and answers NOT_COORDINATOR to all who wait, before it is told to resign', async () => {
    const { runtime, pass, ready } = stage()
    const log = new FakeLog()
    log.commits = false
    const shard = await ready(log)
    const write = watch(shard.write([commitOf('a', 1)]))
    await pass(1)

    log.depose()
    expect(runtime.findShard(0)).toBe('NOT_COORDINATOR')
    expect([...runtime.shards()]).toEqual([])
    const late = watch(shard.write([commitOf('a', 2)]))
    const read = watch(shard.write([]))
    await pass(1)
    expect([write.outcome, late.outcome, read.outcome]).toEqual(Array(3).fill('NOT_COORDINATOR'))
    expect(log.recordCounts).toEqual([1])
    runtime.resign(0)
    await pass(60_000)
    expect(shard).toMatchObject({ closedWith: 'NOT_COORDINATOR', closeCount: 1 })
    expect(log.isWatched).toBe(false)
  })

  it('CG-2: what was appended in one epoch is not acknowledged by a commit in the next', async () => {
    const { runtime, pass, ready } = stage()
    const log = new FakeLog()
    log.commits = false
    const shard = await ready(log)
    const write = watch(shard.write([commitOf('a', 1)]))
    await pass(1)
    // Cut from the log, with a record of another in its place, which is committed.
    const next = log.inEpoch(2)
    next.undo()
    next.put([commitOf('b', 7)])
    log.isLed = false
    log.logEndOffset = log.highWatermark = next.logEndOffset
    runtime.lead(next)
    log.commit()
    await pass(10)

    expect(write.outcome).toBe('NOT_COORDINATOR')
    expect(shard.closeCount).toBe(1)
    expect((runtime.findShard(0) as FakeShard).state).toEqual([commitOf('b', 7)])
  })

  it('G5: is loaded anew in a new epoch of the same leader', async () => {
    const { runtime, pass, ready } = stage()
    const log = new FakeLog()
    const shard = await ready(log)
    watch(shard.write([commitOf('a', 1)]))
    await pass(1)
    const next = log.inEpoch(2)
    log.isLed = false
    runtime.lead(next)
    expect(runtime.findShard(0)).toBe('COORDINATOR_LOAD_IN_PROGRESS')
    expect(runtime.findLog(0)).toBe(next)
    await pass(10)
    expect(runtime.findShard(0)).not.toBe(shard)
    expect(watch(shard.write([])).outcome).toBe('waiting')
    expect((runtime.findShard(0) as FakeShard).state).toEqual([commitOf('a', 1)])
  })

  it('closes all when the broker stops', async () => {
    const { runtime, made, pass } = stage()
    for (let index = 0; index < 10; index++) runtime.lead(new FakeLog(index))
    await pass(10)
    runtime.close()
    expect(made.map(({ closeCount }) => closeCount)).toEqual(Array(10).fill(1))
    expect(runtime.findShard(3)).toBe('NOT_COORDINATOR')
  })
})

describe('A shard whose log undoes what was appended', () => {
  it('forgets it, too: it is loaded anew in the same epoch', async () => {
    const { runtime, pass, ready } = stage()
    const log = new FakeLog()
    const shard = await ready(log)
    watch(shard.write([commitOf('a', 1)]))
    await pass(1)
    log.commits = false
    const lost = watch(shard.write([commitOf('a', 2)]))
    await pass(1)

    log.undo()
    expect(runtime.findShard(0)).toBe('COORDINATOR_LOAD_IN_PROGRESS')
    await pass(1000)
    expect(lost.outcome).toBe('NOT_COORDINATOR')
    expect(shard).toMatchObject({ closedWith: 'NOT_COORDINATOR', closeCount: 1 })
    expect((runtime.findShard(0) as FakeShard).state).toEqual([commitOf('a', 1)])
  })

  it('is loaded anew as well when the append itself fails, after all', async () => {
    const { runtime, pass, ready } = stage()
    const log = new FakeLog()
    const shard = await ready(log)
    log.surprise = 'KAFKA_STORAGE_ERROR'
    const write = watch(shard.write([commitOf('a', 1)]))
    await pass(1)
    expect(write.outcome).toBe('NOT_COORDINATOR')
    log.surprise = null
    await pass(1000)
    const next = runtime.findShard(0) as FakeShard
    expect(next.state).toEqual([])
    const again = watch(next.write([commitOf('a', 1)]))
    await pass(1)
    expect(again.outcome).toBe(null)
  })
})
