/**
 * Encodes and decodes declared messages: makes a codec on first use of a message in a version, in the form that the
 * platform has (engine.ts), and says in errors which message failed.
 */
import type { ByteReader } from '../../bytes/byte-reader.ts'
import type { ByteWriter } from '../../bytes/byte-writer.ts'
import { DecodeError } from '../../bytes/decode-error.ts'
import { EncodeError } from '../../bytes/encode-error.ts'
import { codecFor } from './engine.ts'
import type { Codec, Infer, InferInput, Message, Shape } from './fields.ts'

/**
 * Reads one message.
 *
 * @param reader - Stands at the message's first byte, and behind its last one after the call. What follows is left alone.
 * @returns Every field of the declaration; `bytes` and `records` are views of what `reader` reads.
 * @throws {DecodeError} `DECODE_FAILED` when the bytes are no such message or the version is not declared.
 */
export function decodeMessage<S extends Shape>(
  message: Message<S>,
  version: number,
  reader: ByteReader,
): Infer<Message<S>> {
  try {
    if (!isDeclared(message, version)) reader.fail('it', undeclared(message))
    return (message.codecs[version] ?? makeCodec(message, version)).read(reader) as Infer<Message<S>>
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    const { position } = error
    throw new DecodeError(`${message.name} v${version} is malformed: ${error.message}`, position, {
      cause: error,
    })
  }
}

/**
 * Writes one message.
 *
 * @throws {EncodeError} `ENCODE_FAILED` when a value does not fit its field, when the version cannot carry a value that
 *   is set, or when the version is not declared. The writer is then of no more use.
 */
export function encodeMessage<S extends Shape>(
  message: Message<S>,
  version: number,
  value: InferInput<Message<S>>,
  writer: ByteWriter,
): void {
  try {
    if (!isDeclared(message, version)) throw new EncodeError(undeclared(message))
    const codec = message.codecs[version] ?? makeCodec(message, version)
    codec.write(writer, value)
  } catch (error) {
    if (!(error instanceof EncodeError)) throw error
    throw new EncodeError(`${message.name} v${version} cannot be sent: ${error.message}`, { cause: error })
  }
}

function makeCodec(message: Message, version: number): Codec {
  const codec = codecFor(message, version)
  message.codecs[version] = codec
  return codec
}

function isDeclared(message: Message, version: number): boolean {
  return version >= message.versions.first && version <= message.versions.last && (version | 0) === version
}

function undeclared({ versions }: Message): string {
  return `its versions are ${versions.first} to ${versions.last}`
}
