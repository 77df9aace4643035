/**
 * The cheapest load generator there can be: one produce request, encoded once, sent over and over on a TCP connection with
 * a fixed number unanswered. Beside the product's own client it shows which of the two ends is the limit.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { patternedBytes } from '../limits/pattern.ts'
import { timed, type LoadResult } from '../usage.ts'
import { oneRecordBatch, produceFrame, SIZE_BYTES } from './frames.ts'
import type { RequestWork } from './request-load.ts'

/** Where the error code of the only partition stands in an answer of Produce version 7, after the topic's name. */
const ERROR_CODE_OFFSET = SIZE_BYTES + 4 + 4 + 2 + 4 + 4

/** @param address - `host:port`. */
export async function frameLoad(address: string): Promise<{
  run(work: RequestWork & { readonly topic: string }): Promise<LoadResult>
}> {
  const [host, port] = address.split(':') as [string, string]
  const socket = connect(Number(port), host)
  socket.setNoDelay(true)
  await once(socket, 'connect')
  return {
    run: async ({ topic, recordBytes, records, inFlightMax }) => {
      const batch = oneRecordBatch(patternedBytes(recordBytes), Date.now())
      const request = produceFrame(topic, 0, batch)
      const cost = await timed(() => sendWindowed(socket, request, topic, records, inFlightMax))
      const work = `${records} records of ${recordBytes} bytes, each delivered by itself`
      return { ...cost, records, bytes: records * recordBytes, work }
    },
  }
}

function sendWindowed(
  socket: Socket,
  request: Buffer,
  topic: string,
  count: number,
  inFlightMax: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let sent = 0
    let answered = 0
    let rest: Buffer = Buffer.alloc(0)
    const send = (wanted: number): void => {
      const now = Math.min(wanted, count - sent)
      sent += now
      if (now > 0)
        socket.write(now === 1 ? request : Buffer.concat(Array.from({ length: now }, () => request)))
    }
    const onData = (chunk: Buffer): void => {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      const before = answered
      let position = 0
      while (position + SIZE_BYTES <= bytes.length) {
        const end = position + SIZE_BYTES + bytes.readInt32BE(position)
        if (end > bytes.length) break
        const error = bytes.readInt16BE(position + ERROR_CODE_OFFSET + Buffer.byteLength(topic))
        if (error !== 0) {
          fail(new Error(`Produced one record a request: the broker answered error ${error}`))
          return
        }
        answered++
        position = end
      }
      rest = bytes.subarray(position)
      if (answered === count) finish()
      else send(answered - before)
    }
    const onClose = (): void =>
      fail(new Error('Produced one record a request: the broker closed the connection'))
    const finish = (): void => {
      socket.off('data', onData).off('close', onClose)
      resolve()
    }
    const fail = (error: Error): void => {
      socket.off('data', onData).off('close', onClose)
      reject(error)
    }
    socket.on('data', onData).on('close', onClose)
    send(inFlightMax)
  })
}
