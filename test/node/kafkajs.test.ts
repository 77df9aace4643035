/**
 * `millrace/kafkajs`: kafkajs, unchanged, over the WebSocket listener of a real broker; and what its socket does when a
 * peer is slow, rude or gone. TCP is what kafkajs does by itself (kafkajs-groups.test.ts).
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import type { KafkaConfig, LogEntry } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import { openWebSocketStream } from '../../src/env/node/websocket-stream.ts'
import { webSocketSocketFactory } from '../../src/kafkajs.ts'
import { startBroker } from '../../src/testing.ts'
import type { TestBroker } from '../../src/testing.ts'

const NO_RETRY = { retry: { retries: 0 } }

describe('webSocketSocketFactory()', () => {
  let broker: TestBroker
  beforeAll(async () => {
    broker = await startBroker({ settings: { 'group.initial.rebalance.delay.ms': '0' } })
  })
  afterAll(() => broker.close())

  const complaints: LogEntry[] = []
  const kafkaOf = (config: Partial<KafkaConfig> = {}): Kafka =>
    new Kafka({
      brokers: [address()],
      socketFactory: webSocketSocketFactory(),
      logLevel: logLevel.WARN,
      logCreator: () => (entry) => complaints.push(entry),
      ...config,
    })
  const address = (): string => broker.bootstrap

  it('carries topics, records of every size, a consumer group and its offsets over WebSocket alone', async () => {
    const kafka = kafkaOf()
    const admin = kafka.admin()
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
    const consumer = kafka.consumer({ groupId: 'readers' })
    await Promise.all([admin.connect(), producer.connect(), consumer.connect()])
    await admin.createTopics({ topics: [{ topic: 'sizes', numPartitions: 1 }] })
    const values = [0, 1, 125, 126, 65_535, 65_536, 900_000].map((size) => 'x'.repeat(size))

    for (const value of values) await producer.send({ topic: 'sizes', messages: [{ value }] })
    await consumer.subscribe({ topic: 'sizes', fromBeginning: true })
    const seen: string[] = []
    await new Promise<void>((resolve, reject) => {
      const eachMessage = async ({ message }: { message: { value: Buffer | null } }): Promise<void> => {
        seen.push(message.value!.toString())
        if (seen.length === values.length) resolve()
      }
      consumer.run({ eachMessage }).catch(reject)
    })
    await Promise.all([consumer.disconnect(), producer.disconnect()])
    const committed = await admin.fetchOffsets({ groupId: 'readers', topics: ['sizes'] })
    await admin.disconnect()

    expect(seen.map((value) => value.length)).toEqual(values.map((value) => value.length))
    expect(committed[0]!.partitions).toMatchObject([{ partition: 0, offset: String(values.length) }])
    expect(complaints.splice(0)).toEqual([])
  })

  it('refuses ssl of kafkajs, and says how TLS is had instead', async () => {
    const admin = kafkaOf({ ssl: true, ...NO_RETRY }).admin()

    await expect(admin.connect()).rejects.toThrow(/its ssl option is for TCP, wanted a wss:\/\/ URL/)
    complaints.splice(0)
  })

  it('connects each broker by the URL that a function gives', async () => {
    const asked: string[] = []
    const url = ({ host, port }: { host: string; port: number }): string => {
      asked.push(`${host}:${port}`)
      return `ws://${address()}`
    }
    const admin = kafkaOf({ brokers: ['anywhere:1'], socketFactory: webSocketSocketFactory({ url }) }).admin()
    await admin.connect()
    await admin.listTopics()
    await admin.disconnect()

    expect(asked[0]).toBe('anywhere:1')
    expect(asked).toContain(address())
  })

  it.each(['tcp://a:1', 'https://a', 'a:1', ''])('refuses %j for a URL', (url) => {
    expect(() => webSocketSocketFactory({ url })).toThrow(TypeError)
    const factory = webSocketSocketFactory({ url: () => url })
    const open = () => factory({ host: 'a', port: 0, ssl: null, onConnect: () => undefined })
    expect(open).toThrow(/wanted ws:\/\/ or wss:\/\//)
  })

  it('tells kafkajs that nobody listens', async () => {
    await using gone = await startBroker()
    const { bootstrap } = gone
    await gone.close()
    const admin = kafkaOf({ brokers: [bootstrap], ...NO_RETRY }).admin()

    await expect(admin.connect()).rejects.toThrow(/ECONNREFUSED/)
    complaints.splice(0)
  })
})

describe('openWebSocketStream()', () => {
  /** A server that is no broker, and the next connection to it. */
  async function serve(): Promise<{ url: string; next: () => Promise<WebSocket> }> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => 'kafka' })
    onTestFinished(() => {
      for (const client of server.clients) client.terminate()
      server.close()
    })
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const next = async () => ((await once(server, 'connection')) as [WebSocket])[0]
    return { url: `ws://127.0.0.1:${port}`, next }
  }

  async function open(messageBytesMax = 1000) {
    const { url, next } = await serve()
    const accepted = next()
    let stream!: ReturnType<typeof openWebSocketStream>
    await new Promise<void>((resolve) => {
      stream = openWebSocketStream(url, { messageBytesMax, onConnect: resolve })
    })
    return { stream, peer: await accepted }
  }

  const frame = (text: string): Buffer => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(text.length)
    return Buffer.concat([length, Buffer.from(text)])
  }

  it('sends one message per frame, however the bytes are cut', async () => {
    const { stream, peer } = await open()
    const received: string[] = []
    const all = new Promise<void>((resolve) => {
      peer.on('message', (message: Buffer) => {
        if (received.push(message.toString()) === 3) resolve()
      })
    })

    const bytes = Buffer.concat([frame('one'), frame('two'), frame('three')])
    for (const cut of [bytes.subarray(0, 2), bytes.subarray(2, 9), bytes.subarray(9)]) stream.write(cut)
    await all

    expect(received).toEqual(['one', 'two', 'three'])
    stream.destroy()
  })

  it('gives messages with their lengths in front', async () => {
    const { stream, peer } = await open()
    peer.send('answer')
    const chunks: Buffer[] = []
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      if (Buffer.concat(chunks).length === 10) break
    }

    expect(Buffer.concat(chunks)).toEqual(frame('answer'))
  })

  it('stops the socket while nobody reads, and loses nothing by it', async () => {
    const { stream, peer } = await open(2_000_000)
    const message = Buffer.alloc(1_000_000, 'x')
    for (let index = 0; index < 50; index++) peer.send(message)

    // Far more than the buffers of both ends take: the peer is left with most of it until somebody reads.
    await once(stream, 'readable')
    const waitingBytes = peer.bufferedAmount
    let receivedBytes = 0
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      receivedBytes += chunk.length
      if (receivedBytes === 50 * (message.length + 4)) break
    }

    expect(waitingBytes).toBeGreaterThan(message.length)
    expect(stream.readableHighWaterMark).toBeLessThan(message.length)
  })

  it('ends when the peer closes, fails with the reason when it is refused, and bounds what it takes', async () => {
    const ended = await open()
    ended.stream.resume()
    ended.peer.close(1001)
    await once(ended.stream, 'end')

    const refused = await open()
    refused.peer.close(1008, 'too many requests')
    const [refusal] = (await once(refused.stream, 'error')) as [Error]
    expect(refusal.message).toBe('The broker closed the connection: 1008 too many requests')

    const flooded = await open(10)
    flooded.peer.send('x'.repeat(11))
    const [flood] = (await once(flooded.stream, 'error')) as [Error]
    expect(flood.message).toMatch(/Max payload size exceeded/)
  })

  it('refuses bytes that are no frames', async () => {
    const { stream } = await open()
    stream.write(Buffer.alloc(4))
    const [error] = (await once(stream, 'error')) as [Error]

    expect(error.message).toMatch(/announced a message of 0 bytes/)
  })

  it('does not say that it is connected, or that it failed, after it was given up', async () => {
    const { url } = await serve()
    const said: string[] = []
    const stream = openWebSocketStream(url, { messageBytesMax: 10, onConnect: () => said.push('connected') })
    stream.on('error', () => said.push('failed'))
    stream.end()
    stream.unref()
    await once(stream, 'close')

    expect(said).toEqual([])
  })
})
