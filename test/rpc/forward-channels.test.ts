/** Channels for what is passed on: one's own while something is under way, then the next one's, within bounds. */
import { describe, expect, it } from 'vitest'
import { Simulation } from '../../src/env/sim/simulation.ts'
import type { ChannelError } from '../../src/rpc/client-channel.ts'
import { ForwardChannels } from '../../src/rpc/forward-channels.ts'
import type { ForwardKind, ForwardLease, ForwardWayEvents } from '../../src/rpc/forward-channels.ts'
import type { PeerChannel } from '../../src/rpc/peer-channel.ts'
import { PEER_LIMITS } from '../../src/rpc/peer-limits.ts'
import type { PeerLimits } from '../../src/rpc/peer-limits.ts'

interface FakeWay {
  readonly nodeId: number
  readonly events: ForwardWayEvents
  isConnected: boolean
  isClosed: boolean
}

class World {
  readonly simulation = new Simulation({ seed: 1 })
  readonly ways: FakeWay[] = []
  readonly channels: ForwardChannels
  readonly limits: PeerLimits
  readonly #never = new AbortController().signal

  constructor(limits: Partial<PeerLimits> = {}) {
    this.limits = { ...PEER_LIMITS, ...limits }
    this.channels = new ForwardChannels(this.simulation.env('n1'), this.limits, (nodeId, events) => {
      const way: FakeWay = { nodeId, events, isConnected: false, isClosed: false }
      this.ways.push(way)
      const channel = {
        nodeId,
        get isConnected() {
          return way.isConnected && !way.isClosed
        },
        call: () => Promise.reject(new Error('not asked here')),
        disconnect: () => undefined,
      } satisfies PeerChannel
      return { channel, close: () => (way.isClosed = true) }
    })
  }

  up(...ways: readonly FakeWay[]): void {
    for (const way of ways) {
      way.isConnected = true
      way.events.onUp()
    }
  }

  acquire(nodeId = 2, kind: ForwardKind = 'brief', signal = this.#never): Promise<ForwardLease> {
    return this.channels.acquire(nodeId, kind, signal)
  }

  /** Who of these has a channel by now. */
  async settled(leases: readonly Promise<ForwardLease>[]): Promise<readonly string[]> {
    const states = leases.map(() => 'in line')
    leases.forEach((lease, index) => {
      lease.then(
        () => (states[index] = 'has one'),
        (error: unknown) => (states[index] = (error as ChannelError).code),
      )
    })
    await this.pass(1)
    return states
  }

  pass(ms: number): Promise<void> {
    return this.simulation.run(this.simulation.nowMs + ms)
  }
}

