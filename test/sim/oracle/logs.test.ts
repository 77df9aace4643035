import { describe, expect, it } from 'vitest'
import { Simulation } from '../../../src/env/sim/simulation.ts'
import type { SimNode } from '../../../src/env/sim/sim-node.ts'
import { BatchBuilder } from '../../../src/records/batch-builder.ts'
import { assignOffsets } from '../../../src/records/batch-header.ts'
import { DiskLog } from './disk-log.ts'
import { checkEqual, LogRules } from './logs.ts'
import type { LogUnderTest } from './logs.ts'
import { PartitionTruth } from './truth.ts'

interface Written {
  readonly base: number
  readonly epoch?: number
  readonly count?: number
  readonly value?: string
  readonly key?: string
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly sequence?: number
}

/** A machine whose disk has a log of these batches. */
async function aDisk(batches: readonly Written[], name = 'b1'): Promise<{ disk: DiskLog; node: SimNode }> {
  const simulation = new Simulation({ seed: 1 })
  const node = simulation.node(name)
  node.disk.prepareDirectory('/data/t-0')
  await write(simulation, node, batches)
  return { disk: new DiskLog(node, '/data/t-0', 'live'), node }
}

async function write(
  simulation: Simulation,
  node: SimNode,
  batches: readonly Written[],
  base = 0,
): Promise<void> {
  const name = `/data/t-0/${base.toString().padStart(20, '0')}.log`
  const file = await simulation.runUntil(node.env.files.open(name, 'append'))
  await simulation.runUntil(Promise.resolve(file.append(batches.map(encode))))
  await simulation.runUntil(file.close())
}

function encode(written: Written): Uint8Array {
  const {
    base,
    epoch = 0,
    count = 1,
    value = 'v',
    key,
    producerId,
    producerEpoch = 0,
    sequence = 0,
  } = written
  const builder = new BatchBuilder(256)
  const record = { key: key === undefined ? null : Buffer.from(key), value: Buffer.from(value), timestamp: 1 }
  for (let index = 0; index < count; index++) builder.append(record)
  const producer = producerId === undefined ? {} : { producerId, producerEpoch, baseSequence: sequence }
  const bytes = builder.seal(producer).slice()
  assignOffsets(bytes, 0, base, epoch)
  return bytes
}

const TRUTH = (): PartitionTruth => new PartitionTruth('t', 0)

async function aLog(batches: readonly Written[], rest: Partial<LogUnderTest> = {}): Promise<LogUnderTest> {
  const { disk } = await aDisk(batches)
  return { truth: TRUTH(), host: 'b1', disk, highWatermark: 100, isCompacted: false, ...rest }
}

async function checking(batches: readonly Written[]): Promise<() => void> {
  const log = await aLog(batches)
  return () => new LogRules().check(log)
}

