/**
 * What every adapter of the network port promises, whatever it stands on: `src/env/network.ts` as claims.
 */
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type {
  Connection,
  ConnectOptions,
  ListenLimits,
  Listener,
  ListenOptions,
  Network,
  Subprotocol,
} from '../../src/env/index.ts'
import { NetworkError, silentLogger } from '../../src/env/index.ts'
import { browserEnv } from '../../src/env/browser/browser-env.ts'
import type { WebSocketConstructor } from '../../src/env/browser/browser-network.ts'
import { Gate } from '../../src/env/memory/gate.ts'
import { gatedNetwork } from '../../src/env/memory/gated-network.ts'
import { InProcessNetwork } from '../../src/env/memory/in-process-network.ts'
import { Links } from '../../src/env/memory/links.ts'
import { NodeClock } from '../../src/env/node/node-clock.ts'
import { NodeNetwork } from '../../src/env/node/node-network.ts'
import { NodeRandom } from '../../src/env/node/node-random.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'

interface Subject {
  readonly server: Network
  readonly client: Network
  readonly host: string
  readonly url: (listener: Listener) => string
  /** What its connections speak, and whether it can speak the other. */
  readonly speaks: Subprotocol
  readonly knowsPeers: boolean
  /** Runs the story, driving what it waits for. */
  readonly drive: (story: Promise<void>) => Promise<void>
  /** Lets turns of the event loop pass. */
  readonly turns: (count: number) => Promise<void>
}

const nodeNetwork = () => new NodeNetwork(new NodeClock(), silentLogger)
const realTurns = async (count: number) => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

const subjects: Record<string, () => Subject> = {
  'node tcp': () => ({
    speaks: 'kafka',
    knowsPeers: false,
    server: nodeNetwork(),
    client: nodeNetwork(),
    host: '127.0.0.1',
    url: (listener) => `tcp://127.0.0.1:${listener.port}`,
    drive: (story) => story,
    turns: realTurns,
  }),
  'node websocket of peers': () => ({
    speaks: 'millrace-peer',
    knowsPeers: true,
    server: nodeNetwork(),
    client: nodeNetwork(),
    host: '127.0.0.1',
    url: (listener) => `ws://127.0.0.1:${listener.port}/`,
    drive: (story) => story,
    turns: realTurns,
  }),
  'node websocket': () => ({
    speaks: 'kafka',
    knowsPeers: true,
    server: nodeNetwork(),
    client: nodeNetwork(),
    host: '127.0.0.1',
    url: (listener) => `ws://127.0.0.1:${listener.port}/`,
    drive: (story) => story,
    turns: realTurns,
  }),
  'browser to node': () => ({
    speaks: 'kafka',
    knowsPeers: false,
    server: nodeNetwork(),
    client: browserEnv({ WebSocket: WebSocket as unknown as WebSocketConstructor }).network,
    host: '127.0.0.1',
    url: (listener) => `ws://127.0.0.1:${listener.port}/`,
    drive: (story) => story,
    turns: realTurns,
  }),
  'in-process': () => {
    const network = new InProcessNetwork({ clock: new NodeClock() })
    return {
      speaks: 'kafka',
      knowsPeers: true,
      server: network,
      client: network,
      host: 'broker',
      url: () => 'in-process://broker',
      drive: (story) => story,
      turns: realTurns,
    }
  },
  'in-process, over links and gates': () => {
    const clock = new NodeClock()
    const network = new InProcessNetwork({ clock })
    const links = new Links({ clock, random: new NodeRandom() })
    return {
      speaks: 'kafka',
      knowsPeers: true,
      server: gatedNetwork(network, new Gate(clock)),
      client: gatedNetwork(
        links.networkOf('a', network, () => 'b'),
        new Gate(clock),
      ),
      host: 'broker',
      url: () => 'in-process://broker',
      drive: (story) => story,
      turns: realTurns,
    }
  },
  'sim tcp': () => simulated('tcp', 'kafka'),
  'sim websocket': () => simulated('ws', 'kafka'),
  'sim websocket of peers': () => simulated('ws', 'millrace-peer'),
}

function simulated(scheme: 'tcp' | 'ws', speaks: Subprotocol): Subject {
  const simulation = new Simulation({ seed: process.env['SEED'] ?? 3 })
  const { clock } = simulation.env('client')
  return {
    speaks,
    knowsPeers: scheme === 'ws',
    server: simulation.env('server').network,
    client: simulation.env('client').network,
    host: 'server',
    url: (listener) => `${scheme}://server:${listener.port}`,
    drive: (story) => simulation.runUntil(story),
    turns: (count) => new Promise((resolve) => void clock.after(count, resolve)),
  }
}

