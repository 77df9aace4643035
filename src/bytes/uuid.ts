/**
 * UUIDs as text: the 16 bytes in base64 for URLs without padding, 22 characters, as Kafka prints them.
 *
 * In memory a UUID is this text, so that it compares with `===` and serves as a key of a Map.
 * Invariant: a UUID has one text only; the 4 bits that the last character has to spare are zero.
 */
import { ByteMemo } from './byte-memo.ts'
import { EncodeError } from './encode-error.ts'

/** Bytes of a UUID on the wire. */
export const UUID_BYTES = 16
/** All bytes zero: the protocol's way to say "none". */
export const ZERO_UUID = 'AAAAAAAAAAAAAAAAAAAAAA'

const TEXT_LENGTH = 22
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const INVALID = 0xff
/** Value of each ASCII character, `INVALID` where it is none of the alphabet. */
const VALUES = new Uint8Array(128).fill(INVALID)
for (let value = 0; value < ALPHABET.length; value++) VALUES[ALPHABET.charCodeAt(value)] = value

const memo = new ByteMemo(encodeText)

/** The text of the 16 bytes at `position`, all of which must lie within `bytes`. */
export function uuidToText(bytes: Uint8Array, position = 0): string {
  return memo.get(bytes, position, position + UUID_BYTES)
}

/** Whether `text` is the text of a UUID. */
export function isUuidText(text: string): boolean {
  if (text.length !== TEXT_LENGTH) return false
  for (let index = 0; index < TEXT_LENGTH; index++) if (valueAt(text, index) === INVALID) return false
  return (valueAt(text, TEXT_LENGTH - 1) & 0x0f) === 0
}

/** The 16 bytes of a UUID given as text. @throws {EncodeError} `ENCODE_FAILED` when it is no UUID. */
export function uuidFromText(text: string): Uint8Array {
  const bytes = new Uint8Array(UUID_BYTES)
  writeUuid(bytes, 0, text)
  return bytes
}

/**
 * Writes the 16 bytes of a UUID at `position`; the caller has made room.
 *
 * @throws {EncodeError} `ENCODE_FAILED` when `text` is no UUID; nothing is written then.
 */
export function writeUuid(bytes: Uint8Array, position: number, text: string): void {
  if (!isUuidText(text))
    throw new EncodeError(`Cannot encode a UUID: ${JSON.stringify(text)}, wanted 22 characters of base64url`)
  for (let index = 0; index < 20; index += 4) {
    const bits =
      (valueAt(text, index) << 18) |
      (valueAt(text, index + 1) << 12) |
      (valueAt(text, index + 2) << 6) |
      valueAt(text, index + 3)
    bytes[position++] = bits >> 16
    bytes[position++] = bits >> 8
    bytes[position++] = bits
  }
  bytes[position] = (valueAt(text, 20) << 2) | (valueAt(text, 21) >> 4)
}

function encodeText(bytes: Uint8Array, start: number): string {
  let text = ''
  for (let position = start; position < start + 15; position += 3) {
    const bits = (bytes[position]! << 16) | (bytes[position + 1]! << 8) | bytes[position + 2]!
    text +=
      ALPHABET[bits >> 18]! +
      ALPHABET[(bits >> 12) & 63]! +
      ALPHABET[(bits >> 6) & 63]! +
      ALPHABET[bits & 63]!
  }
  const last = bytes[start + 15]!
  return text + ALPHABET[last >> 2]! + ALPHABET[(last & 3) << 4]!
}

function valueAt(text: string, index: number): number {
  const unit = text.charCodeAt(index)
  return unit < 128 ? VALUES[unit]! : INVALID
}