describe('LogRules', () => {
  it('finds nothing in a sound log', async () => {
    const sound = [
      { base: 0, count: 2 },
      { base: 2, epoch: 1 },
      { base: 3, epoch: 1 },
    ]
    expect(await checking(sound)).not.toThrow()
  })

  it('R4: two replicas that hold different batches below their high watermarks', async () => {
    const truth = TRUTH()
    truth.trueHighWatermark = 2
    const rules = new LogRules()
    rules.check(await aLog([{ base: 0 }, { base: 1, epoch: 1 }], { truth }))
    const behind = await aLog([{ base: 0 }, { base: 1, epoch: 2, value: 'other' }], {
      truth,
      highWatermark: 1,
    })
    expect(() => rules.check(behind)).not.toThrow()
    expect(() => rules.check({ ...behind, highWatermark: 2 })).toThrow(/^R4: /)
  })

  it('R5: leader epochs that fall', async () => {
    expect(
      await checking([
        { base: 0, epoch: 2 },
        { base: 1, epoch: 1 },
      ]),
    ).toThrow(/^R5: /)
  })

  it('R6: two batches at one offset of one leader epoch', async () => {
    const truth = TRUTH()
    const rules = new LogRules()
    rules.check(await aLog([{ base: 0, epoch: 1 }], { truth }))
    const other = await aLog([{ base: 0, epoch: 1, value: 'other' }], { truth })
    expect(() => rules.check(other)).toThrow(/^R6: /)
  })

  it('R10: a gap, and not in a compacted log', async () => {
    const batches = [{ base: 0 }, { base: 2 }]
    expect(await checking(batches)).toThrow(/^R10: /)
    const compacted = await aLog(batches, { isCompacted: true })
    expect(() => new LogRules().check(compacted)).not.toThrow()
    const back = await aLog([{ base: 5 }, { base: 4 }], { isCompacted: true })
    expect(() => new LogRules().check(back)).toThrow(/^R10: /)
  })

  it('P1: a sequence that is left out, comes twice, or begins an epoch in its middle', async () => {
    const by = (base: number, sequence: number, producerEpoch = 0) => ({
      base,
      producerId: 7,
      sequence,
      producerEpoch,
    })
    expect(await checking([by(0, 0), by(1, 1), by(2, 0, 1)])).not.toThrow()
    expect(await checking([by(0, 0), by(1, 2)])).toThrow(/^P1: /)
    expect(await checking([by(0, 0), by(1, 0)])).toThrow(/^P1: /)
    expect(await checking([by(0, 0), by(1, 1, 1)])).toThrow(/^P1: /)
    expect(await checking([by(0, 0, 1), by(1, 1, 0)])).toThrow(/^P1: /)
  })

  it('P2: producers that are not remembered as the log has them', async () => {
    const log = await aLog([
      { base: 0, producerId: 7, sequence: 0 },
      { base: 1, producerId: 7, sequence: 1 },
    ])
    const rules = new LogRules()
    rules.check(log)
    const batches = [
      { lastSequence: 0, lastOffset: 0 },
      { lastSequence: 1, lastOffset: 1 },
    ]
    const entry = { producerId: 7, epoch: 0, count: 2, batchAt: (index: number) => batches[index]! }
    expect(() => rules.checkProducers(log, [entry])).not.toThrow()
    expect(() => rules.checkProducers(log, [])).toThrow(/^P2: /)
    expect(() => rules.checkProducers(log, [{ ...entry, epoch: 1 }])).toThrow(/^P2: /)
    expect(() => rules.checkProducers(log, [{ ...entry, count: 1 }])).toThrow(/^P2: /)
    expect(() => rules.checkProducers(log, [entry, { ...entry, producerId: 8 }])).toThrow(/^P2: /)
  })

  it('R16: replicas that are not equal at rest', async () => {
    const one = await aLog([{ base: 0 }, { base: 1 }])
    expect(() => checkEqual([one, one])).not.toThrow()
    const shorter = await aLog([{ base: 0 }])
    expect(() => checkEqual([one, shorter])).toThrow(/^R16: /)
  })

  it('R16: of compacted logs the newest record of each key counts', async () => {
    const isCompacted = true
    const whole = await aLog(
      [
        { base: 0, key: 'a' },
        { base: 1, key: 'a', value: 'w' },
      ],
      { isCompacted },
    )
    const cleaned = await aLog([{ base: 1, key: 'a', value: 'w' }], { isCompacted })
    expect(() => checkEqual([whole, cleaned])).not.toThrow()
    const stale = await aLog([{ base: 0, key: 'a' }], { isCompacted })
    expect(() => checkEqual([whole, stale])).toThrow(/^R16: /)
  })
})

describe('DiskLog', () => {
  it('sees a log that was cut and has grown past its old end', async () => {
    const { disk, node } = await aDisk([{ base: 0 }, { base: 1 }, { base: 2 }])
    expect(disk.look().endOffset).toBe(3)
    const { simulation } = node
    const name = '/data/t-0/00000000000000000000.log'
    const file = await simulation.runUntil(node.env.files.open(name, 'append'))
    await simulation.runUntil(file.truncate(encode({ base: 0 }).length))
    await simulation.runUntil(
      Promise.resolve(file.append([1, 2, 3, 4].map((base) => encode({ base, epoch: 1 })))),
    )
    await write(simulation, node, [{ base: 5, epoch: 1 }], 5)
    await write(simulation, node, [{ base: 6, epoch: 1 }], 6)
    expect([...disk.look().batches()].map(({ epoch }) => epoch)).toEqual([0, 1, 1, 1, 1, 1, 1])
  })

  it('ends where a checksum does not fit', async () => {
    const { disk, node } = await aDisk([{ base: 0 }, { base: 1 }])
    node.disk.flipBit('/data/t-0/00000000000000000000.log', encode({ base: 0 }).length + 65, 0)
    expect(disk.look().endOffset).toBe(1)
  })

  it('tells what is on the platter from what is not', async () => {
    const { node } = await aDisk([{ base: 0 }])
    expect(new DiskLog(node, '/data/t-0', 'durable').look().endOffset).toBe(0)
  })
})