const LIMITS: ListenLimits = {
  messageBytesMax: 1_000_000,
  connectionsMax: 10,
  connectionsPerAddressMax: 10,
  handshakeMs: 20_000,
  idleMs: 20_000,
  messageMs: 20_000,
  sendHighWaterBytes: 100_000,
  sendStallMs: 20_000,
}
const CONNECT: ConnectOptions = { timeoutMs: 10_000, messageBytesMax: 1_000_000, sendHighWaterBytes: 100_000 }

function patterned(length: number, start = 0): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index++) bytes[index] = (start + index * 7 + (index >> 8)) & 255
  return bytes
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** Collects what a connection receives, and lets a story wait for it. */
class Inbox {
  readonly messages: Uint8Array[] = []
  readonly closed: Promise<string>
  isClosed = false
  drains = 0
  #waiting: (() => void) | null = null
  #wanted = 0

  constructor(connection: Connection) {
    connection.onMessage = (message) => {
      expect(this.isClosed).toBe(false)
      this.messages.push(message)
      if (this.messages.length >= this.#wanted) this.#waiting?.()
    }
    connection.onDrain = () => {
      this.drains++
    }
    this.closed = new Promise((resolve) => {
      connection.onClose = (reason) => {
        expect(this.isClosed).toBe(false)
        this.isClosed = true
        resolve(reason)
      }
    })
  }

  async count(wanted: number): Promise<Uint8Array[]> {
    if (this.messages.length < wanted) {
      this.#wanted = wanted
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
    return this.messages
  }
}

for (const [name, make] of Object.entries(subjects)) {
  describe(`Network (${name})`, () => {
    interface Pair {
      readonly client: Connection
      readonly server: Connection
      readonly atClient: Inbox
      readonly atServer: Inbox
      readonly subject: Subject
      readonly listener: Listener
    }

    const listenOptions = (subject: Subject, limits: Partial<ListenLimits> = {}): ListenOptions => ({
      host: subject.host,
      port: 0,
      protocols: ['kafka', 'websocket', 'http'],
      limits: { ...LIMITS, ...limits },
      origins: [],
      takesPeers: subject.speaks === 'millrace-peer',
    })

    const pairTest = (
      claim: string,
      body: (pair: Pair) => Promise<void>,
      options: { limits?: Partial<ListenLimits>; connect?: Partial<ConnectOptions> } = {},
    ) =>
      test(claim, async () => {
        const subject = make()
        await subject.drive(
          (async () => {
            let accepted: (pair: { server: Connection; atServer: Inbox }) => void = () => undefined
            const arrival = new Promise<{ server: Connection; atServer: Inbox }>((resolve) => {
              accepted = resolve
            })
            const listener = await subject.server.listen(listenOptions(subject, options.limits), (server) =>
              accepted({ server, atServer: new Inbox(server) }),
            )
            const client = await subject.client.connect(subject.url(listener), {
              ...CONNECT,
              subprotocol: subject.speaks,
              ...options.connect,
            })
            const atClient = new Inbox(client)
            client.send([new Uint8Array([1])])
            const { server, atServer } = await arrival
            await atServer.count(1)
            atServer.messages.length = 0
            await body({ client, server, atClient, atServer, subject, listener })
            client.close()
            server.close()
            await atClient.closed
            await atServer.closed
            await listener.close()
          })(),
        )
      })

    pairTest(
      'messages arrive whole, in order and once, both ways, in whatever pieces they were sent',
      async (pair) => {
        const sizes = [1, 2, 100, 125, 126, 127, 1000, 5000, 65_535, 65_536, 300_000, 3, 1_000_000]
        for (const size of sizes) {
          const bytes = patterned(size, size)
          pair.client.send([bytes.subarray(0, size >> 1), new Uint8Array(0), bytes.subarray(size >> 1)])
          pair.server.send([bytes])
        }
        for (const inbox of [pair.atServer, pair.atClient]) {
          const received = await inbox.count(sizes.length)
          expect(received.map((message) => message.length)).toEqual(sizes)
          for (const message of received)
            expect(equal(message, patterned(message.length, message.length))).toBe(true)
        }
      },
    )

    pairTest('many small messages of one turn and of many turns keep their order', async (pair) => {
      for (let index = 0; index < 3000; index++) {
        pair.client.send([new Uint8Array([index >> 8]), new Uint8Array([index & 255])])
        if (index % 1000 === 0) await pair.subject.turns(2)
      }
      const received = await pair.atServer.count(3000)
      expect(received.every((message, index) => message[0]! * 256 + message[1]! === index)).toBe(true)
    })

    pairTest(
      'nothing is delivered inside send(), and a received message is the receiver’s own',
      async (pair) => {
        const bytes = patterned(100)
        pair.client.send([bytes])
        expect(pair.atServer.messages).toHaveLength(0)
        const [first] = await pair.atServer.count(1)
        first!.fill(0)
        expect(equal(bytes, patterned(100))).toBe(true)
      },
    )

    pairTest('pause() stops delivery until resume(), which loses nothing', async (pair) => {
      pair.server.pause()
      for (let index = 0; index < 200; index++) pair.client.send([patterned(1000, index)])
      await pair.subject.turns(50)
      expect(pair.atServer.messages).toHaveLength(0)
      pair.server.resume()
      const received = await pair.atServer.count(200)
      expect(received.every((message, index) => equal(message, patterned(1000, index)))).toBe(true)
    })

    pairTest('pause() inside onMessage lets at most the rest of one chunk through', async (pair) => {
      let count = 0
      let isFlowing = false
      pair.server.onMessage = () => {
        count++
        if (!isFlowing) pair.server.pause()
      }
      for (let index = 0; index < 500; index++) pair.client.send([patterned(1000, index)])
      await pair.subject.turns(50)
      expect(count).toBeGreaterThan(0)
      expect(count).toBeLessThanOrEqual(66) // What lies in 64 KiB.
      isFlowing = true
      pair.server.resume()
      while (count < 500) await pair.subject.turns(1)
    })

    pairTest(
      'bufferedBytes grows while the peer takes nothing, onDrain comes once it has fallen (ND-3)',
      async (pair) => {
        pair.server.pause()
        const block = patterned(100_000)
        let sent = 0
        // Kernels buffer some MiB; past that the rest has to show here.
        while (sent < 60_000_000 && pair.client.bufferedBytes < 1_000_000) {
          pair.client.send([block])
          sent += block.length
          await pair.subject.turns(2)
        }
        expect(pair.client.bufferedBytes).toBeGreaterThanOrEqual(1_000_000)
        const drainsBefore = pair.atClient.drains
        pair.server.resume()
        await pair.atServer.count(sent / block.length)
        while (pair.atClient.drains === drainsBefore) await pair.subject.turns(1)
        expect(pair.client.bufferedBytes).toBeLessThanOrEqual(CONNECT.sendHighWaterBytes / 4)
      },
    )

    pairTest('close() lets what was sent leave first', async (pair) => {
      for (let index = 0; index < 20; index++) pair.client.send([patterned(50_000, index)])
      pair.client.close()
      pair.client.send([patterned(1)])
      await pair.atServer.count(20)
      await pair.atServer.closed
      expect(pair.atServer.messages).toHaveLength(20)
    })

    pairTest(
      'close() with a fault closes at once; onClose comes once on both sides, never inside',
      async (pair) => {
        pair.server.close('sent nonsense')
        pair.server.close('again')
        pair.server.close()
        expect(pair.atServer.isClosed).toBe(false)
        expect(await pair.atServer.closed).toBe('sent nonsense')
        await pair.atClient.closed
        pair.client.send([patterned(10)])
        pair.server.send([patterned(10)])
        expect(pair.client.bufferedBytes).toBe(0)
      },
    )

    pairTest('nothing is delivered after close(), not even from the same chunk', async (pair) => {
      let count = 0
      pair.server.onMessage = () => {
        count++
        pair.server.close()
      }
      for (let index = 0; index < 10; index++) pair.client.send([patterned(10)])
      await pair.atServer.closed
      expect(count).toBe(1)
    })

    pairTest(
      'X1: a message over the listener’s bound closes the connection',
      async (pair) => {
        pair.client.send([patterned(999)])
        await pair.atServer.count(1)
        pair.client.send([patterned(1001)])
        expect(await pair.atServer.closed).not.toBe('closed by the peer')
        await pair.atClient.closed
        expect(pair.atServer.messages).toHaveLength(1)
      },
      { limits: { messageBytesMax: 1000 } },
    )

    pairTest(
      'X1: a message over the dialler’s bound closes the connection',
      async (pair) => {
        pair.server.send([patterned(1001)])
        await pair.atClient.closed
        await pair.atServer.closed
        expect(pair.atClient.messages).toHaveLength(0)
      },
      { connect: { messageBytesMax: 1000 } },
    )

    pairTest('both ends know what they speak', async ({ client, server, subject }) => {
      expect(client.subprotocol).toBe(subject.speaks)
      expect(server.subprotocol).toBe(subject.speaks)
    })

    pairTest(
      'X1: setBounds() lowers the bound on messages, and raises it again as far as it was',
      async (pair) => {
        pair.server.setBounds({ messageBytesMax: 512 })
        pair.client.send([patterned(512)])
        await pair.atServer.count(1)
        pair.server.setBounds({ messageBytesMax: 10_000_000 })
        pair.client.send([patterned(1_000_000)])
        await pair.atServer.count(2)
        pair.server.setBounds({ messageBytesMax: 512 })
        pair.client.send([patterned(513)])
        expect(await pair.atServer.closed).not.toBe('closed by the peer')
        await pair.atClient.closed
        expect(pair.atServer.messages).toHaveLength(2)
      },
    )

    pairTest('X12: setBounds() holds while a message that exceeds it is still arriving', async (pair) => {
      pair.server.setBounds({ messageBytesMax: 512 })
      pair.client.send([patterned(1_000_000)])
      expect(await pair.atServer.closed).toMatch(/message of/)
      await pair.atClient.closed
      expect(pair.atServer.messages).toHaveLength(0)
    })

    test('X4: a listener that takes no peers refuses them, one that takes them takes clients too', async () => {
      const subject = make()
      if (!subject.knowsPeers) return
      await subject.drive(
        (async () => {
          const peer = { ...CONNECT, subprotocol: 'millrace-peer' as const }
          const closed = await subject.server.listen({ ...listenOptions(subject), takesPeers: false }, () =>
            expect.unreachable(),
          )
          await refused(subject.client.connect(subject.url(closed), peer), 'NETWORK_REFUSED_BY_PEER')
          await closed.close()
          const accepted: Connection[] = []
          const open = await subject.server.listen(
            { ...listenOptions(subject), takesPeers: true },
            (connection) => {
              accepted.push(connection)
              connection.onClose = () => undefined
            },
          )
          for (const options of [peer, CONNECT]) {
            const connection = await subject.client.connect(subject.url(open), options)
            const inbox = new Inbox(connection)
            connection.close()
            await inbox.closed
          }
          expect(accepted.map(({ subprotocol }) => subprotocol)).toEqual(['millrace-peer', 'kafka'])
          await open.close()
        })(),
      )
    })

    test('a subprotocol that the transport cannot carry is a bad address', async () => {
      const subject = make()
      if (subject.knowsPeers) return
      await subject.drive(
        (async () => {
          const listener = await subject.server.listen(listenOptions(subject), () => undefined)
          const options = { ...CONNECT, subprotocol: 'millrace-peer' as const }
          await refused(subject.client.connect(subject.url(listener), options), 'NETWORK_BAD_ADDRESS')
          await listener.close()
        })(),
      )
    })

    pairTest('connectionCount counts what is open', async (pair) => {
      expect(pair.listener.connectionCount).toBe(1)
      pair.client.close()
      await pair.atServer.closed
      await pair.subject.turns(2)
      expect(pair.listener.connectionCount).toBe(0)
    })

    test('connect() tells what happened: nothing listens, a bad address, given up', async () => {
      const subject = make()
      await subject.drive(
        (async () => {
          const listener = await subject.server.listen(listenOptions(subject), () => undefined)
          const url = subject.url(listener)
          await listener.close()
          await refused(subject.client.connect(url, CONNECT), 'NETWORK_UNREACHABLE')
          await refused(subject.client.connect('nonsense', CONNECT), 'NETWORK_BAD_ADDRESS')
          const signal = AbortSignal.abort()
          await refused(subject.client.connect(url, { ...CONNECT, signal }), 'NETWORK_ABORTED')
        })(),
      )
    })

    test('listen() refuses an address in use, and gives it free after close()', async () => {
      const subject = make()
      await subject.drive(
        (async () => {
          const first = await subject.server.listen(listenOptions(subject), () => undefined)
          const same = { ...listenOptions(subject), port: first.port }
          await refused(
            subject.server.listen(same, () => undefined),
            'NETWORK_ADDRESS_IN_USE',
          )
          await first.close()
          const second = await subject.server.listen(same, () => undefined)
          await second.close()
        })(),
      )
    })
  })
}

async function refused(promise: Promise<unknown>, code: string): Promise<void> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(NetworkError)
  expect(error).toMatchObject({ code })
}
