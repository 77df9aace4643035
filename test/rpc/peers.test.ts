/**
 * Nodes that talk through `Peers`, on real sockets and in the simulation alike: who is let in, who is not and how each
 * end hears of it, and what reaches whom.
 */
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { Connection } from '../../src/env/index.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import { encodeRequest } from '../../src/protocol/frame.ts'
import { ChannelError } from '../../src/rpc/client-channel.ts'
import { PeerError } from '../../src/rpc/peer-error.ts'
import { DiallerHandshake } from '../../src/rpc/peer-handshake.ts'
import { decodePeerMessage, encodePeerMessage } from '../../src/rpc/peer-messages.ts'
import type { PeerMessage } from '../../src/rpc/peer-messages.ts'
import { proofKey } from '../../src/rpc/peer-proof.ts'
import { answer, CLUSTER, PeerCluster, SECRET, simWorld, socketWorld } from './support/peer-world.ts'
import type { NodeOptions, PeerNode, World } from './support/peer-world.ts'

const worlds: Record<string, () => World> = {
  sockets: socketWorld,
  simulation: () => simWorld(new Simulation({ seed: process.env['SEED'] ?? 11 })),
}

let cluster: PeerCluster

/** Runs a story in a new world. */
const story = (world: World, body: () => Promise<void>): Promise<void> => {
  cluster = new PeerCluster(world)
  return world.drive(async () => {
    await body()
    await cluster.close()
  })
}

async function failure(promise: Promise<unknown>): Promise<ChannelError> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(ChannelError)
  return error as ChannelError
}

/** A connection of subprotocol `millrace-peer` in the hands of the test. */
class Stranger {
  readonly received: PeerMessage[] = []
  readonly closed: Promise<string>
  readonly connection: Connection
  #wake: () => void = () => undefined

  constructor(connection: Connection) {
    this.connection = connection
    connection.onMessage = (frame) => {
      this.received.push(decodePeerMessage(frame))
      this.#wake()
    }
    this.closed = new Promise((resolve) => (connection.onClose = resolve))
  }

  static async to(world: World, node: PeerNode): Promise<Stranger> {
    const options = { timeoutMs: 5000, messageBytesMax: 100_000, sendHighWaterBytes: 100_000 }
    const { network } = world.ports('stranger')
    return new Stranger(await network.connect(node.url, { ...options, subprotocol: 'millrace-peer' }))
  }

  say(...frames: Uint8Array[]): this {
    for (const frame of frames) this.connection.send([frame])
    return this
  }