describe('ForwardChannels', () => {
  it('give each his own, and one that was given back to the next', async () => {
    const world = new World()
    const [one, two] = [await world.acquire(), await world.acquire()]
    expect(one.channel).not.toBe(two.channel)
    world.up(...world.ways)

    one.release()
    one.release()
    const three = await world.acquire()
    const four = await world.acquire()

    expect(three.channel).toBe(one.channel)
    expect(four.channel).not.toBe(one.channel)
    expect(world.channels.count).toBe(3)
  })

  it('never give one away that is lost, or was abandoned', async () => {
    const world = new World()
    const leases = [await world.acquire(), await world.acquire(), await world.acquire()]
    world.up(...world.ways)
    leases[0]!.abandon()
    leases[0]!.release()
    world.ways[1]!.isConnected = false
    leases[1]!.release()
    leases[2]!.release()
    world.ways[2]!.isConnected = false
    world.ways[2]!.events.onDown()

    await world.acquire()

    expect(world.ways).toHaveLength(4)
    expect(world.ways.slice(0, 3).every(({ isClosed }) => isClosed)).toBe(true)
    expect(world.channels.count).toBe(1)
  })

  it('are so many to a node and in all; who finds none waits in line, and no longer than its time', async () => {
    const world = new World({ forwardsPerNodeMax: 2, forwardsMax: 3 })
    const leases = [await world.acquire(2), await world.acquire(2), await world.acquire(3)]
    world.up(...world.ways)
    const line = [world.acquire(2), world.acquire(3), world.acquire(2)]
    expect(await world.settled(line)).toEqual(['in line', 'in line', 'in line'])

    leases[0]!.release()
    expect(await world.settled(line)).toEqual(['has one', 'in line', 'in line'])
    leases[1]!.abandon()
    // Room to node 2 and in all: whoever is looked at first has it.
    expect((await world.settled(line)).filter((state) => state === 'has one')).toHaveLength(2)
    await world.pass(world.limits.forwardWaitMs)
    expect([...(await world.settled(line))].sort()).toEqual(['CHANNEL_TIMED_OUT', 'has one', 'has one'])
    expect(world.channels.count).toBe(3)
  })

  it('that are idle make room for another node', async () => {
    const world = new World({ forwardsMax: 1 })
    const lease = await world.acquire(2)
    world.up(...world.ways)
    lease.release()
    expect(await world.settled([world.acquire(3)])).toEqual(['has one'])
    expect(world.ways[0]!.isClosed).toBe(true)
    expect(world.channels.count).toBe(1)
  })

  it('are kept for requests that are answered soon: those that stand never take all', async () => {
    const world = new World({ forwardsPerNodeMax: 3, forwardsStandingMax: 2 })
    const standing = [2, 2, 2].map((nodeId) => world.acquire(nodeId, 'standing'))
    expect(await world.settled(standing)).toEqual(['has one', 'has one', 'in line'])
    expect(await world.settled([world.acquire(2, 'brief')])).toEqual(['has one'])
    world.up(...world.ways)
    ;(await standing[0]!).release()
    expect(await world.settled(standing)).toEqual(['has one', 'has one', 'has one'])
  })

  it('open so many at once, and to a node that cannot be reached one at a time, after a pause', async () => {
    const world = new World({ forwardDialsMax: 2 })
    const all = [1, 2, 3, 4].map(() => world.acquire())
    expect(await world.settled(all)).toEqual(['has one', 'has one', 'in line', 'in line'])

    world.ways[0]!.events.onFailed(new Error('connection refused'))

    // Those in line hear of it, and may do something else.
    expect(await world.settled(all)).toEqual(['has one', 'has one', 'CHANNEL_CLOSED', 'CHANNEL_CLOSED'])
    world.ways[1]!.events.onFailed(new Error('connection refused'))
    const again = [world.acquire(), world.acquire()]
    expect(await world.settled(again)).toEqual(['in line', 'in line'])
    await world.pass(world.limits.retryMaxMs)
    expect(await world.settled(again)).toEqual(['has one', 'in line'])
    world.up(world.ways[2]!)
    expect(await world.settled(again)).toEqual(['has one', 'has one'])
  })

  it('are closed when nobody needed them for long, and all when the node stops', async () => {
    const world = new World()
    const [idle, used] = [await world.acquire(), await world.acquire()]
    world.up(...world.ways)
    idle.release()
    await world.pass(2 * world.limits.forwardIdleMs)
    expect(world.ways.map(({ isClosed }) => isClosed)).toEqual([true, false])

    world.channels.close()
    used.release()
    expect(world.ways.map(({ isClosed }) => isClosed)).toEqual([true, true])
    expect(await world.settled([world.acquire()])).toEqual(['CHANNEL_CLOSED'])
    expect(world.channels.count).toBe(0)
  })

  it('go to nobody who has given up', async () => {
    const world = new World({ forwardsPerNodeMax: 1 })
    const lease = await world.acquire()
    world.up(...world.ways)
    const giveUp = new AbortController()
    const line = [world.acquire(2, 'brief', giveUp.signal), world.acquire()]
    await world.pass(1)
    giveUp.abort()
    lease.release()
    expect(await world.settled(line)).toEqual(['CHANNEL_ABORTED', 'has one'])
  })
})
