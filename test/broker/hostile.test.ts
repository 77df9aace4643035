/**
 * Hostile input on real sockets against a real broker with small limits (docs/faults.md section 6). The bounds that all
 * share: at most 64 MiB more is held, the broker goes on serving others, nothing counts as a defect, and who attacks is
 * cut off by a deadline of the configuration.
 */
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { Broker } from '../../src/broker/broker.ts'
import { loadBrokerConfig } from '../../src/broker/broker-config.ts'
import { silentLogger } from '../../src/env/index.ts'
import { MemoryFileSystem } from '../../src/env/memory/memory-file-system.ts'
import { nodeEnv } from '../../src/env/node/index.ts'
import { clientApiList } from '../../src/protocol/apis.ts'
import type { Api } from '../../src/protocol/apis.ts'
import { decodeResponse, encodeRequest } from '../../src/protocol/frame.ts'
import { heldBytes } from '../support/held-memory.ts'
import { fixedValue } from '../support/protocol-values.ts'
import { RawClient } from '../support/raw-client.ts'
import { seedFromEnv } from '../support/seed.ts'
import { fetchRequest, makeBatch, produceRequest, valuesOf } from './support/batches.ts'

/** What an attack may hold while it goes on, and when it is over, bytes. */
const HELD_MAX = 64 * 2 ** 20
/** A hundred thousand names take three times as much, bytes. */
const HELD_OF_NAMES_MAX = 4 * 2 ** 20
const LOOK_MS = 100
const HANDSHAKE_MS = 400
const MESSAGE_MS = 400
const STALL_MS = 500
const SETTINGS = {
  listeners: 'any://127.0.0.1:0',
  'num.partitions': '1',
  'socket.request.max.bytes': '1048576',
  'connection.handshake.timeout.ms': String(HANDSHAKE_MS),
  'connection.message.timeout.ms': String(MESSAGE_MS),
  'connection.send.stall.timeout.ms': String(STALL_MS),
  'connection.requests.in.flight.max': '100',
  'connection.send.buffer.max.bytes': '65536',
  'queued.max.request.bytes': '4194304',
  'queued.max.response.bytes': '4194304',
  'max.connections': '700',
}
const SEED = seedFromEnv('hostile input')

let broker: Broker
let port: number
let client: RawClient
const { clock } = nodeEnv()
let heldAtStart = 0

async function open(scheme: 'tcp' | 'ws' = 'tcp'): Promise<RawClient> {
  const options = { timeoutMs: 5000, messageBytesMax: 2 ** 27, sendHighWaterBytes: 2 ** 20 }
  return new RawClient(await nodeEnv().network.connect(`${scheme}://127.0.0.1:${port}`, options))
}

beforeAll(async () => {
  const machine = { ...nodeEnv(), logger: silentLogger }
  const files = new MemoryFileSystem(machine)
  const flags = new Map(Object.entries(SETTINGS).map(([key, value]) => [key, { value, flag: key }]))
  const config = loadBrokerConfig({ flags })
  broker = await Broker.start({ ...machine, files }, { config, directory: '/hostile', memoryFiles: files })
  port = broker.listeners[0]!.port
  client = await open()
  await client.call('Metadata', 4, { topics: [{ name: 'others' }] })
  heldAtStart = heldBytes()
})
afterAll(() => broker.close())

/** What every attack must leave as it was. */
afterEach(async () => {
  const { responses } = await client.call('Produce', 9, produceRequest({ name: 'others' }, makeBatch()))
  const answer = responses[0]!.partitionResponses[0]!
  expect(answer.errorCode).toBe(0)
  const fetched = await client.call(
    'Fetch',
    12,
    fetchRequest({ name: 'others' }, { offset: answer.baseOffset }),
  )
  expect(valuesOf(fetched.responses[0]!.partitions[0]!.records)).toHaveLength(1)
  expect(metric('millrace_request_failures_total')).toBe(0)
  expect(heldBytes() - heldAtStart).toBeLessThan(HELD_MAX)
})

