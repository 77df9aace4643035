/** Every declared request and response in every version, for tests over all of them. */
import { ByteReader } from '../../src/bytes/byte-reader.ts'
import { ByteWriter } from '../../src/bytes/byte-writer.ts'
import { apiList } from '../../src/protocol/apis.ts'
import type { Codec, Message } from '../../src/protocol/schema/fields.ts'

export interface MessageVersion {
  /** For test names, such as `FetchRequest v12`. */
  readonly title: string
  readonly message: Message
  readonly version: number
}

export const messages: readonly Message[] = apiList.flatMap((api): Message[] => [api.request, api.response])

export const messageVersions: readonly MessageVersion[] = messages.flatMap((message) => {
  const { first, last } = message.versions
  return Array.from({ length: last - first + 1 }, (_, index) => ({
    title: `${message.name} v${first + index}`,
    message,
    version: first + index,
  }))
})

/** The pieces as one byte string. */
export function join(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0))
  let position = 0
  for (const piece of pieces) {
    whole.set(piece, position)
    position += piece.length
  }
  return whole
}

export function write(codec: Codec, value: unknown): Uint8Array {
  const writer = new ByteWriter()
  codec.write(writer, value)
  return join(writer.finish())
}

/** Reads a value and checks that nothing is left. */
export function readWhole(codec: Codec, bytes: Uint8Array): unknown {
  const reader = new ByteReader(bytes)
  const value = codec.read(reader)
  if (reader.remaining !== 0) throw new Error(`${reader.remaining} bytes are left`)
  return value
}
