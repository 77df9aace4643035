/**
 * Forward (API key 1002, Millrace's own): a broker passes on a whole request of a client to the broker that must answer it, and
 * gets the whole answer. Between brokers only.
 *
 * Request and answer are frames as clients send and get them, header included: whoever passes them on looks at none of what is
 * in the answer, and record batches stay the bytes that they are. A request inside is one of a client in every respect.
 */
import { bool, int32, message, records, string } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const ForwardRequest = message(
  'ForwardRequest',
  { versions: '0', flexible: '0+' },
  {
    listenerName: string(), // by which the client came: answers name addresses of it
    answerBytesMax: int32(), // of records in the answer; one batch always fits
    request: records(), // header and body
    clientHost: string({ versions: '0+', tag: 0, fallback: '' }), // where the client is, as others are shown it
  },
)
export type ForwardRequest = Infer<typeof ForwardRequest>
export type ForwardRequestInput = InferInput<typeof ForwardRequest>

export const ForwardResponse = message(
  'ForwardResponse',
  { versions: '0', flexible: '0+' },
  {
    answer: records({ nullable: '0+' }), // header and body; null: the client gets none
    closeReason: string({ nullable: '0+' }), // not null: the client's connection is to be closed
    hasFailed: bool(), // of a Produce: not every batch was taken
  },
)
export type ForwardResponse = Infer<typeof ForwardResponse>
export type ForwardResponseInput = InferInput<typeof ForwardResponse>
