/**
 * Stamps a batch with the time when the leader appends it, for topics with `message.timestamp.type=LogAppendTime`. Both
 * fields lie inside the CRC, so it is computed again: one more pass over the batch, which create time does not cost.
 *
 * @see KIP-32.
 */
import { attributesAt, attributesOf, setAttributesAt, setMaxTimestampAt } from './batch-header.ts'
import { sealCrc } from './batch-builder.ts'

/**
 * Sets the LogAppendTime bit and the largest timestamp, in place. Readers then take that for every record's timestamp.
 *
 * @param timestampMs - Wall time of the append, 0 or more.
 */
export function stampLogAppendTime(bytes: Uint8Array, position: number, timestampMs: number): void {
  const attributes = attributesAt(bytes, position) | attributesOf({ isLogAppendTime: true })
  setAttributesAt(bytes, position, attributes)
  setMaxTimestampAt(bytes, position, timestampMs)
  sealCrc(bytes, position)
}