function metric(name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(broker.metrics())?.[1])
}

/** A bare socket that keeps what it is sent. */
function dial(): Promise<{ socket: Socket; received: Buffer[]; closed: Promise<void> }> {
  return new Promise((resolve, reject) => {
    const received: Buffer[] = []
    const socket = connectTcp(port, '127.0.0.1')
    const closed = new Promise<void>((done) => socket.once('close', () => done()))
    socket.on('data', (data) => received.push(data))
    socket.once('connect', () => resolve({ socket, received, closed }))
    socket.on('error', reject)
  })
}

function framed(frame: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(frame.length)
  return Buffer.concat([length, frame])
}

const frameOf = (pieces: readonly Uint8Array[]): Buffer => Buffer.concat(pieces)
const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

describe('X1: what is announced costs nothing', () => {
  const openings: [string, Buffer][] = [
    ['2^31-1', int32(2 ** 31 - 1)],
    ['-1', int32(-1)],
    ['0', int32(0)],
    ['one more than allowed', int32(1_048_577)],
    ['a TLS hello', Buffer.from('16030100f8010000f40303', 'hex')],
    ['a line of SSH', Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')],
  ]
  it.each(openings)('%s is answered by closing', async (_what, bytes) => {
    const { socket, received, closed } = await dial()
    socket.write(bytes)
    await closed
    expect(Buffer.concat(received).toString()).not.toMatch(/[^\x20-\x7e\r\n]/)
  })

  it('500 connections that announce the largest message and say no more are all gone at the deadline', async () => {
    const before = heldBytes()
    const sockets = await Promise.all(Array.from({ length: 500 }, () => dial()))
    for (const { socket } of sockets) socket.write(int32(1_048_576))
    await client.call('Metadata', 4, { topics: [{ name: 'others' }] })
    let openCount = sockets.length
    for (const { closed } of sockets) void closed.then(() => openCount--)
    expect((await mostHeldUntil(() => openCount === 0)) - before).toBeLessThan(HELD_MAX)
  }, 10_000)
})

it('X17: a page that posts Kafka frames gets HTTP for an answer, and nothing of them is obeyed', async () => {
  const produced = metric('millrace_requests_total')
  const { socket, received, closed } = await dial()
  const body = framed(frameOf(encodeRequest('Metadata', 4, 1, null, { topics: [{ name: 'posted' }] })))
  socket.write(
    `POST / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`,
  )
  socket.write(body)
  await closed
  expect(Buffer.concat(received).toString()).toMatch(/^HTTP\/1.1 405 /)
  expect(metric('millrace_requests_total')).toBe(produced)
})

describe('X14: broken WebSocket frames', () => {
  const upgrade = async () => {
    const connection = await dial()
    const headers = [
      `GET / HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Protocol: kafka',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ]
    const upgraded = new Promise<void>((resolve) => connection.socket.once('data', () => resolve()))
    connection.socket.write(`${headers.join('\r\n')}\r\n\r\n`)
    await upgraded
    expect(Buffer.concat(connection.received).toString()).toContain(' 101 ')
    return connection
  }

  const frames: [string, string][] = [
    ['a length with its top bit set', '82ff80000000000000010000000000'],
    ['a length of 2^63-1', '82ff7fffffffffffffff00000000'],
    ['a length above the bound', '82ff000000000010000100000000'],
    ['reserved bits', 'f280000000'],
    ['an unknown opcode', '838000000000'],
    ['no mask', '820141'],
    ['a control frame of 126 bytes', `89fe007e00000000${'00'.repeat(126)}`],
    ['a continuation of nothing', '808000000000'],
    ['a fragmented ping', '098000000000'],
    ['a close with a bad reason', '88840000000003e8ffff'],
    ['a text message', '818100000000' + '41'],
  ]
  it.each(frames)('%s closes the connection', async (_what, hex) => {
    const { socket, closed } = await upgrade()
    socket.write(Buffer.from(hex, 'hex'))
    await closed
  })

  it('X15: a message of never-ending one-byte fragments ends at a bound of time or of fragments', async () => {
    const { socket, closed } = await upgrade()
    const state = { isClosed: false }
    void closed.then(() => (state.isClosed = true))
    socket.write(Buffer.from('028100000000' + '00', 'hex'))
    const fragments = Buffer.from('008100000000' + '00'.repeat(1), 'hex')
    const many = Buffer.concat(Array.from({ length: 1000 }, () => fragments))
    for (let sent = 0; sent < 400 && !state.isClosed; sent++) {
      socket.write(many)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await closed
  })

  it('X15: 2,000 header lines in the upgrade are refused', async () => {
    const { socket, closed } = await dial()
    const lines = Array.from({ length: 2000 }, (_, index) => `X-Header-${index}: value`).join('\r\n')
    socket.write(`GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${lines}\r\n\r\n`)
    await closed
  })
})

describe('X18: who is slow', () => {
  const request = framed(frameOf(encodeRequest('Metadata', 4, 1, null, { topics: [] })))

  it('says nothing: is gone at the deadline', async () => {
    const { closed } = await dial()
    await closed
  })

  it.each([2, 4, 9, request.length - 1])('stops after %i bytes: is gone at the deadline', async (count) => {
    const { socket, closed } = await dial()
    socket.write(request.subarray(0, count))
    await closed
  })

  it('stops in the middle of its second request: is gone at the deadline of a message', async () => {
    const { socket, received, closed } = await dial()
    socket.write(Buffer.concat([request, request.subarray(0, 10)]))
    await closed
    expect(Buffer.concat(received).length).toBeGreaterThan(10)
  })

  it('stops in the middle of an upgrade: is gone at the deadline', async () => {
    const { socket, closed } = await dial()
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nUpgr')
    await closed
  })

  it('connections above the limit are closed as they come, and there is room again when others go', async () => {
    const sockets = await Promise.all(Array.from({ length: 690 }, () => dial()))
    const extra = await Promise.all(Array.from({ length: 30 }, () => dial()))
    await Promise.any(extra.map(({ closed }) => closed))
    for (const { socket } of [...sockets, ...extra]) socket.destroy()
    await Promise.all([...sockets, ...extra].map(({ closed }) => closed))
    const late = await open()
    await late.call('ApiVersions', 0, {})
    late.close()
  })
})

describe('who does not read', () => {
  it('X19: is cut off when it takes nothing of its fetches for the stall time; memory is bounded', async () => {
    await client.call(
      'Produce',
      9,
      produceRequest({ name: 'others' }, makeBatch({ values: ['x'.repeat(900_000)] })),
    )
    const before = heldBytes()
    const fetch = framed(frameOf(encodeRequest('Fetch', 11, 1, null, fetchRequest({ name: 'others' }))))
    const readers = await Promise.all(Array.from({ length: 20 }, () => dial()))
    for (const { socket } of readers) {
      socket.pause()
      socket.write(Buffer.concat(Array.from({ length: 1000 }, () => fetch)))
    }
    // A paused socket does not learn of its end: the broker's count does.
    await until(() => metric('millrace_connections') > readers.length)
    expect((await mostHeldUntil(() => metric('millrace_connections') <= 1)) - before).toBeLessThan(HELD_MAX)
    expect(metric('millrace_response_bytes')).toBe(0)
    for (const { socket } of readers) socket.destroy()
  }, 20_000)

  it('X20: 300,000 tiny requests on one connection hold no memory', async () => {
    const before = heldBytes()
    const { socket } = await dial()
    socket.pause()
    const tiny = framed(frameOf(encodeRequest('ApiVersions', 0, 1, null, {})))
    const many = Buffer.concat(Array.from({ length: 10_000 }, () => tiny))
    for (let sent = 0; sent < 30; sent++) socket.write(many)
    await until(() => metric('millrace_connections') > 1)
    expect((await mostHeldUntil(() => metric('millrace_connections') <= 1)) - before).toBeLessThan(HELD_MAX)
    expect(metric('millrace_request_bytes')).toBe(0)
    socket.destroy()
  }, 20_000)
})

/** Polls by the turns of the event loop: what is waited for is an event inside the broker. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
}

/** Bytes: the most that was held at any look, of which there is one each `LOOK_MS`, for each stops the broker. */
async function mostHeldUntil(isSo: () => boolean): Promise<number> {
  let most = 0
  let nextMs = 0
  await until(() => {
    if (clock.monotonicMs() >= nextMs) {
      most = Math.max(most, heldBytes())
      nextMs = clock.monotonicMs() + LOOK_MS
    }
    return isSo()
  })
  return most
}

describe('X2: counts and lengths in a request', () => {
  const LIES = [2 ** 31 - 1, -1, -2, -(2 ** 31), 2 ** 24]
  it('a count that is no count closes the connection or is answered, and takes no memory', async () => {
    const before = heldBytes()
    const frame = frameOf(encodeRequest('Metadata', 4, 1, 'x', { topics: [{ name: 'abc' }] }))
    for (let position = 8; position + 4 <= frame.length; position++) {
      for (const lie of LIES) {
        const copy = Buffer.from(frame)
        copy.writeInt32BE(lie, position)
        await outcome('tcp', copy)
      }
    }
    expect(heldBytes() - before).toBeLessThan(HELD_MAX)
  })

  it('a request full of the smallest things there are closes the connection before it costs anything', async () => {
    const before = heldBytes()
    // A megabyte of empty names: half a million topics to look for.
    const count = 500_000
    const head = frameOf(encodeRequest('Metadata', 1, 1, null, { topics: [] }))
    const frame = Buffer.concat([head.subarray(0, head.length - 4), int32(count), Buffer.alloc(count * 2)])
    expect(await outcome('tcp', frame)).toBeNull()
    expect(heldBytes() - before).toBeLessThan(HELD_MAX)
  })
})

/** Sends one frame on a connection of its own; resolves when there is an answer, or the connection closed. */
async function outcome(scheme: 'tcp' | 'ws', frame: Uint8Array): Promise<Uint8Array | null> {
  const attacker = await open(scheme)
  attacker.send(frame)
  const answer = await attacker.receive().catch(() => null)
  attacker.close()
  return answer
}

describe('X32: valid requests, cut and flipped', () => {
  /** A sound request of every API in its first and last version, small enough to try every byte. */
  const requests = clientApiList.flatMap((api) =>
    [...new Set([api.versions.first, api.versions.last])].map((version) => ({
      name: api.name,
      version,
      frame: frameOf(
        encodeRequest(
          api.name,
          version,
          7,
          'fuzz',
          fixedValue((api as Api).request, version, 'sample') as never,
        ),
      ),
    })),
  )

  /** A linear congruential generator is enough to choose bytes, and its seed is printed. */
  let state = SEED >>> 0
  const below = (bound: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state % bound
  }

  it.each(['tcp', 'ws'] as const)(
    'over %s the broker answers or closes, whatever comes',
    async (scheme) => {
      const violations = metric('millrace_violations_total')
      let count = 0
      for (const { name, version, frame } of requests) {
        const mutants: Buffer[] = []
        const step = scheme === 'tcp' ? 3 : 11
        for (let size = 1 + below(step); size < frame.length; size += step)
          mutants.push(frame.subarray(0, size))
        for (let position = below(step); position < frame.length; position += step) {
          const copy = Buffer.from(frame)
          copy[position]! ^= 1 << below(8)
          mutants.push(copy)
        }
        // Each on a connection of its own, a few at a time; one that waits for its answer waits for no more than its deadline.
        for (let first = 0; first < mutants.length; first += 20) {
          await Promise.all(
            mutants.slice(first, first + 20).map(async (mutant) => {
              const attacker = await open(scheme)
              attacker.send(mutant)
              // A sound request behind it: it is answered unless the connection is closed, and then all is over, too.
              attacker.send(encodeRequest('ApiVersions', 0, 99, null, {}))
              for (;;) {
                const answer = await attacker.receive().catch(() => null)
                if (answer === null) break
                if (Buffer.from(answer).readInt32BE(0) === 99) break
              }
              attacker.close()
              count++
            }),
          )
        }
        const sound = await outcome(scheme, frame)
        if (name !== 'Produce' && sound !== null) decodeResponse(name, version, sound)
      }
      console.log(`${scheme}: ${count} broken frames`)
      expect(metric('millrace_violations_total')).toBeGreaterThan(violations)
    },
    60_000,
  )
})

it('X28: the far ends of every number are answered, and mean nothing bad', async () => {
  const attacker = await open()
  for (const style of ['minima', 'maxima', 'nulls', 'fallbacks'] as const) {
    for (const api of clientApiList) {
      for (let version = api.versions.first; version <= api.versions.last; version++) {
        if (api.name === 'Produce' || api.name === 'Fetch') continue
        const body = fixedValue((api as Api).request, version, style) as { timeoutMs?: number }
        // What may wait for as long as its client wants is asked to be quick.
        if (body.timeoutMs !== undefined) body.timeoutMs = Math.min(body.timeoutMs, 50)
        const one = attacker.isClosed ? await open() : attacker
        await one.call(api.name, version, body)
      }
    }
  }
  attacker.close()
})

it('X25: a hundred thousand names of clients leave nothing behind', async () => {
  const attacker = await open()
  const callAs = async (round: number): Promise<void> => {
    const calls = Array.from({ length: 1000 }, (_, index) =>
      attacker.call('ApiVersions', 0, {}, `client-${round}-${index}-${'x'.repeat(100)}`),
    )
    await Promise.all(calls)
  }
  await callAs(0)
  const before = heldBytes()
  const lines = broker.metrics().split('\n').length
  for (let round = 1; round <= 100; round++) await callAs(round)
  expect(broker.metrics().split('\n')).toHaveLength(lines)
  expect(heldBytes() - before).toBeLessThan(HELD_OF_NAMES_MAX)
  attacker.close()
})

describe('X26: a flood of creations', () => {
  it('is bounded for each request, and nothing absurd is begun', async () => {
    const attacker = await open()
    const topic = (name: string, numPartitions: number) => ({
      name,
      numPartitions,
      replicationFactor: 1,
      assignments: [],
      configs: [],
    })
    const errors = async (topics: ReturnType<typeof topic>[]) => {
      const body = await attacker.call('CreateTopics', 7, { topics, validateOnly: true })
      return new Set(body.topics.map(({ errorCode }) => errorCode))
    }
    expect(await errors([topic('a', 2 ** 31 - 1)])).toEqual(new Set([37]))
    expect(await errors(Array.from({ length: 20_000 }, (_, index) => topic(`t${index}`, 1)))).toEqual(
      new Set([44]),
    )
    expect([
      ...(await errors(Array.from({ length: 10 }, (_, index) => topic(`p${index}`, 10_000)))),
    ]).not.toEqual([0])
    const names = Array.from({ length: 15_000 }, (_, index) => ({ name: `auto-${index}` }))
    const { topics } = await attacker.call('Metadata', 4, { topics: names })
    expect(topics.filter(({ errorCode }) => errorCode === 0)).toEqual([])
    const { topics: all } = await attacker.call('Metadata', 4, {
      topics: null,
      allowAutoTopicCreation: false,
    })
    expect(all.length).toBeLessThan(10)
    attacker.close()
  }, 20_000)
})

it('WebSocket clients are served beside all that', async () => {
  const page = new WebSocket(`ws://127.0.0.1:${port}/`, { origin: 'https://evil.example' })
  const refused = await new Promise<string>((resolve) =>
    page.once('error', (error) => resolve(error.message)),
  )
  expect(refused).toContain('403')
  const friend = await open('ws')
  const { brokers } = await friend.call('Metadata', 4, { topics: null })
  expect(brokers).toHaveLength(1)
  friend.close()
})
