/** Nodes that talk through `Peers` while links and machines fail, in the simulation. */
import { describe, expect, test } from 'vitest'
import { Simulation } from '../../src/env/sim/simulation.ts'
import type { ChannelError } from '../../src/rpc/client-channel.ts'
import type { PeerLimits } from '../../src/rpc/peer-limits.ts'
import { seedFromEnv } from '../support/seed.ts'
import { PeerCluster, simWorld } from './support/peer-world.ts'
import type { PeerNode } from './support/peer-world.ts'

const SEED = seedFromEnv('peers under faults')

/** Short, so that virtual seconds hold many of them. */
const LIMITS: Partial<PeerLimits> = {
  handshakeMs: 100,
  idleMs: 50,
  retryFirstMs: 5,
  retryMaxMs: 80,
  mailBytesMax: 100_000,
}

async function start(count: number, seed: number | string = SEED, limits = LIMITS) {
  const simulation = new Simulation({ seed, keepsTrace: true })
  const cluster = new PeerCluster(simWorld(simulation))
  const ids = Array.from({ length: count }, (_, index) => index + 1)
  const nodes = await simulation.runUntil(Promise.all(ids.map((id) => cluster.start(id, { limits }))))
  return { simulation, cluster, nodes: nodes as [PeerNode, PeerNode, ...PeerNode[]] }
}

const WAYS: readonly (readonly [string, string])[] = [
  ['n1', 'n2'],
  ['n2', 'n1'],
]

const settled = (promise: Promise<unknown>): Promise<ChannelError | null> =>
  promise.then(
    () => null,
    (error: unknown) => error as ChannelError,
  )

