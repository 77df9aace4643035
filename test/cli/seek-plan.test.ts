/** Where a group goes on, for each way to ask. */
import { describe, expect, it } from 'vitest'
import { shortList } from '../../cli/group-describe.ts'
import { isChange, planSeek } from '../../cli/seek-plan.ts'
import type { SeekPartition, SeekTarget } from '../../cli/seek-plan.ts'

const partition: SeekPartition = {
  ...{ topic: 't', partition: 0, currentOffset: 20, startOffset: 10, endOffset: 30, foundOffset: null },
}

describe('planSeek()', () => {
  it.each<[SeekTarget, Partial<SeekPartition>, number | null, number | null]>([
    [{ kind: 'earliest' }, {}, 10, null],
    [{ kind: 'latest' }, {}, 30, null],
    [{ kind: 'time', timestampMs: 1 }, { foundOffset: 17 }, 17, null],
    [{ kind: 'time', timestampMs: 1 }, {}, 30, null],
    [{ kind: 'offset', offset: 15 }, {}, 15, null],
    [{ kind: 'offset', offset: 9 }, {}, 10, 9],
    [{ kind: 'offset', offset: 30 }, {}, 30, null],
    [{ kind: 'offset', offset: 31 }, {}, 30, 31],
    [{ kind: 'shift', by: 5 }, {}, 25, null],
    [{ kind: 'shift', by: -11 }, {}, 10, 9],
    [{ kind: 'shift', by: 11 }, {}, 30, 31],
    [{ kind: 'shift', by: 1 }, { currentOffset: null }, null, null],
    [{ kind: 'shift', by: 0 }, { currentOffset: 5 }, 10, 5],
  ])('%j of %j is %j, where %j was wanted and is not there', (target, differences, newOffset, wanted) => {
    expect(planSeek(target, { ...partition, ...differences })).toMatchObject({
      newOffset,
      wantedOffset: wanted,
    })
  })

  it('is a change unless it stays, or cannot be told', () => {
    const plan = (target: SeekTarget, currentOffset: number | null) =>
      isChange(planSeek(target, { ...partition, currentOffset }))
    expect(plan({ kind: 'offset', offset: 20 }, 20)).toBe(false)
    expect(plan({ kind: 'offset', offset: 20 }, 21)).toBe(true)
    expect(plan({ kind: 'offset', offset: 20 }, null)).toBe(true)
    expect(plan({ kind: 'shift', by: 3 }, null)).toBe(false)
  })
})

describe('shortList()', () => {
  it('joins neighbours, and keeps topics apart', () => {
    const places = (topic: string, ...partitions: number[]) =>
      partitions.map((one) => ({ topic, partition: one }))
    expect(shortList([...places('a', 0, 1, 2, 5), ...places('b', 6, 8, 9)])).toBe('a:0-2,5 b:6,8-9')
    expect(shortList([])).toBe('')
  })
})
