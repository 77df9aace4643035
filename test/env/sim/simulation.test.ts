/**
 * The simulation is a function of its seed, and its clock and network can be hurt in the ways faults.md 4 lists.
 */
import { describe, expect, test } from 'vitest'
import type { Connection, Env, ListenLimits } from '../../../src/env/index.ts'
import { Simulation } from '../../../src/env/sim/simulation.ts'

const SEED = process.env['SEED'] ?? '1'

const LIMITS: ListenLimits = {
  messageBytesMax: 1_000_000,
  connectionsMax: 10,
  connectionsPerAddressMax: 10,
  handshakeMs: 10_000,
  idleMs: 60_000,
  messageMs: 10_000,
  sendHighWaterBytes: 10_000,
  sendStallMs: 10_000,
}
const CONNECT = { timeoutMs: 1000, messageBytesMax: 1_000_000, sendHighWaterBytes: 10_000 }

/** Echoes every message to a file first. */
async function echo(env: Env): Promise<void> {
  const file = await env.files.open('/log', 'append')
  const serve = (connection: Connection) => {
    connection.onMessage = (message) => {
      void Promise.resolve(file.append([message]))
        .then(() => file.sync())
        .then(() => connection.send([message]))
    }
  }
  await env.network.listen(
    { host: 'server', port: 9092, protocols: ['kafka'], limits: LIMITS, origins: [] },
    serve,
  )
}

async function ask(env: Env, count: number): Promise<number> {
  const connection = await env.network.connect('tcp://server:9092', CONNECT)
  let answers = 0
  return new Promise((resolve) => {
    connection.onMessage = () => {
      answers++
      if (answers === count) resolve(answers)
    }
    connection.onClose = () => resolve(answers)
    for (let index = 0; index < count; index++) {
      env.clock.after(env.random.below(20), () =>
        connection.send([new Uint8Array(1 + env.random.below(2000))]),
      )
    }
  })
}

async function run(seed: string): Promise<Simulation> {
  const simulation = new Simulation({ seed, keepsTrace: true })
  await simulation.runUntil(echo(simulation.env('server')))
  await simulation.runUntil(Promise.all(['a', 'b', 'c'].map((name) => ask(simulation.env(name), 20))))
  simulation.node('server').powerCut()
  await simulation.run(simulation.nowMs + 1000)
  return simulation
}

describe('Simulation', () => {
  test('S7: the same seed twice gives the same trace, another seed another', async () => {
    const first = await run(SEED)
    const second = await run(SEED)
    const other = await run(`${SEED} other`)
    expect(second.trace.lines).toEqual(first.trace.lines)
    expect(second.trace.hash).toBe(first.trace.hash)
    expect(second.node('server').disk.contents('/log')).toEqual(first.node('server').disk.contents('/log'))
    expect(other.trace.hash).not.toBe(first.trace.hash)
    expect(first.trace.lines.length).toBeGreaterThan(200)
  })

  test('streams are apart: a draw for the workload shifts nothing else', async () => {
    const plain = new Simulation({ seed: SEED })
    const drawn = new Simulation({ seed: SEED })
    drawn.workload.below(10)
    for (const simulation of [plain, drawn]) await simulation.runUntil(echo(simulation.env('server')))
    expect(drawn.trace.hash).toBe(plain.trace.hash)
  })

  test('says so when a goal cannot be met any more, or not in time', async () => {
    const simulation = new Simulation({ seed: SEED })
    const never = new Promise(() => undefined)
    await expect(simulation.runUntil(never)).rejects.toThrow('nothing is left to do')
    simulation.env('a').clock.after(1000, () => undefined)
    await expect(simulation.runUntil(never, 10)).rejects.toThrow('not met by')
  })

  test('checks run after every event, on settled state', async () => {
    const simulation = new Simulation({ seed: SEED })
    const seen: number[] = []
    let value = 0
    simulation.checks.push(() => seen.push(value))
    simulation.env('a').clock.after(1, () => {
      void (async () => {
        for (let step = 0; step < 10; step++) await Promise.resolve()
        value = 1
      })()
    })
    await simulation.run(10)
    expect(seen).toEqual([1])
  })

  test('F-CLK: drift and jumps show, monotonic time goes on', async () => {
    const simulation = new Simulation({ seed: SEED })
    const node = simulation.node('a')
    const { clock } = node.env
    const wallBefore = clock.wallTimeMs()
    node.time.setDrift(100_000)
    await simulation.run(1000)
    expect(clock.monotonicMs()).toBeCloseTo(1100)
    node.time.jumpWall(-10 * 365 * 86_400_000)
    expect(clock.wallTimeMs()).toBeLessThan(wallBefore)
    expect(clock.monotonicMs()).toBeCloseTo(1100)
    let firedAt = 0
    clock.after(110, () => {
      firedAt = simulation.nowMs
    })
    await simulation.run(2000)
    expect(firedAt).toBeCloseTo(1100)
  })

  test('a timer never fires before its time, not by a rounding either: who waits for an instant gets there', async () => {
    for (let seed = 1; seed <= 50; seed++) {
      const simulation = new Simulation({ seed, eventsMax: 1000 })
      const { workload } = simulation
      await simulation.run(workload.between(1000, 1e6)) // A node that is made late has a clock of finer grain.
      const { clock } = simulation.env('late')
      const wantedMs = clock.monotonicMs() + workload.between(1, 1000)
      const wait = (): void => {
        if (clock.monotonicMs() < wantedMs) clock.after(wantedMs - clock.monotonicMs(), wait)
      }
      wait()
      await simulation.run(simulation.nowMs + 2000)
      expect(simulation.eventCount).toBe(1)
    }
  })

  test('F-PAUSE: a paused node does nothing, then everything in order', async () => {
    const simulation = new Simulation({ seed: SEED })
    const node = simulation.node('a')
    const order: number[] = []
    for (const delay of [1, 2, 3]) node.env.clock.after(delay, () => order.push(delay))
    node.pause()
    await simulation.run(100)
    expect(order).toEqual([])
    node.resume()
    await simulation.run(101)
    expect(order).toEqual([1, 2, 3])
  })
})

