/**
 * The loopback between two processes: one way with bytes as fast as they go, and there and back one message at a time.
 *
 * WebSocket frames from the client carry a mask of zeros, as Millrace's own clients send them: the protocol wants a
 * mask, and one of zeros leaves the bytes as they are. The connection stands on its own: both ends are bare sockets.
 */
import { connect } from 'node:net'
import { once } from 'node:events'
import { WebSocket } from 'ws'
import { Histogram } from '../histogram.ts'
import { NO_CONDITIONS, type Case, type Measurement, type WorkloadContext } from '../workload.ts'
import { Worker } from '../worker.ts'
import { patternedBytes } from './pattern.ts'
import type { WireAddresses, WireExpectation, WireReceipt } from './wire-peer.ts'

/** Around 64 KiB the loopback of some kernels dips, so one size is not enough. */
const MESSAGE_BYTES = [16_384, 65_536, 262_144] as const
/** Most bytes that wait in the sender. */
const IN_FLIGHT_BYTES = 2 ** 22
const PING_BYTES = 100

/** One end of a connection, whatever carries it. */
interface Sender {
  send(message: Buffer, onSent?: () => void): void
  readonly bufferedBytes: number
  /** Called for every message (or chunk) that comes back. */
  onMessage: (bytes: number) => void
}

export async function wireCases(context: WorkloadContext): Promise<Case[]> {
  const peer = await Worker.start('wire-peer', null)
  context.onClose(() => peer.stop())
  const addresses = (await peer.call('addresses')) as WireAddresses
  const senders: [string, Sender][] = [
    ['TCP', await openTcp(addresses.tcpPort, context)],
    ['WebSocket', await openWebSocket(addresses.webSocketPort, context)],
  ]
  const totalBytes = context.isToy ? 2 ** 25 : 2 ** 29
  const pingCount = context.isToy ? 500 : 10_000
  return [
    ...senders.flatMap(([name, sender]) =>
      MESSAGE_BYTES.map((recordBytes) => ({
        name: `${name} one way, ${recordBytes / 1024} KiB`,
        conditions: { ...NO_CONDITIONS, recordBytes, inFlightBytesMax: IN_FLIGHT_BYTES },
        run: () => sendOneWay(peer, sender, recordBytes, totalBytes),
      })),
    ),
    ...senders.map(([name, sender]) => ({
      name: `${name} there and back`,
      conditions: { ...NO_CONDITIONS, recordBytes: PING_BYTES, inFlightMax: 1 },
      run: () => pingPong(peer, sender, pingCount),
    })),
  ]
}

async function sendOneWay(
  peer: Worker,
  sender: Sender,
  size: number,
  totalBytes: number,
): Promise<Measurement> {
  const expectation: WireExpectation = { isEcho: false, totalBytes }
  await peer.call('expect', expectation)
  const receipt = peer.call('receipt') as Promise<WireReceipt>
  const message = patternedBytes(size)
  const cpuStart = process.cpuUsage()
  const startMs = performance.now()
  let unsent = totalBytes
  const pump = (): void => {
    while (unsent > 0 && sender.bufferedBytes < IN_FLIGHT_BYTES) {
      unsent -= size
      sender.send(message, pump)
    }
  }
  pump()
  const { bytes, lastByte, cpuMs } = await receipt
  const elapsedMs = performance.now() - startMs
  const { user, system } = process.cpuUsage(cpuStart)
  return {
    metrics: [
      { name: 'throughput', unit: 'MB/s', value: bytes / 1e3 / elapsedMs, better: 'higher' },
      {
        name: 'CPU, both ends',
        unit: 's/GB',
        value: (cpuMs + (user + system) / 1e3) / (bytes / 1e6),
        better: 'lower',
      },
    ],
    work: `${bytes} bytes in messages of ${size}, the last byte ${lastByte}`,
  }
}

async function pingPong(peer: Worker, sender: Sender, count: number): Promise<Measurement> {
  const expectation: WireExpectation = { isEcho: true, totalBytes: 0 }
  await peer.call('expect', expectation)
  const message = patternedBytes(PING_BYTES)
  const latency = new Histogram()
  let backBytes = 0
  await new Promise<void>((resolve) => {
    let sentMs = 0
    const ping = (): void => {
      sentMs = performance.now()
      sender.send(message)
    }
    sender.onMessage = (bytes) => {
      backBytes += bytes
      if (backBytes % PING_BYTES !== 0) return // TCP may cut a message; the rest is on its way
      latency.recordMs(performance.now() - sentMs)
      if (latency.count < count) ping()
      else resolve()
    }
    ping()
  })
  return { metrics: [], latency, work: `${count} round trips of ${PING_BYTES} bytes, ${backBytes} came back` }
}

async function openTcp(port: number, context: WorkloadContext): Promise<Sender> {
  const socket = connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  await once(socket, 'connect')
  context.onClose(() => void socket.destroy())
  const sender: Sender = {
    send: (message, onSent) => void socket.write(message, onSent),
    get bufferedBytes() {
      return socket.writableLength
    },
    onMessage: () => undefined,
  }
  socket.on('data', (chunk) => sender.onMessage(chunk.length))
  return sender
}

async function openWebSocket(port: number, context: WorkloadContext): Promise<Sender> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, {
    perMessageDeflate: false,
    generateMask: () => undefined, // leaves the zeros that are there
  })
  await once(socket, 'open')
  context.onClose(() => socket.terminate())
  const sender: Sender = {
    send: (message, onSent) => socket.send(message, onSent),
    get bufferedBytes() {
      return socket.bufferedAmount
    },
    onMessage: () => undefined,
  }
  socket.on('message', (message: Buffer) => sender.onMessage(message.length))
  return sender
}