  async next(): Promise<PeerMessage> {
    while (this.received.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.received.shift()!
  }

  /** The reason that it is told before the connection closes. */
  async refusal(): Promise<string> {
    await this.closed
    const last = this.received.at(-1)
    return last?.kind === 'PeerRefusal' ? last.reason : 'none'
  }
}

const request = (number: number): Uint8Array =>
  Buffer.concat(
    encodeRequest('InitProducerId', 5, 1, 'client', { transactionalId: null, transactionTimeoutMs: number }),
  )

function dialler(toNodeId: number, secret: string | null = SECRET): DiallerHandshake {
  const self = { clusterId: CLUSTER, nodeId: 9, key: secret === null ? null : proofKey(secret) }
  const ids = { directoryId: 'strangerxxxxxxxxxxxxxA', incarnationId: 'strangerxxxxxxxxxxxxxA' }
  const context = { isLoopback: true, nonce: 'nonceoncexxxxxxxxxxxxA', admits: () => null }
  return new DiallerHandshake({ ...self, ...ids }, context, toNodeId, 'control')
}

describe.each(Object.entries(worlds))('Peers (%s)', (_name, make) => {
  let world: World

  const tell = (claim: string, body: () => Promise<void>): void =>
    test(claim, async () => {
      world = make()
      await story(world, body)
    })

  tell('tell who connected after it could not be reached, whichever of the two did', async () => {
    const one = await cluster.start(1)
    await failure(one.ask(2, 1))
    expect(one.attempts.get(2)?.code).toBe('PEER_ADDRESS_UNKNOWN')

    const two = await cluster.start(2)
    await two.ask(1, 2)

    expect(one.attempts.get(2)).toBeNull()
    expect(two.attempts.get(1)).toBeNull()
  })

  tell('carry requests both ways, each answered in the order of the requests', async () => {
    const [one, two] = [await cluster.start(1), await cluster.start(2)]
    const late: (() => void)[] = []
    two.onRequest = (exchange, number) => {
      if (number === 0) late.push(() => answer(exchange, number))
      else answer(exchange, number)
      if (number === 4) late.forEach((respond) => respond())
    }
    const order: number[] = []
    const asked = [0, 1, 2, 3, 4].map(async (number) => order.push(await one.ask(2, number)))
    expect(await two.ask(1, 7)).toBe(7)
    await Promise.all(asked)
    expect(order).toEqual([0, 1, 2, 3, 4])
    // The first had no answer when the others came: requests of nodes start as they come.
    expect(two.requests.map(({ number }) => number)).toEqual([0, 1, 2, 3, 4])
    expect(two.requests[0]).toEqual({ from: 1, purpose: 'control', number: 0 })
    expect(one.requests).toEqual([{ from: 2, purpose: 'control', number: 7 }])
  })

  tell('keep a connection for each purpose, so that none waits behind another', async () => {
    const [one, two] = [await cluster.start(1), await cluster.start(2)]
    two.onRequest = (exchange, number) => {
      if (number !== 1) answer(exchange, number)
    }
    const body = (number: number) => ({ transactionalId: null, transactionTimeoutMs: number })
    const lease = await one.peers.forwards.acquire(2, 'standing', new AbortController().signal)
    const standing = lease.channel.call('InitProducerId', body(1), { timeoutMs: 60_000 })
    await one.peers.replica(2).call('InitProducerId', body(2), { timeoutMs: 10_000 })
    expect(await one.ask(2, 3)).toBe(3)
    expect(one.peers.control(2)).toBe(one.peers.control(2))
    const purposes = two.peers.describe().map(({ purpose, nodeId }) => `${nodeId} ${purpose}`)
    expect(purposes.sort()).toEqual(['1 control', '1 forward', '1 replica'])
    lease.abandon()
    expect(await failure(standing)).toMatchObject({ code: 'CHANNEL_CLOSED', wasSent: true })
    await two.untilLogged('debug', /Node disconnected.*forward/)
  })

  tell(
    'carry mail both ways over whatever connection there is, also to a node without a known address',
    async () => {
      const [one, two] = [await cluster.start(1), await cluster.start(2)]
      cluster.addresses.delete(1)
      const heard = new Promise<void>((resolve) => {
        two.peers.raft.onMessage = (from, frame) => {
          two.mail.push(`${from}: ${Buffer.from(frame).toString()}`)
          if (two.mail.length === 3) two.post(1, 'heard')
        }
        one.peers.raft.onMessage = (from, frame) => {
          one.mail.push(`${from}: ${Buffer.from(frame).toString()}`)
          resolve()
        }
      })
      two.post(1, 'to an unknown place')
      for (const text of ['a', 'b', 'c']) one.post(2, text)
      await heard
      expect(two.mail).toEqual(['1: a', '1: b', '1: c'])
      expect(one.mail).toEqual(['2: heard'])
      expect(two.peers.droppedMailCount).toBe(1)
    },
  )

  const refusals: readonly {
    claim: string
    one?: NodeOptions
    two?: NodeOptions
    code: string
    reason: RegExp
  }[] = [
    {
      claim: 'X4, NW-2: a node of another cluster',
      one: { clusterId: 'another cluster' },
      code: 'PEER_WRONG_CLUSTER',
      reason: /cluster "another cluster" meets node 2 of cluster "clusterclusterclusterA"/,
    },
    {
      claim: 'X4: a node with another secret',
      one: { secret: 'what others know' },
      code: 'PEER_WRONG_PROOF',
      reason: /the two nodes do not have the same cluster.secret/,
    },
    {
      claim: 'X4: a node of its own id',
      one: { directoryId: 'otherdiskxxxxxxxxxxxxA' },
      code: 'PEER_DUPLICATE_NODE',
      reason: /node id 2 is taken by this node/,
    },
  ]
  for (const { claim, one, two, code, reason } of refusals) {
    tell(`refuse ${claim}; both ends say why`, async () => {
      const isOwnId = code === 'PEER_DUPLICATE_NODE'
      const from = isOwnId
        ? await cluster.start(2, { ...one, name: 'impostor' })
        : await cluster.start(1, one)
      const to = await cluster.start(2, two)
      if (isOwnId) {
        // A node does not ask itself; this one is made to believe that it asks node 3, which is what node 2 was.
        const stranger = await Stranger.to(world, to)
        const hello = new DiallerHandshake(
          { clusterId: CLUSTER, nodeId: 2, key: proofKey(SECRET), directoryId: 'otherdiskxxxxxxxxxxxxA', incarnationId: 'otherlifexxxxxxxxxxxxA' }, // prettier-ignore
          { isLoopback: true, nonce: 'nonceoncexxxxxxxxxxxxA', admits: () => null },
          2,
          'control',
        ).start()
        if (hello.kind === 'say') stranger.say(hello.frame)
        expect(await stranger.refusal()).toMatch(reason)
      } else {
        const error = await failure(from.ask(2, 1))
        expect(error).toMatchObject({ code: 'CHANNEL_CLOSED', wasSent: false })
        expect(error.cause).toBeInstanceOf(PeerError)
        expect(error.cause).toMatchObject({ code })
        expect(error.message).toMatch(reason)
        expect(from.logged('error', reason)).toBe(true)
      }
      expect(to.logged('warn', reason)).toBe(true)
      expect(to.logged('warn', new RegExp(code))).toBe(true)
      expect(to.requests).toEqual([])
      expect(to.peers.describe()).toEqual([])
    })
  }

  tell('X4, NW-2: refuse when an address leads to another node than it should', async () => {
    const [one, , three] = [await cluster.start(1), await cluster.start(2), await cluster.start(3)]
    cluster.addresses.set(2, three.url)
    const error = await failure(one.ask(2, 1))
    expect(error.cause).toMatchObject({ code: 'PEER_WRONG_NODE' })
    expect(error.message).toContain('this is node 3, wanted was node 2')
    expect(three.logged('warn', /this is node 3, wanted was node 2/)).toBe(true)
    expect(three.requests).toEqual([])
  })

  tell('X4: refuse a second disk under an id while the first is connected', async () => {
    const [one, two] = [await cluster.start(1), await cluster.start(2)]
    expect(await one.ask(2, 1)).toBe(1)
    const twin = await cluster.start(1, { directoryId: 'otherdiskxxxxxxxxxxxxA', name: 'twin' })
    const error = await failure(twin.ask(2, 2))
    expect(error.cause).toMatchObject({ code: 'PEER_DUPLICATE_NODE' })
    expect(error.message).toMatch(/node id 1 is taken by .*, which has another data directory/)
    expect(two.logged('warn', /PEER_DUPLICATE_NODE/)).toBe(true)
    expect(await one.ask(2, 3)).toBe(3)
    expect(two.requests.map(({ number }) => number)).toEqual([1, 3])
    // Once the first is gone, the place is free.
    await one.peers.close()
    for (;;) {
      try {
        expect(await twin.ask(2, 4)).toBe(4)
        break
      } catch (refused) {
        expect((refused as ChannelError).cause).toMatchObject({ code: 'PEER_DUPLICATE_NODE' })
      }
    }
  })

  tell('X4: a later life of a node ends what is left of the earlier one', async () => {
    const [one, two] = [await cluster.start(1), await cluster.start(2)]
    expect(await one.ask(2, 1)).toBe(1)
    const again = await cluster.start(1, { name: 'again' })
    const lost = new Promise<void>((resolve) => {
      two.onRequest = (exchange, number) => {
        if (number !== 2) answer(exchange, number)
        else resolve()
      }
    })
    const standing = failure(one.ask(2, 2))
    await lost
    expect(await again.ask(2, 3)).toBe(3)
    expect(await standing).toMatchObject({ code: 'CHANNEL_CLOSED', wasSent: true })
    expect(two.logged('info', /superseded by a newer connection of node 1/)).toBe(true)
  })

  tell('X12: nothing that comes before the handshake is over reaches anybody', async () => {
    const two = await cluster.start(2)
    const hello = dialler(2).start()
    if (hello.kind !== 'say') throw new Error('A dialler begins')
    const proof = encodePeerMessage({ kind: 'PeerProof', proof: new Uint8Array(32) })
    const welcome = encodePeerMessage({ kind: 'PeerWelcome', proof: new Uint8Array(32) })
    const attacks: Record<string, Uint8Array[]> = {
      'a request at once': [request(1)],
      'a request after the Hello': [hello.frame, request(1)],
      'a request behind a wrong proof': [hello.frame, proof, request(1)],
      'a proof without a Hello': [proof],
      'the acceptor’s part': [welcome],
      'two Hellos': [hello.frame, hello.frame],
      'mail of the quorum': [Uint8Array.from([104, 0, 0, 0, 0, 1])],
      'one byte': [Uint8Array.from([0x4d])],
    }
    for (const [name, frames] of Object.entries(attacks)) {
      const stranger = await Stranger.to(world, two)
      const reason = await stranger.say(...frames).refusal()
      expect(reason, name).not.toBe('none')
    }
    expect(two.requests).toEqual([])
    expect(two.mail).toEqual([])
    expect(two.peers.describe()).toEqual([])
  })

  tell('X12: a frame over 512 bytes before the proof closes the connection', async () => {
    const two = await cluster.start(2)
    const stranger = await Stranger.to(world, two)
    stranger.say(new Uint8Array(513).fill(0x4d))
    await stranger.closed
    expect(two.logged('warn', /PEER_LOST.*512 bytes|PEER_LOST.*513 bytes/)).toBe(true)
  })

  tell('X18: a handshake that is not over in time is told so and cut', async () => {
    const two = await cluster.start(2, { limits: { handshakeMs: 60 } })
    const [silent, halfway] = [await Stranger.to(world, two), await Stranger.to(world, two)]
    const hello = dialler(2).start()
    if (hello.kind === 'say') halfway.say(hello.frame)
    expect((await halfway.next()).kind).toBe('PeerChallenge')
    for (const stranger of [silent, halfway]) {
      expect(await stranger.refusal()).toBe('the handshake was not over within 60 ms')
    }
    expect(two.logged('warn', /PEER_HANDSHAKE_TIMED_OUT/)).toBe(true)
  })

  tell('X18: strangers that stop halfway do not keep nodes out', async () => {
    const two = await cluster.start(2, { limits: { handshakesMax: 5 } })
    const strangers: Stranger[] = []
    for (let count = 0; count < 12; count++) strangers.push(await Stranger.to(world, two))
    const one = await cluster.start(1)
    expect(await one.ask(2, 1)).toBe(1)
    expect(await strangers[0]!.refusal()).toBe('too many connections are in the middle of a handshake')
  })

  tell('a dialler is told, too, when the other end does not go on', async () => {
    const one = await cluster.start(1, { limits: { handshakeMs: 60 } })
    const mute = await world.ports('mute').network.listen(
      {
        ...{ host: world.host('mute'), port: world.port, protocols: ['websocket'], origins: [] },
        ...{ takesPeers: true, limits: { messageBytesMax: 1000, connectionsMax: 9, connectionsPerAddressMax: 9, handshakeMs: 1e6, idleMs: 1e6, messageMs: 1e6, sendHighWaterBytes: 1e6, sendStallMs: 1e6 } }, // prettier-ignore
      },
      () => undefined,
    )
    cluster.addresses.set(2, `ws://${world.host('mute')}:${mute.port}/`)
    const error = await failure(one.ask(2, 1))
    expect(error.cause).toMatchObject({ code: 'PEER_HANDSHAKE_TIMED_OUT' })
    await mute.close()
  })

  tell(
    'a call to a node that is nowhere fails with the reason, and one that is given up is not sent',
    async () => {
      const one = await cluster.start(1)
      const nowhere = await failure(one.ask(5, 1))
      expect(nowhere).toMatchObject({ code: 'CHANNEL_CLOSED', wasSent: false })
      expect(nowhere.cause).toMatchObject({ code: 'PEER_ADDRESS_UNKNOWN' })
      const two = await cluster.start(2)
      const giveUp = new AbortController()
      const body = { transactionalId: null, transactionTimeoutMs: 1 }
      const call = one.peers
        .control(2)
        .call('InitProducerId', body, { timeoutMs: 1000, signal: giveUp.signal })
      giveUp.abort()
      expect(await failure(call)).toMatchObject({ code: 'CHANNEL_ABORTED', wasSent: false })
      expect(await one.ask(2, 2)).toBe(2)
      expect(two.requests.map(({ number }) => number)).toEqual([2])
    },
  )

  tell('requests to a node that takes none yet end with a lost connection, not with silence', async () => {
    const [one, two] = [await cluster.start(1), await cluster.start(2)]
    two.peers.onRequest = (exchange) => exchange.channel.close('takes no requests yet')
    expect(await failure(one.ask(2, 1))).toMatchObject({ code: 'CHANNEL_CLOSED', wasSent: true })
  })

  tell('close() answers what was begun, then refuses and is silent', async () => {
    const [one, two] = [await cluster.start(1), await cluster.start(2)]
    const begun = new Promise<void>((resolve) => {
      two.onRequest = (exchange, number) => {
        resolve()
        exchange.channel.watchEnd(() => answer(exchange, number))
      }
    })
    const standing = one.ask(2, 1)
    await begun
    await two.peers.close()
    expect(await standing).toBe(1)
    expect(two.peers.describe()).toEqual([])
    expect(await failure(two.ask(1, 1))).toMatchObject({ code: 'CHANNEL_CLOSED', wasSent: false })
    two.post(1, 'never')
    const error = await failure(one.ask(2, 2))
    expect(error.wasSent).toBe(false)
    expect(one.requests).toEqual([])
    expect(one.mail).toEqual([])
  })
})

describe('Peers without a secret', () => {
  test('X4: talk over loopback, but not to whom a proxy passes on', async () => {
    await story(socketWorld(), async () => {
      const [one, two] = [await cluster.start(1, { secret: null }), await cluster.start(2, { secret: null })]
      expect(await one.ask(2, 1)).toBe(1)
      const hello = dialler(2, null).start()
      const proxied = new WebSocket(two.url, ['millrace-peer'], {
        headers: { 'X-Forwarded-For': '203.0.113.9' },
      })
      proxied.on('open', () => {
        if (hello.kind === 'say') proxied.send(hello.frame)
      })
      const told = new Promise<Buffer>((resolve) => proxied.once('message', resolve))
      expect(decodePeerMessage(await told)).toMatchObject({ kind: 'PeerRefusal' })
      await two.untilLogged('warn', /PEER_SECRET_NEEDED/)
      expect(two.requests).toHaveLength(1)
    })
  })

  test('X4: do not talk from machine to machine', async () => {
    await story(simWorld(new Simulation({ seed: 1 })), async () => {
      const [one, two] = [await cluster.start(1, { secret: null }), await cluster.start(2, { secret: null })]
      const error = await failure(one.ask(2, 1))
      expect(error.cause).toMatchObject({ code: 'PEER_SECRET_NEEDED' })
      await two.untilLogged('warn', /nodes on different machines need cluster.secret/)
      expect(two.requests).toEqual([])
    })
  })

  test.each([
    [null, SECRET, /the one that refuses has it/],
    [SECRET, null, /the one that refuses has none/],
  ])('X4: a node with a secret and one without do not talk (%s, %s)', async (first, second, reason) => {
    await story(socketWorld(), async () => {
      const [one, two] = [
        await cluster.start(1, { secret: first }),
        await cluster.start(2, { secret: second }),
      ]
      const error = await failure(one.ask(2, 1))
      expect(error.cause).toMatchObject({ code: 'PEER_WRONG_PROOF' })
      expect(error.message).toMatch(reason)
      expect(two.logged('warn', reason)).toBe(true)
    })
  })
})
