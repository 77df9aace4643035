/**
 * Connections that cost a broker memory without giving it work: idle ones, and hostile ones of five kinds. A hostile
 * connection that the broker closes is opened again after a pause, as an attacker would.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { apiVersionsFrame, fetchFrame, produceFrame } from './frames.ts'

export interface HostileWork {
  readonly count: number
  /** Has data in partition 0. */
  readonly topic: string
}

export interface ConnectionCounts {
  readonly open: number
  /** Closed by the broker, over all. */
  readonly closed: number
  /** Bytes that the hostile connections handed to the system. */
  readonly sentBytes: number
}

type Attack = (socket: Socket, work: HostileWork) => void

/** Connections opened at a time: fewer than a listener's backlog. */
const OPENED_AT_ONCE = 50
const REOPEN_MS = 100
/** Between the pieces of a sender that trickles. */
const TRICKLE_MS = 20
const TRICKLE_BYTES = 1024
/** Just under the 100 MiB that a broker takes by default. */
const LARGE_FRAME_BYTES = 100 * 2 ** 20 - 1
const FETCH_BYTES_MAX = 50 * 2 ** 20
const GARBAGE_BYTES = 2 ** 20

/** Writes as fast as the other end takes it, and never reads. */
const flood = (socket: Socket, frame: Buffer): void => {
  socket.pause()
  const pump = (): void => {
    while (!socket.destroyed && socket.write(frame));
  }
  socket.on('drain', pump)
  pump()
}

const ATTACKS: readonly Attack[] = [
  /** Announces a frame of 2 GiB. */
  (socket) => void socket.write(Buffer.from([0x7f, 0xff, 0xff, 0xff])),
  /** Announces a frame as large as is allowed and sends it at 50 KiB a second. */
  (socket) => {
    const size = Buffer.alloc(4)
    size.writeInt32BE(LARGE_FRAME_BYTES)
    socket.write(size)
    const timer = setInterval(() => socket.write(Buffer.alloc(TRICKLE_BYTES)), TRICKLE_MS)
    socket.on('close', () => clearInterval(timer))
  },
  /** Fetches without reading the answers. */
  (socket, { topic }) => flood(socket, fetchFrame(topic, FETCH_BYTES_MAX)),
  /** Asks what APIs there are without reading the answers. */
  (socket) => flood(socket, apiVersionsFrame()),
  /** Produces garbage, a mebibyte at a time, without reading the answers. */
  (socket, { topic }) => flood(socket, produceFrame(topic, 0, Buffer.alloc(GARBAGE_BYTES))),
]

/** @param address - `host:port`. */
export async function connectionLoad(address: string): Promise<{
  openIdle(count: number): Promise<void>
  attack(work: HostileWork): Promise<void>
  counts(): ConnectionCounts
  closeAll(): void
}> {
  const [host, port] = address.split(':') as [string, string]
  const open = new Set<Socket>()
  let closed = 0
  let sentBytes = 0
  let isOver = false

  const dial = async (): Promise<Socket> => {
    const socket = connect(Number(port), host)
    socket.on('error', () => undefined) // a refused or reset connection counts as closed
    socket.on('close', () => {
      sentBytes += socket.bytesWritten
      if (open.delete(socket) && !isOver) closed++
    })
    await once(socket, 'connect')
    open.add(socket)
    return socket
  }
  const attackWith = async (attack: Attack, work: HostileWork): Promise<void> => {
    const socket = await dial()
    socket.once('close', () => {
      if (!isOver) setTimeout(() => void attackWith(attack, work).catch(() => undefined), REOPEN_MS)
    })
    attack(socket, work)
  }
  return {
    openIdle: async (count) => {
      for (let opened = 0; opened < count; opened += OPENED_AT_ONCE) {
        await Promise.all(
          Array.from({ length: Math.min(OPENED_AT_ONCE, count - opened) }, async () => {
            const socket = await dial()
            socket.write(apiVersionsFrame())
            await once(socket, 'data')
            socket.resume()
          }),
        )
      }
    },
    attack: async (work) => {
      isOver = false
      await Promise.all(
        Array.from({ length: work.count }, (_, index) => attackWith(ATTACKS[index % ATTACKS.length]!, work)),
      )
    },
    counts: () => ({
      open: open.size,
      closed,
      sentBytes: [...open].reduce((sum, socket) => sum + socket.bytesWritten, sentBytes),
    }),
    closeAll: () => {
      isOver = true
      for (const socket of open) socket.destroy()
    },
  }
}
