import { describe, expect, it } from 'vitest'
import { Simulation } from '../../src/env/sim/simulation.ts'
import { FetchSessions, NO_SESSION } from '../../src/replication/fetch-sessions.ts'
import type { FetchSession } from '../../src/replication/fetch-sessions.ts'

class Probe implements FetchSession {
  readonly size: number
  readonly isPrivileged: boolean
  isEvicted = false

  constructor(size = 1, isPrivileged = false) {
    this.size = size
    this.isPrivileged = isPrivileged
  }

  evicted(): void {
    this.isEvicted = true
  }
}

function make(sessionsMax = 2, partitionsMax = 100) {
  const simulation = new Simulation({ seed: 'sessions' })
  const sessions = new FetchSessions<Probe>(simulation.env('a'), { sessionsMax, partitionsMax })
  return { sessions, pass: (ms: number) => simulation.run(simulation.nowMs + ms) }
}

describe('FetchSessions', () => {
  it('takes requests in the order of their epochs only', () => {
    const { sessions } = make()
    const probe = new Probe()
    const id = sessions.begin(probe)
    expect(sessions.next(id, 2)).toBe('INVALID_FETCH_SESSION_EPOCH')
    expect(sessions.next(id, 1)).toBe(probe)
    expect(sessions.next(id, 1)).toBe('INVALID_FETCH_SESSION_EPOCH')
    expect(sessions.next(id, 2)).toBe(probe)
    expect(sessions.end(id)).toBe(probe)
    expect(sessions.next(id, 3)).toBe('FETCH_SESSION_ID_NOT_FOUND')
  })

  it('S1: gives a place to a newcomer only when somebody has been idle for long, the longest idle first', async () => {
    const { sessions, pass } = make()
    const [first, second] = [new Probe(), new Probe()]
    const firstId = sessions.begin(first)
    sessions.begin(second)
    expect(sessions.begin(new Probe())).toBe(NO_SESSION)
    await pass(120_000)
    sessions.next(firstId, 1)
    expect(sessions.begin(new Probe())).not.toBe(NO_SESSION)
    expect([first.isEvicted, second.isEvicted, sessions.count]).toEqual([false, true, 2])
  })

  it('S1: counts partitions, too', async () => {
    const { sessions, pass } = make(10, 100)
    sessions.begin(new Probe(60))
    expect([sessions.begin(new Probe(41)), sessions.mayGrow(41)]).toEqual([NO_SESSION, false])
    await pass(120_000)
    expect(sessions.begin(new Probe(41))).not.toBe(NO_SESSION)
  })

  it('never puts out a follower, and always takes one', async () => {
    const { sessions, pass } = make(1)
    const follower = new Probe(1, true)
    sessions.begin(follower)
    await pass(1_000_000)
    expect([sessions.begin(new Probe()), follower.isEvicted]).toEqual([NO_SESSION, false])
    expect(sessions.begin(new Probe(1000, true))).not.toBe(NO_SESSION)
  })
})
