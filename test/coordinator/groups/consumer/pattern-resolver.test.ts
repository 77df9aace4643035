/** Regular expressions of a shard's groups: what they match, and that matching leaves the event loop to others (S5). */
import { describe, expect, it } from 'vitest'
import { PatternResolver } from '../../../../src/coordinator/groups/consumer/pattern-resolver.ts'
import type { Clock } from '../../../../src/env/index.ts'
import { imageWith } from '../../support/topics-image.ts'
import { TestShard, assignedBy } from './support.ts'

/** A clock that passes a millisecond at each look, and runs tasks when told to. */
function tickingClock() {
  const clock = {
    nowMs: 0,
    tasks: [] as { delayMs: number; task: () => void }[],
    monotonicMs: () => clock.nowMs++,
    wallTimeMs: () => 0,
    endOfTurn: () => undefined,
    after: (delayMs: number, task: () => void) => {
      const entry = { delayMs, task }
      clock.tasks.push(entry)
      return () => (clock.tasks = clock.tasks.filter((each) => each !== entry))
    },
    runNext: () => clock.tasks.shift()!.task(),
  }
  return clock satisfies Clock
}

const manyTopics = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`t${index}`, 1]))

describe('PatternResolver.find()', () => {
  it('finds the topics of the image, ascending, without internal ones', () => {
    const image = imageWith({ b2: 1, __consumer_offsets: 1, b10: 1, a: 1 })
    const resolver = new PatternResolver({ clock: new TestShard().clock, image: () => image })

    expect(resolver.find('g', '.*')).toEqual(['a', 'b10', 'b2'])
    expect(resolver.find('g', 'b.*')).toEqual(['b10', 'b2'])
    expect(resolver.find('g', 'c')).toEqual([])
  })

  it('follows topics that come and go, looking at nothing but their names', () => {
    let image = imageWith({ a1: 1, a2: 1 })
    const resolver = new PatternResolver({ clock: new TestShard().clock, image: () => image })
    resolver.find('g', 'a.*')

    image = imageWith({ a2: 1, a3: 1, b: 1 })
    resolver.topicsChanged(['a1', 'a3', 'b'])

    expect(resolver.find('g', 'a.*')).toEqual(['a2', 'a3'])
  })

  it('works in slices with pauses nine times as long, however often it is asked', () => {
    const clock = tickingClock()
    const image = imageWith(manyTopics(50))
    const resolver = new PatternResolver({ clock, image: () => image })

    let slices = 1
    for (let asked = 0; asked < 5; asked++) expect(resolver.find('g', 't.*')).toBeNull()
    while (clock.tasks.length > 0) {
      expect(clock.tasks.length).toBe(1)
      expect(clock.tasks[0]!.delayMs).toBeGreaterThanOrEqual(45)
      clock.runNext()
      slices++
    }

    expect(slices).toBe(10)
    expect(resolver.find('g', 't.*')).toHaveLength(50)
  })

  it('forgets what no group asks for, and ends its work when it is closed', () => {
    const clock = tickingClock()
    const image = imageWith(manyTopics(50))
    const resolver = new PatternResolver({ clock, image: () => image })
    resolver.find('g', 't.*')
    resolver.find('h', 't.*')
    resolver.keepOnly('g', new Set())
    while (clock.tasks.length > 0) clock.runNext()
    expect(resolver.find('h', 't.*')).toHaveLength(50)

    resolver.keepOnly('h', new Set())
    expect(resolver.find('h', 't.*')).toBeNull()
    resolver.close()
    expect(clock.tasks).toEqual([])
  })
})

describe('a group that subscribes by regular expression', () => {
  const byPattern = (subscribedTopicRegex: string) => ({ subscribedTopicNames: null, subscribedTopicRegex })

  it('has at once what the expression matches, and writes down what that was', async () => {
    const shard = new TestShard({ topics: { a1: 1, a2: 2, b: 1, __consumer_offsets: 3 } })

    const answer = await shard.join('x', [], byPattern('a.*|__.*'))

    expect(assignedBy(answer)).toEqual({ a1: [0], a2: [0, 1] })
    expect([...shard.state.patterns]).toEqual([['a.*|__.*', ['a1', 'a2']]])
    expect(shard.lastBatch()[1]).toBe('RegularExpression')
    expect(shard.group.isSubscribedTo('a1')).toBe(true)
    expect(shard.group.isSubscribedTo('b')).toBe(false)
  })

  it('G2: follows topics that come and go, and writes nothing when none of them is its own', async () => {
    const shard = new TestShard({ topics: { a1: 1 } })
    await shard.join('x', ['b'], { subscribedTopicRegex: 'a.*' })

    shard.setTopics({ a1: 1, c: 1 })
    await shard.send({ memberId: 'x', memberEpoch: 1 })
    expect(shard.batches.length).toBe(1)
    shard.setTopics({ a1: 1, a2: 1, b: 1, c: 1 })

    expect(assignedBy(await shard.send({ memberId: 'x', memberEpoch: 1 }))).toEqual({
      a1: [0],
      a2: [0],
      b: [0],
    })
    expect(shard.state.epoch).toBe(2)
    shard.crash()
    await shard.send({ memberId: 'x', memberEpoch: 2 })
    expect(shard.batches.length).toBe(2)
  })

  it('removes the record of an expression with the last who subscribed with it', async () => {
    const shard = new TestShard({ topics: { a: 1, b: 1 } })
    await shard.join('x', [], byPattern('a'))
    await shard.join('y', [], byPattern('a'))

    await shard.send({ memberId: 'y', memberEpoch: 2, subscribedTopicRegex: 'b' })
    expect([...shard.state.patterns.keys()].sort()).toEqual(['a', 'b'])
    await shard.send({ memberId: 'x', memberEpoch: -1 })
    expect([...shard.state.patterns.keys()]).toEqual(['b'])
    await shard.send({
      memberId: 'y',
      memberEpoch: shard.state.members.get('y')!.epoch,
      subscribedTopicRegex: '',
    })
    expect(shard.state.patterns.size).toBe(0)
    expect(shard.state.members.get('y')!.pattern).toBeNull()
  })

  it('refuses an expression that is none, or one too many, and stays as it was', async () => {
    const shard = new TestShard({ topics: { a: 1 } })

    expect((await shard.join('x', [], byPattern('('))).error).toBe('INVALID_REGULAR_EXPRESSION')
    expect(shard.group.isBlank).toBe(true)
    for (let index = 0; index < 100; index++) await shard.join(`m${index}`, [], byPattern(`a${index}`))
    expect((await shard.join('x', [], byPattern('another'))).error).toBe('INVALID_REGULAR_EXPRESSION')
    expect((await shard.join('x', [], byPattern('a5'))).error).toBe('NONE')
  })

  it('lets members in while an expression is being resolved, and gives them theirs when it is', async () => {
    const clock = tickingClock()
    const shard = new TestShard({ topics: manyTopics(20), clock })

    const joined = await shard.join('x', [], byPattern('t.*'))
    expect(joined).toMatchObject({ error: 'NONE', memberEpoch: 1 })
    expect(assignedBy(joined)).toEqual({})
    expect(shard.group.isSubscribedTo('t1')).toBe(true)
    clock.nowMs += 1000
    for (let turn = 0; turn < 10; turn++) {
      for (const { task } of clock.tasks.splice(0).filter(({ delayMs }) => delayMs < 1000)) task()
    }
    const told = await shard.send({ memberId: 'x', memberEpoch: 1 })

    expect(told.memberEpoch).toBe(2)
    expect(told.assignment?.topicPartitions).toHaveLength(20)
  })
})
