/** When a connection is read, and when others are (faults.md S1, X20). */
import { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { Deadlines } from '../../../src/env/node/deadlines.ts'
import { NodeClock } from '../../../src/env/node/node-clock.ts'
import { TcpConnection } from '../../../src/env/node/tcp-connection.ts'

/** What one read of a socket brings at most. */
const READ_BYTES = 64 * 1024

/** A clock whose turns the test ends. */
class TurnClock extends NodeClock {
  readonly tasks: (() => void)[] = []

  override endOfTurn(task: () => void): void {
    this.tasks.push(task)
  }

  endTurn(): void {
    for (const task of this.tasks.splice(0)) task()
  }
}

function connect(): { connection: TcpConnection; socket: Socket; clock: TurnClock; received: number[] } {
  const clock = new TurnClock()
  const socket = new Socket()
  const forever = { idleMs: 1e9, messageMs: 1e9, sendStallMs: 1e9, firstMessageByMs: Infinity }
  const limits = { messageBytesMax: 2 ** 20, sendHighWaterBytes: 2 ** 20, ...forever }
  const connection = new TcpConnection(socket, clock, limits, new Deadlines(clock, 1e9), null)
  const received: number[] = []
  connection.onMessage = (message) => received.push(message.length)
  clock.endTurn()
  return { connection, socket, clock, received }
}

/** One message that fills a read. */
function fullRead(): Buffer {
  const bytes = Buffer.alloc(READ_BYTES)
  bytes.writeInt32BE(READ_BYTES - 4)
  return bytes
}

test('S1: after 256 KiB a connection rests until all others that have something to say were read', () => {
  const { connection, socket, clock, received } = connect()
  for (let count = 0; count < 3; count++) socket.emit('data', fullRead())
  expect(socket.isPaused()).toBe(false)
  socket.emit('data', fullRead())
  expect(socket.isPaused()).toBe(true)
  socket.emit('data', fullRead()) // A read that was under way is not lost.
  expect(received).toHaveLength(5)
  clock.endTurn()
  expect(socket.isPaused()).toBe(false)
  for (let count = 0; count < 4; count++) socket.emit('data', fullRead())
  expect(socket.isPaused()).toBe(true)
  connection.close('end of test')
  clock.endTurn()
  socket.destroy()
})

test('S1: whoever paused a connection that rests finds it paused afterwards, and resumed only by itself', () => {
  const { connection, socket, clock } = connect()
  for (let count = 0; count < 4; count++) socket.emit('data', fullRead())
  connection.pause()
  clock.endTurn()
  expect(socket.isPaused()).toBe(true)
  connection.resume()
  expect(socket.isPaused()).toBe(false)
  for (let count = 0; count < 4; count++) socket.emit('data', fullRead())
  connection.pause()
  connection.resume()
  expect(socket.isPaused()).toBe(true)
  clock.endTurn()
  expect(socket.isPaused()).toBe(false)
  connection.close('end of test')
  socket.destroy()
})
