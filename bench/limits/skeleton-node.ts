/**
 * One of three processes of the replication skeleton: what replication costs when there is no protocol around it. A
 * message is a batch. The leader passes it to the followers, checks and writes it; a follower checks and writes it and
 * confirms; the leader acknowledges what all three have. Nothing is here that a broker could leave out, so a broker can
 * only be slower.
 *
 *   confirmation, acknowledgement := batches since `begin`, float64, little-endian
 *
 * With durability `os` a batch counts once it is written, at the end of the turn; with `disk` once an fdatasync covers it
 * that began after the write: one sync at a time is under way, in the thread pool.
 *
 * A CRC-32C runs over all bytes in order, which is the check of each batch and, at the end, the proof that all three wrote
 * the same.
 */
import { closeSync, fdatasync, openSync, unlinkSync, writeSync } from 'node:fs'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'

export interface SkeletonRun {
  /** A file that is not there yet; removed by `end`. */
  readonly path: string
  readonly durability: 'disk' | 'os'
}

export interface SkeletonReceipt {
  readonly bytes: number
  /** CRC-32C of all bytes. */
  readonly crc: number
  /** CPU time of the process since `begin`. */
  readonly cpuMs: number
}

type RollingChecksum = (bytes: Buffer, before: number) => number

/** Largest batch, in bytes: above the largest case. */
const MESSAGE_BYTES_MAX = 2 ** 21
/** Masks of zeros leave the bytes as they are, and cost nothing. */
const zeroMask = (): void => undefined

export const SKELETON_SOCKET = {
  perMessageDeflate: false,
  maxPayload: MESSAGE_BYTES_MAX,
  generateMask: zeroMask,
}

export async function skeletonNode(): Promise<{
  port(): number
  follow(ports: readonly number[]): Promise<void>
  begin(run: SkeletonRun): void
  end(): SkeletonReceipt
}> {
  const checksum = await loadChecksum()
  const log = new SkeletonLog(checksum)
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...SKELETON_SOCKET })
  await once(server, 'listening')
  const followers: { readonly socket: WebSocket; confirmed: number }[] = []
  let upstream: WebSocket | null = null
  let told = 0

  const tell = (): void => {
    const confirmed = Math.min(log.safe, ...followers.map((follower) => follower.confirmed))
    if (confirmed === told || upstream === null) return
    told = confirmed
    const message = Buffer.allocUnsafe(8)
    message.writeDoubleLE(confirmed)
    upstream.send(message)
  }
  log.onSafe = tell
  server.on('connection', (socket) => {
    upstream = socket
    socket.on('error', () => undefined) // the other end was closed first; the benchmark reads no more of it
    socket.on('message', (batch: Buffer) => {
      for (const follower of followers) follower.socket.send(batch)
      log.append(batch)
    })
  })
  return {
    port: () => (server.address() as AddressInfo).port,
    follow: async (ports) => {
      for (const port of ports) {
        const socket = new WebSocket(`ws://127.0.0.1:${port}`, SKELETON_SOCKET)
        await once(socket, 'open')
        const follower = { socket, confirmed: 0 }
        followers.push(follower)
        socket.on('message', (message: Buffer) => {
          follower.confirmed = message.readDoubleLE()
          tell()
        })
      }
    },
    begin: (run) => {
      told = 0
      for (const follower of followers) follower.confirmed = 0
      log.begin(run)
    },
    end: () => log.end(),
  }
}

class SkeletonLog {
  readonly #checksum: RollingChecksum
  #run: SkeletonRun = { path: '', durability: 'os' }
  #file = -1
  #written = 0
  #isTurnOpen = false
  #isSyncing = false
  #bytes = 0
  #crc = 0
  #cpuStart = process.cpuUsage()
  /** Batches that count. Invariant: at most those written. */
  safe = 0
  /** Called when `safe` has moved. */
  onSafe: () => void = () => undefined

  constructor(checksum: RollingChecksum) {
    this.#checksum = checksum
  }

  begin(run: SkeletonRun): void {
    this.#run = run
    this.#file = openSync(run.path, 'wx')
    this.#written = this.safe = this.#bytes = this.#crc = 0
    this.#cpuStart = process.cpuUsage()
  }

  append(batch: Buffer): void {
    this.#crc = this.#checksum(batch, this.#crc)
    this.#bytes += writeSync(this.#file, batch)
    this.#written++
    if (this.#isTurnOpen) return
    this.#isTurnOpen = true
    setImmediate(() => {
      this.#isTurnOpen = false
      if (this.#run.durability === 'disk') this.#sync()
      else this.#advance(this.#written)
    })
  }

  end(): SkeletonReceipt {
    closeSync(this.#file)
    unlinkSync(this.#run.path)
    const { user, system } = process.cpuUsage(this.#cpuStart)
    return { bytes: this.#bytes, crc: this.#crc, cpuMs: (user + system) / 1e3 }
  }

  #sync(): void {
    if (this.#isSyncing) return
    this.#isSyncing = true
    const target = this.#written
    fdatasync(this.#file, (error) => {
      if (error !== null) throw error
      this.#isSyncing = false
      this.#advance(target)
      if (this.#written > target) this.#sync()
    })
  }

  #advance(safe: number): void {
    this.safe = safe
    this.onSafe()
  }
}

async function loadChecksum(): Promise<RollingChecksum> {
  try {
    const { crc32c } = await import('@node-rs/crc32')
    return (bytes, before) => crc32c(bytes, before)
  } catch {
    // An optional dependency: there may be no prebuilt binary for this platform.
    const portable = createRequire(import.meta.url)('crc-32/crc32c.js') as {
      buf(bytes: Uint8Array, before: number): number
    }
    return (bytes, before) => portable.buf(bytes, before | 0) >>> 0
  }
}