describe('SimNetwork', () => {
  async function pair(
    simulation: Simulation,
  ): Promise<{ client: Connection; server: Connection; closed: string[] }> {
    const closed: string[] = []
    let server: Connection | null = null
    const options = { host: 'server', port: 9092, protocols: ['kafka' as const], limits: LIMITS, origins: [] }
    await simulation.runUntil(
      simulation.env('server').network.listen(options, (connection) => {
        server = connection
        connection.onClose = (reason) => closed.push(`server: ${reason}`)
      }),
    )
    const client = await simulation.runUntil(
      simulation.env('client').network.connect('ws://server:9092/', CONNECT),
    )
    client.onClose = (reason) => closed.push(`client: ${reason}`)
    client.send([new Uint8Array(1)])
    await simulation.run(simulation.nowMs + 5)
    return { client, server: server!, closed }
  }

  test('F-PART: a cut link holds what is sent, one way only if so cut, and gives it when healed', async () => {
    const simulation = new Simulation({ seed: SEED })
    const { client, server } = await pair(simulation)
    const received: string[] = []
    server.onMessage = (message) => received.push(`server ${message.length}`)
    client.onMessage = (message) => received.push(`client ${message.length}`)
    simulation.network.cut('client', 'server')
    client.send([new Uint8Array(2)])
    server.send([new Uint8Array(3)])
    await simulation.run(simulation.nowMs + 100)
    expect(received).toEqual(['client 3'])
    client.send([new Uint8Array(4)])
    simulation.network.heal()
    await simulation.run(simulation.nowMs + 100)
    expect(received).toEqual(['client 3', 'server 2', 'server 4'])
  })

  test('F-PART: connecting over a cut link times out', async () => {
    const simulation = new Simulation({ seed: SEED })
    await pair(simulation)
    simulation.network.partition(['client'], ['server'])
    const attempt = simulation.env('client').network.connect('tcp://server:9092', CONNECT)
    await expect(simulation.runUntil(attempt)).rejects.toMatchObject({ code: 'NETWORK_TIMED_OUT' })
  })

  test('F-PART: a dial is repeated as systems do, so that a link that heals is found before the caller gives up', async () => {
    const simulation = new Simulation({ seed: SEED })
    await pair(simulation)
    simulation.network.cut('server', 'client')
    const startMs = simulation.nowMs
    const attempt = simulation
      .env('client')
      .network.connect('tcp://server:9092', { ...CONNECT, timeoutMs: 5000 })
    await simulation.run(startMs + 1500)
    simulation.network.heal()
    await simulation.runUntil(attempt)
    expect(Math.floor((simulation.nowMs - startMs) / 100)).toBe(30)
  })

  test('F-PAUSE: who listens no more when it goes on is given no connection that was made meanwhile', async () => {
    const simulation = new Simulation({ seed: SEED })
    const env = simulation.env('server')
    let isAccepted = false
    const listener = await simulation.runUntil(
      env.network.listen(
        { host: 'server', port: 9092, protocols: ['kafka'], limits: LIMITS, origins: [] },
        () => (isAccepted = true),
      ),
    )
    env.clock.after(50, () => void listener.close())
    simulation.node('server').pause()
    await simulation.run(simulation.nowMs + 60)
    const connection = await simulation.runUntil(
      simulation.env('client').network.connect('tcp://server:9092', CONNECT),
    )
    let reason = ''
    connection.onClose = (why) => (reason = why)
    simulation.node('server').resume()
    await simulation.run(simulation.nowMs + 10)
    expect([isAccepted, reason, simulation.network.openEnds()]).toEqual([
      false,
      'connection reset by the peer',
      [],
    ])
  })

  test('F-KILL: a killed process has no files open', async () => {
    const simulation = new Simulation({ seed: SEED })
    const node = simulation.node('a')
    await simulation.runUntil(node.env.files.open('/log', 'append'))
    expect(node.openFiles).toEqual(['/log'])
    node.crash()
    expect(node.openFiles).toEqual([])
  })

  test('F-KILL: peers of a killed process see a reset', async () => {
    const simulation = new Simulation({ seed: SEED })
    const { closed } = await pair(simulation)
    simulation.node('server').crash()
    await simulation.run(simulation.nowMs + 10)
    expect(closed).toEqual(['client: connection reset by the peer'])
  })

  test('F-NET: peers of a machine without power see nothing until it is back and they send (NW-1)', async () => {
    const simulation = new Simulation({ seed: SEED })
    const { client, closed } = await pair(simulation)
    simulation.node('server').powerCut()
    client.send([new Uint8Array(1)])
    await simulation.run(simulation.nowMs + 1000)
    expect(closed).toEqual([])
    simulation.node('server').restart()
    client.send([new Uint8Array(1)])
    await simulation.run(simulation.nowMs + 1000)
    expect(closed).toEqual(['client: connection reset by the peer'])
  })

  test('F-NET: a flipped bit arrives as such', async () => {
    const simulation = new Simulation({ seed: SEED })
    const { client, server, closed } = await pair(simulation)
    let flipped = 0
    server.onMessage = (message) => {
      if (message.some((byte) => byte !== 0)) flipped++
    }
    simulation.network.corruptionRate = 1
    for (let count = 0; count < 5; count++) {
      client.send([new Uint8Array(10_000)])
      await simulation.run(simulation.nowMs + 5)
    }
    // In a length it closes the connection, elsewhere it is delivered: TCP's checksum lets some through (NW-3).
    expect(flipped + closed.length).toBeGreaterThan(0)
  })

  test('F-NET: reset() closes both ends', async () => {
    const simulation = new Simulation({ seed: SEED })
    const { closed } = await pair(simulation)
    simulation.network.reset('client', 'server')
    await simulation.run(simulation.nowMs + 5)
    expect(closed.sort()).toEqual(['client: connection reset', 'server: connection reset'])
  })

  test('F-NET NW-1: sever() loses what is sent over the connections there are and tells neither end; a new one works', async () => {
    const simulation = new Simulation({ seed: SEED })
    const { client, server, closed } = await pair(simulation)
    const got: number[] = []
    server.onMessage = (message) => got.push(message.length)
    expect(simulation.network.sever('server', 'client')).toBe(1)
    client.send([new Uint8Array(2)])
    simulation.network.heal()
    await simulation.run(simulation.nowMs + 1000)
    expect([got, closed]).toEqual([[], []])
    const next = await simulation.runUntil(
      simulation.env('client').network.connect('ws://server:9092/', CONNECT),
    )
    next.send([new Uint8Array(3)])
    await simulation.run(simulation.nowMs + 2.5 * LIMITS.idleMs)
    expect(closed.sort(), 'the one that asks finds out').toEqual(['server: was silent for 60000 ms'])
  })

  test('NW-1: over WebSocket a silent peer is asked, and closed when it does not answer, in virtual time', async () => {
    const simulation = new Simulation({ seed: SEED })
    const { closed } = await pair(simulation)
    await simulation.run(simulation.nowMs + 3 * LIMITS.idleMs)
    expect(closed).toEqual([])
    simulation.node('client').powerCut()
    await simulation.run(simulation.nowMs + 2.5 * LIMITS.idleMs)
    expect(closed).toEqual(['server: was silent for 60000 ms'])
  })

  test('NW-1: a dialled connection asks, too, once it is given an idle time', async () => {
    const simulation = new Simulation({ seed: SEED })
    const { client, closed } = await pair(simulation)
    client.setBounds({ idleMs: 100 })
    simulation.node('server').pause()
    await simulation.run(simulation.nowMs + 250)
    expect(closed).toEqual(['client: was silent for 100 ms'])
  })

  test('F-NET: a delayed link is slow one way; a clogged one gives in a burst what was sent meanwhile', async () => {
    const simulation = new Simulation({ seed: SEED })
    const { client, server } = await pair(simulation)
    const startMs = simulation.nowMs
    const arrivals: string[] = []
    const arrived = (what: string): void =>
      void arrivals.push(`${what} ${Math.floor(simulation.nowMs - startMs)}`)
    server.onMessage = (message) => {
      arrived(`server ${message[0]}`)
      if (message[0] === 1) server.send([message])
    }
    client.onMessage = (message) => arrived(`client ${message[0]}`)
    simulation.network.delay('client', 'server', [50, 50])
    client.send([new Uint8Array([1])])
    await simulation.run(startMs + 99)
    simulation.network.heal('client', 'server')
    simulation.network.clog('client', 'server', 201)
    client.send([new Uint8Array([2])])
    await simulation.run(startMs + 200)
    client.send([new Uint8Array([3])])
    await simulation.run(startMs + 400)
    expect(arrivals).toEqual(['server 1 50', 'client 1 50', 'server 2 300', 'server 3 300'])
  })
})
