/** Why a record or a batch was not delivered, in words that say whether it may be in the log. */
import { ClientError } from './client-error.ts'
import type { ProducerBatch } from './producer-batch.ts'

/** `deliveryTimeoutMs` is over. */
export function deliveryTimedOut(batch: ProducerBatch, deliveryTimeoutMs: number): ClientError {
  const { lastFailure: cause } = batch
  const fate = batch.mayBeInLog ? 'it may or may not be in the log' : 'it was not written'
  const last = cause === null ? '' : `; the last attempt: ${cause.message}`
  return new ClientError(
    'CLIENT_DELIVERY_TIMED_OUT',
    `Cannot write ${describeBatch(batch)} within ${deliveryTimeoutMs} ms: ${fate} after ${batch.attemptCount} attempts${last}`,
    { retriable: !batch.mayBeInLog, cause },
  )
}

/** An answer was lost, and with it what the broker knew. */
export function deliveryUnknown(batch: ProducerBatch, cause: ClientError | null): ClientError {
  const told = cause === null ? '' : `: ${cause.code}`
  return new ClientError(
    'CLIENT_DELIVERY_UNKNOWN',
    `Cannot tell whether ${describeBatch(batch)} was written: an answer was lost, and the broker does not remember${told}; read the partition's end before sending it again`,
    { cause },
  )
}

export function describeBatch(batch: ProducerBatch): string {
  const what = batch.recordCount === 1 ? 'a record' : `${batch.recordCount} records`
  return `${what} to ${batch.topic}-${batch.partition}`
}

/** A record's time in line is over. @param isKnown - Its topic's partitions are known: it waited for room. */
export function lineTimedOut(
  topic: string,
  isKnown: boolean,
  bufferedBytes: number,
  { lineTimeoutMs, bufferBytesMax }: { readonly lineTimeoutMs: number; readonly bufferBytesMax: number },
): ClientError {
  const reason = isKnown
    ? `${bufferedBytes} of ${bufferBytesMax} bytes (bufferBytesMax) wait for acknowledgement`
    : 'no broker has told of its partitions'
  const message = `Cannot send to '${topic}' within ${lineTimeoutMs} ms (lineTimeoutMs): ${reason}; it was not sent`
  return new ClientError('CLIENT_TIMED_OUT', message, { retriable: true })
}

/** What came in the way of a record before it was in a batch, in the client's words. */
export function sendError(topic: string, error: Error): Error {
  if (error instanceof ClientError) return error
  return new ClientError('CLIENT_BAD_ARGUMENT', `Cannot send a record to '${topic}': ${error.message}`, {
    cause: error,
  })
}
