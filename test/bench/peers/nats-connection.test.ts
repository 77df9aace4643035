import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodePublish, NatsConnection } from '../../../bench/peers/nats-connection.ts'

/** Says hello, and then what a test lets it say. */
const server = createServer()
let socket: Socket | null = null
let connection: NatsConnection | null = null

beforeEach(async () => {
  server.removeAllListeners('connection').on('connection', (accepted) => {
    socket = accepted
    accepted.write('INFO {}\r\n')
    accepted.once('data', () => accepted.write('PONG\r\n'))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  connection = await NatsConnection.open((server.address() as AddressInfo).port)
})
afterEach(async () => {
  connection!.close()
  socket!.destroy()
  await new Promise((resolve) => server.close(resolve))
})

describe('NatsConnection', () => {
  it('gives messages with and without header and reply, cut anywhere', async () => {
    const got: string[] = []
    const bytes = Buffer.from(
      'MSG a 1 5\r\na\r\nb!\r\nMSG a 1 r 0\r\n\r\nHMSG a 1 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n',
    )
    const done = new Promise<void>((resolve) => {
      connection!.subscribe('a', ({ reply, header, payload }) => {
        got.push(`${reply}|${header.trim()}|${payload.toString()}`)
        if (got.length === 3) resolve()
      })
    })
    for (const byte of bytes) socket!.write(Buffer.of(byte))
    await done
    expect(got).toEqual(['||a\r\nb!', 'r||', 'r|NATS/1.0|hi'])
  })

  it('rejects a question whose answer is an error', async () => {
    socket!.on('data', (chunk: Buffer) => {
      const reply = /PUB \S+ (\S+) /.exec(chunk.toString())?.[1]
      const answer = '{"error":{"code":404}}'
      if (reply !== undefined) socket!.write(`MSG ${reply} 1 ${answer.length}\r\n${answer}\r\n`)
    })
    await expect(connection!.ask('STREAM.INFO.s', {})).rejects.toThrow('404')
  })
})

describe('encodePublish()', () => {
  it('says the size of the payload', () => {
    expect(encodePublish('s', Buffer.from('abc'), 'r').toString()).toBe('PUB s r 3\r\nabc\r\n')
    expect(encodePublish('s', Buffer.alloc(0)).toString()).toBe('PUB s 0\r\n\r\n')
  })
})