describe('Peers under faults', () => {
  test('NW-1: a half-open connection is found by ping within twice the idle time and a sweep, at both ends', async () => {
    const { simulation, nodes } = await start(2)
    const [one, two] = nodes
    await simulation.runUntil(one.ask(2, 1))
    await simulation.runUntil(two.ask(1, 1))
    await simulation.run(simulation.nowMs + 1000)
    expect(one.peers.describe(), 'a quiet connection that answers stays').toHaveLength(2)
    simulation.node('n2').powerCut()
    await simulation.run(simulation.nowMs + 2 * 50 + 50)
    expect(one.peers.describe()).toEqual([])
    expect(one.logged('info', /Node disconnected nodeId=2.*was silent for 50 ms/)).toBe(true)
  })

  test('NW-1: a stopped process is given up, and heard again when it goes on', async () => {
    const { simulation, nodes } = await start(2)
    const [one] = nodes
    await simulation.runUntil(one.ask(2, 1))
    simulation.node('n2').pause()
    const asked = settled(one.ask(2, 2, 10_000))
    const error = await simulation.runUntil(asked, 200)
    expect(error).toMatchObject({ code: 'CHANNEL_CLOSED', wasSent: true })
    simulation.node('n2').resume()
    await simulation.run(simulation.nowMs + 200)
    expect(await simulation.runUntil(one.ask(2, 3))).toBe(3)
  })

  test('NW-5: a node that is away is dialled with growing pauses, however often it is asked, and soon after it is back', async () => {
    const { simulation, cluster, nodes } = await start(2)
    const [one] = nodes
    simulation.node('n2').crash()
    const firstLine = simulation.trace.lines.length
    const endMs = simulation.nowMs + 4000
    let failures = 0
    while (simulation.nowMs < endMs) {
      const error = await simulation.runUntil(settled(one.ask(2, 1)))
      expect(error).toMatchObject({ code: 'CHANNEL_CLOSED', wasSent: false })
      failures++
    }
    const dials = simulation.trace.lines.slice(firstLine).filter((line) => line.endsWith('net n1>n2 connect'))
    expect(dials.length).toBeGreaterThanOrEqual(4000 / LIMITS.retryMaxMs!)
    expect(dials.length).toBeLessThan((2 * 4000) / LIMITS.retryMaxMs! + 8)
    expect(failures, 'a call waits for one attempt').toBe(dials.length)
    expect(one.log.filter(({ level }) => level !== 'debug').length, 'the log is told once').toBeLessThan(5)
    simulation.node('n2').restart()
    await simulation.runUntil(cluster.start(2, { limits: LIMITS }))
    await simulation.runUntil(settled(one.ask(2, 2)))
    expect(await simulation.runUntil(one.ask(2, 3), 200)).toBe(3)
  })

  test('a link that nobody uses is not dialled', async () => {
    const { simulation, nodes } = await start(2)
    const [one] = nodes
    await simulation.runUntil(one.ask(2, 1))
    simulation.node('n2').crash()
    await simulation.run(simulation.nowMs + 500)
    const firstLine = simulation.trace.lines.length
    await simulation.run(simulation.nowMs + 5000)
    const later = simulation.trace.lines.slice(firstLine)
    expect(later.filter((line) => line.includes('connect'))).toEqual([])
  })

  test('a cut one way is as good as a cut both ways: calls fail in bounded time, and after it come through', async () => {
    for (const [from, to] of WAYS) {
      const { simulation, nodes } = await start(2)
      const [one] = nodes
      await simulation.runUntil(one.ask(2, 1))
      simulation.network.cut(from, to)
      const error = await simulation.runUntil(settled(one.ask(2, 2, 60_000)), 200)
      expect(error).toMatchObject({ code: 'CHANNEL_CLOSED', wasSent: true })
      await simulation.run(simulation.nowMs + 1000)
      simulation.network.heal()
      await simulation.runUntil(settled(one.ask(2, 3)))
      expect(await simulation.runUntil(one.ask(2, 4), 500)).toBe(4)
    }
  })

  test('mail to a node that does not read is dropped, never kept without bound, and reaches others meanwhile', async () => {
    const { simulation, nodes } = await start(3, SEED, { ...LIMITS, idleMs: 100_000 })
    const [one, two, three] = nodes
    for (const id of [2, 3]) one.post(id, 'first')
    await simulation.run(simulation.nowMs + 100)
    simulation.node('n2').pause()
    const text = 'x'.repeat(10_000)
    for (let count = 0; count < 200; count++) {
      one.post(2, `${count} ${text}`)
      one.post(3, String(count))
      await simulation.run(simulation.nowMs + 1)
    }
    await simulation.run(simulation.nowMs + 100)
    expect(three!.mail).toHaveLength(201)
    expect(one.peers.droppedMailCount).toBeGreaterThan(100)
    simulation.node('n2').resume()
    await simulation.run(simulation.nowMs + 100)
    const kept = two.mail.slice(1).map((line) => Number(/: (\d+)/.exec(line)![1]))
    expect(kept.length + one.peers.droppedMailCount).toBe(200)
    expect(
      [...kept].sort((a, b) => a - b),
      'in order',
    ).toEqual(kept)
    one.post(2, 'again')
    await simulation.run(simulation.nowMs + 10)
    expect(two.mail.at(-1)).toBe('1: again')
  })

  test('mail to a node that is being dialled waits, the newest of it', async () => {
    const { simulation, nodes } = await start(2, SEED, { ...LIMITS, mailWaitingMax: 3 })
    const [one, two] = nodes
    for (const text of ['a', 'b', 'c', 'd', 'e']) one.post(2, text)
    await simulation.run(simulation.nowMs + 100)
    expect(two.mail).toEqual(['1: c', '1: d', '1: e'])
    expect(one.peers.droppedMailCount).toBe(2)
  })

  test('what is still under way on a connection that a node gave up reaches nobody once it has another', async () => {
    const { simulation, nodes } = await start(2, SEED, { ...LIMITS, idleMs: 100_000 })
    const [one, two] = nodes
    await simulation.runUntil(one.ask(2, 1))
    simulation.network.delay('n1', 'n2', [100, 100])
    const givenUp = settled(one.ask(2, 2))
    await simulation.run(simulation.nowMs + 1)
    one.peers.control(2).disconnect('the test wants so')
    expect(await simulation.runUntil(givenUp)).toMatchObject({ code: 'CHANNEL_CLOSED', wasSent: true })
    simulation.network.heal()
    expect(await simulation.runUntil(one.ask(2, 3), 50)).toBe(3)
    await simulation.run(simulation.nowMs + 200)
    expect(two.requests.map(({ number }) => number)).toEqual([1, 3])
    expect(two.logged('info', /superseded by a newer connection of node 1/)).toBe(true)
  })

  test('S7: the same seed gives the same run', async () => {
    const hashes: string[] = []
    for (let round = 0; round < 2; round++) {
      const { simulation, nodes } = await start(2, SEED)
      await simulation.runUntil(Promise.all([nodes[0].ask(2, 1), nodes[1].ask(1, 2)]))
      hashes.push(simulation.trace.hash)
    }
    expect(hashes[0]).toBe(hashes[1])
  })

  test('whatever happens to links and nodes, requests come once and in order, and what was answered has come', async () => {
    const marks = { answered: 0, unknown: 0, notSent: 0, reconnects: 0 }
    for (let round = 0; round < 12; round++) {
      const { simulation, cluster, nodes } = await start(2, `${SEED} ${round}`)
      const random = simulation.stream('nemesis')
      const [one] = nodes
      const lives = [nodes[1]]
      const answered = new Set<number>()
      const notSent = new Set<number>()
      const endMs = simulation.nowMs + 3000
      let number = 0
      const asking: Promise<void>[] = []
      const ask = (own: number): Promise<void> =>
        one.ask(2, own, 200 + random.below(2000)).then(
          (answer) => {
            expect(answer).toBe(own)
            answered.add(own)
          },
          (error: unknown) => {
            if ((error as ChannelError).wasSent) marks.unknown++
            else notSent.add(own)
          },
        )
      while (simulation.nowMs < endMs) {
        for (let burst = random.below(4); burst > 0; burst--) asking.push(ask(++number))
        const fault = random.below(40)
        if (fault === 0) simulation.network.reset('n1', 'n2')
        else if (fault === 1) simulation.network.cut(...WAYS[random.below(2)]!)
        else if (fault === 2) simulation.network.clog('n1', 'n2', random.below(120))
        else if (fault === 3) simulation.network.heal()
        else if (fault === 4 && simulation.node('n2').isUp) {
          if (random.chance(0.5)) simulation.node('n2').crash()
          else simulation.node('n2').powerCut()
        } else if (fault === 5 && !simulation.node('n2').isUp) {
          simulation.node('n2').restart()
          lives.push(await simulation.runUntil(cluster.start(2, { limits: LIMITS })))
        } else if (fault <= 8) {
          if (fault === 7) simulation.network.delay('n1', 'n2', [0, random.below(200)])
          one.peers.control(2).disconnect('the test wants so')
        }
        await simulation.run(simulation.nowMs + random.below(15))
      }
      await simulation.runUntil(Promise.all(asking))
      const came = lives.flatMap(({ requests }) => requests.map((request) => request.number))
      expect(
        [...came].sort((a, b) => a - b),
        'in order',
      ).toEqual(came)
      expect(new Set(came).size, 'once').toBe(came.length)
      for (const own of answered) expect(came).toContain(own)
      for (const own of notSent) expect(came).not.toContain(own)
      marks.answered += answered.size
      marks.notSent += notSent.size
      marks.reconnects += one.log.filter(({ text }) => text.startsWith('Node connected')).length - 1
    }
    for (const [mark, count] of Object.entries(marks)) expect(count, mark).toBeGreaterThan(20)
  })
})
