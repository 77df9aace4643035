/**
 * From application values to bytes and back. A serializer may return text, which the producer writes as UTF-8 straight
 * into the batch; a deserializer gets a view of the fetched bytes, which it must copy if it keeps it.
 */
import { decodeUtf8Anew } from '../bytes/utf8.ts'

/** What goes onto the log; null and undefined are the null of the log (a tombstone, as a value). */
export type Payload = Uint8Array | string | null | undefined

export type Serializer<T> = (value: T) => Payload
export type Deserializer<T> = (bytes: Uint8Array | null) => T

/** Both ways for one type. */
export interface Serde<T> {
  readonly serialize: Serializer<T>
  readonly deserialize: Deserializer<T>
}

/** Bytes as they are; on the way in also text. The default. */
export const bytes: { serialize: Serializer<Payload>; deserialize: Deserializer<Uint8Array | null> } = {
  serialize: (value) => value,
  deserialize: (value) => value,
}

/** UTF-8 text. */
export const text: Serde<string | null> = {
  serialize: (value) => value,
  deserialize: (value) => (value === null ? null : decodeUtf8Anew(value, 0, value.length)),
}

/** JSON; null is the null of the log, not JSON's word for it. */
export function json<T>(): Serde<T | null> {
  return {
    serialize: (value) => (value === null ? null : JSON.stringify(value)),
    deserialize: (value) =>
      value === null ? null : (JSON.parse(decodeUtf8Anew(value, 0, value.length)) as T),
  }
}
