import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FROM, RabbitConnection } from '../../../bench/peers/rabbitmq-connection.ts'
import {
  ANSWER_BIT,
  CODE_OK,
  encodeFrame,
  FrameReader,
  KEY,
  string,
  uint16,
  uint32,
  uint8,
} from '../../../bench/peers/rabbitmq-frames.ts'

/** Answers every question with success unless a test says otherwise. */
const server = createServer()
let socket: Socket | null = null
let connection: RabbitConnection | null = null
/** Keys of what the client sent. */
let keys: number[] = []
let answers = new Map<number, Buffer>()
let onKey: (key: number) => void = () => undefined

beforeEach(async () => {
  keys = []
  answers = new Map()
  onKey = () => undefined
  server.removeAllListeners('connection').on('connection', (accepted) => {
    socket = accepted
    const reader = new FrameReader()
    accepted.on('data', (piece: Buffer) => reader.read(piece, ({ key, body }) => take(accepted, key, body)))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
})
afterEach(async () => {
  connection?.close()
  socket?.destroy()
  await new Promise((resolve) => server.close(resolve))
})

function take(accepted: Socket, key: number, body: Buffer): void {
  keys.push(key)
  onKey(key)
  if (key === KEY.credit || key === KEY.tune) return
  const answer = answers.get(key) ?? uint16(CODE_OK)
  accepted.write(encodeFrame(key | ANSWER_BIT, body.subarray(0, 4), answer))
  if (key === KEY.saslAuthenticate) accepted.write(encodeFrame(KEY.tune, uint32(2 ** 20), uint32(60)))
}

async function open(): Promise<RabbitConnection> {
  connection = await RabbitConnection.open((server.address() as AddressInfo).port)
  return connection
}

describe('RabbitConnection', () => {
  it('introduces itself in the order that the server wants', async () => {
    await open()
    const { peerProperties, saslHandshake, saslAuthenticate, tune } = KEY
    expect(keys).toEqual([peerProperties, saslHandshake, saslAuthenticate, tune, KEY.open])
  })

  it('fails to open where it is not let in', async () => {
    answers.set(KEY.saslAuthenticate, uint16(8))
    await expect(open()).rejects.toThrow('answered with code 8')
  })

  it('rejects a question whose answer is an error', async () => {
    const client = await open()
    answers.set(KEY.create, uint16(5))
    await expect(client.create('s', {})).rejects.toThrow('code 5')
  })

  it('finds the port of the leader and the number of replicas', async () => {
    const client = await open()
    const brokers = [1, 2, 3].flatMap((each) => [uint16(each), string('127.0.0.1'), uint32(5550 + each)])
    const topologyOf = (...replicas: Buffer[]): Buffer =>
      Buffer.concat([uint32(3), ...brokers, uint32(1), string('s'), ...replicas])
    answers.set(KEY.metadata, topologyOf(uint16(CODE_OK), uint16(2), uint32(2), uint16(1), uint16(3)))
    expect(await client.findTopology('s')).toEqual({ leaderPort: 5552, replicas: 3 })
    answers.set(KEY.metadata, topologyOf(uint16(CODE_OK), uint16(0xffff), uint32(1), uint16(1)))
    expect(await client.findTopology('s')).toEqual({ leaderPort: null, replicas: 1 })
    answers.set(KEY.metadata, topologyOf(uint16(2), uint16(0xffff), uint32(0)))
    expect(await client.findTopology('s')).toEqual({ leaderPort: null, replicas: 0 })
    await expect(client.findTopology('other')).rejects.toThrow('another stream')
  })

  it('pays a credit for every delivery', async () => {
    const client = await open()
    const paid = new Promise<void>((resolve) => {
      onKey = () => {
        if (keys.filter((key) => key === KEY.credit).length === 2) resolve()
      }
    })
    const bodies: string[] = []
    await client.subscribe('s', FROM.first, (body) => bodies.push(body.toString()))
    socket!.write(encodeFrame(KEY.deliver, Buffer.from('one')))
    socket!.write(encodeFrame(KEY.deliver, Buffer.from('two')))
    await paid
    expect(bodies).toEqual(['one', 'two'])
  })

  it('tells of publishes that were refused', async () => {
    const client = await open()
    const refused = new Promise<Error>((resolve) => (client.onError = resolve))
    socket!.write(encodeFrame(KEY.publishError, uint8(1), uint32(0)))
    expect((await refused).message).toContain('it refused')
  })

  it('rejects what waits for an answer once the connection ends, and what is asked later', async () => {
    const client = await open()
    onKey = (key) => {
      if (key === KEY.delete) socket!.destroy()
    }
    await expect(client.delete('s')).rejects.toThrow(/closed the connection|ECONNRESET/)
    await expect(client.delete('s')).rejects.toThrow(/closed the connection|ECONNRESET/)
  })

  it('ends with a frame that cannot be one', async () => {
    const client = await open()
    const ended = new Promise<Error>((resolve) => (client.onError = resolve))
    socket!.write(uint32(1))
    expect((await ended).message).toContain('its size is 1')
  })
})
