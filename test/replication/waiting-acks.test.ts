import { describe, expect, it } from 'vitest'
import { AckWaiter, WaitingAcks } from '../../src/replication/waiting-acks.ts'
import type { Clock } from '../../src/env/index.ts'

class HandClock implements Clock {
  nowMs = 0
  readonly tasks: { atMs: number; task: () => void }[] = []
  wallTimeMs = (): number => this.nowMs
  monotonicMs = (): number => this.nowMs
  after(delayMs: number, task: () => void): () => void {
    const entry = { atMs: this.nowMs + delayMs, task }
    this.tasks.push(entry)
    return () => {
      const index = this.tasks.indexOf(entry)
      if (index !== -1) this.tasks.splice(index, 1)
    }
  }
  endOfTurn(task: () => void): void {
    task()
  }
  advanceTo(ms: number): void {
    this.nowMs = ms
    for (const entry of this.tasks.filter(({ atMs }) => atMs <= ms)) {
      this.tasks.splice(this.tasks.indexOf(entry), 1)
      entry.task()
    }
  }
}

function setUp() {
  const clock = new HandClock()
  const waiting = new WaitingAcks(clock)
  const told: string[] = []
  const add = (endOffset: number, deadlineMs = 100): void =>
    waiting.add(
      new AckWaiter(endOffset, deadlineMs, (failure) => told.push(`${endOffset} ${failure ?? 'ok'}`)),
    )
  return { clock, waiting, told, add }
}

describe('WaitingAcks', () => {
  it('R13: settles exactly those whose offset was reached', () => {
    const { waiting, told, add } = setUp()
    add(5)
    add(10)
    waiting.reached(4)
    expect(told).toEqual([])
    waiting.reached(9)
    expect(told).toEqual(['5 ok'])
    waiting.reached(10)
    expect(told).toEqual(['5 ok', '10 ok'])
  })

  it('settles a duplicate of an older batch late rather than early, and in order', () => {
    const { waiting, told, add } = setUp()
    add(10)
    add(5)
    waiting.reached(5)
    expect(told).toEqual([])
    waiting.reached(10)
    expect(told).toEqual(['10 ok', '5 ok'])
  })

  it('fails what was cut from the log, but not a duplicate whose original lies below the cut', () => {
    const { waiting, told, add } = setUp()
    add(10)
    add(5)
    add(12)
    waiting.failFrom(5, 'KAFKA_STORAGE_ERROR')
    expect(told).toEqual(['10 KAFKA_STORAGE_ERROR', '12 KAFKA_STORAGE_ERROR'])
    waiting.reached(10)
    expect(told.at(-1)).toBe('5 ok')
  })

  it('leaves no timer behind when it ends', () => {
    const { clock, waiting, told, add } = setUp()
    add(1)
    waiting.reached(1)
    expect(clock.tasks).toHaveLength(1)
    waiting.failAll('NOT_LEADER_OR_FOLLOWER')
    expect(told).toEqual(['1 ok'])
    expect(clock.tasks).toHaveLength(0)
  })

  it('times each waiter out at its own deadline with one timer armed', () => {
    const { clock, waiting, told, add } = setUp()
    add(1, 300)
    add(2, 100)
    add(3, 200)
    expect(clock.tasks).toHaveLength(1)
    clock.advanceTo(100)
    expect(told).toEqual(['2 REQUEST_TIMED_OUT'])
    clock.advanceTo(200)
    clock.advanceTo(300)
    expect(told).toEqual(['2 REQUEST_TIMED_OUT', '3 REQUEST_TIMED_OUT', '1 REQUEST_TIMED_OUT'])
    expect(waiting.count).toBe(0)
    expect(clock.tasks).toHaveLength(0)
  })
})
