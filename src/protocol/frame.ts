/**
 * Frames: a request or response with its header, without the 4-byte length that TCP puts in front.
 *
 *   request v1   apiKey: int16 | apiVersion: int16 | correlationId: int32 | clientId: plain nullable string | body
 *   request v2   the same with tagged fields between clientId, which stays plain, and the body
 *   response v0  correlationId: int32 | body
 *   response v1  correlationId: int32 | tagged fields | body
 *
 * The later header goes with the flexible versions of an API (KIP-482), with two exceptions for ApiVersions, whose client
 * does not yet know what the broker understands: its response always has header v0, and a broker that does not serve the
 * version answers in v0 with UNSUPPORTED_VERSION (KIP-511).
 *
 * Hot path: every message passes here. Bytes behind a body are ignored, as Kafka ignores them.
 */
import { ByteReader } from '../bytes/byte-reader.ts'
import { ByteWriter } from '../bytes/byte-writer.ts'
import { EncodeError } from '../bytes/encode-error.ts'
import { apis, findApi } from './apis.ts'
import type {
  Api,
  ApiKey,
  ApiName,
  Audience,
  ClientApiName,
  RequestInputOf,
  RequestOf,
  ResponseInputOf,
  ResponseOf,
} from './apis.ts'
import { errorCode } from './errors.ts'
import { decodeMessage, encodeMessage } from './schema/codec.ts'
import { readNullableString, skipTags, writeNullableString } from './schema/wire.ts'

/**
 * Array items in one request: over twice the partitions that a cluster may have. An item of two bytes becomes an object of a
 * hundred; without this bound one request of the largest size would take all memory (docs/faults.md X2).
 */
const ITEMS_PER_REQUEST_MAX = 250_000

const API_VERSIONS = apis.ApiVersions.key
const UNSUPPORTED_VERSION = errorCode('UNSUPPORTED_VERSION')

export interface RequestHeader {
  /** As sent: perhaps of no API that is known. */
  readonly apiKey: number
  /** As sent: perhaps not served. */
  readonly apiVersion: number
  readonly correlationId: number
  /** What the client calls itself; null and empty mean the same. */
  readonly clientId: string | null
}

/** A request that was decoded, its body typed by `name`; or the header of one that is not served. */
export type RequestFrame<Served extends ApiName = ClientApiName> =
  | {
      [N in Served]: {
        readonly kind: 'served'
        readonly name: N
        readonly header: RequestHeader
        readonly body: RequestOf<N>
      }
    }[Served]
  | { readonly kind: 'unserved'; readonly name: ApiName | null; readonly header: RequestHeader }

/**
 * Reads a request header; works for any API and version.
 *
 * @param reader - At the first byte of a frame. Afterwards it stands at the body if the API is served in that version,
 *   and behind the client id if not, since nobody can tell then whether tagged fields follow.
 * @throws {DecodeError} `DECODE_FAILED`.
 */
export function decodeRequestHeader(reader: ByteReader): RequestHeader {
  const apiKey = reader.int16()
  const apiVersion = reader.int16()
  const correlationId = reader.int32()
  const clientId = readNullableString(reader)
  const api = findApi(apiKey)
  // All versions from the first flexible one on are flexible, up to the last one.
  if (api !== null && apiVersion >= api.request.flexible.first && apiVersion <= api.request.flexible.last) {
    skipTags(reader)
  }
  return { apiKey, apiVersion, correlationId, clientId }
}

/**
 * Reads a whole request of a client. What only peers may ask is not served to it.
 *
 * @param frame - Borrowed by the result: record batches in the body are views of it.
 * @returns `unserved` when the API or its version is not served: an ApiVersions request is then to be answered with
 *   UNSUPPORTED_VERSION, any other closes the connection, as with Kafka.
 * @throws {DecodeError} `DECODE_FAILED`.
 */
export function decodeRequest(frame: Uint8Array): RequestFrame {
  return decodeFor('client', frame) as RequestFrame
}

/** As `decodeRequest`, of another broker: on a connection whose other end has proved to be one. */
export function decodePeerRequest(frame: Uint8Array): RequestFrame<ApiName> {
  return decodeFor('peer', frame)
}

function decodeFor(audience: Audience, frame: Uint8Array): RequestFrame<ApiName> {
  const reader = new ByteReader(frame)
  reader.itemsLeft = ITEMS_PER_REQUEST_MAX
  const header = decodeRequestHeader(reader)
  const api = findApi(header.apiKey)
  if (api === null) return { kind: 'unserved', name: null, header }
  const { versions, name } = api
  const version = header.apiVersion
  if (api.audience === 'peer' && audience === 'client') return { kind: 'unserved', name, header }
  if (version < versions.first || version > versions.last) return { kind: 'unserved', name, header }
  const body = decodeMessage((api as Api).request, version, reader)
  return { kind: 'served', name, header, body } as RequestFrame<ApiName>
}

/**
 * Writes a whole request.
 *
 * @returns The frame in pieces; large record batches are pieces of their own, as they were given.
 * @throws {EncodeError} `ENCODE_FAILED` when a value does not fit, or the version is none of the API's.
 */
export function encodeRequest<A extends ApiName | ApiKey>(
  api: A,
  version: number,
  correlationId: number,
  clientId: string | null,
  body: RequestInputOf<A>,
): Uint8Array[] {
  const { key, request } = apiOf(api)
  const writer = new ByteWriter()
  writer.int16(key)
  writer.int16(version)
  writer.int32(correlationId)
  writeNullableString(writer, clientId)
  if (version >= request.flexible.first && version <= request.flexible.last) writer.int8(0)
  encodeMessage(request, version, body, writer)
  return writer.finish()
}

/** The correlation id of a response, by which the sender finds the request. @throws {DecodeError} `DECODE_FAILED`. */
export function responseCorrelationId(frame: Uint8Array): number {
  return new ByteReader(frame).int32()
}

/**
 * Reads a whole response.
 *
 * @param version - The version of the request. An ApiVersions response is read as v0 when the broker refuses the version.
 * @param frame - Borrowed by the result: record batches in the body are views of it.
 * @throws {DecodeError} `DECODE_FAILED`.
 */
export function decodeResponse<A extends ApiName | ApiKey>(
  api: A,
  version: number,
  frame: Uint8Array,
): { readonly correlationId: number; readonly body: ResponseOf<A> } {
  const { key, response } = apiOf(api)
  const reader = new ByteReader(frame)
  const correlationId = reader.int32()
  if (key === API_VERSIONS) {
    const start = reader.position
    if (reader.int16() === UNSUPPORTED_VERSION) version = 0
    reader.position = start
  } else if (version >= response.flexible.first && version <= response.flexible.last) skipTags(reader)
  return { correlationId, body: decodeMessage(response, version, reader) as ResponseOf<A> }
}

/**
 * Writes a whole response.
 *
 * @param version - The version of the request. An ApiVersions response to a version that is not served goes out as v0.
 * @returns The frame in pieces; large record batches are pieces of their own, as they were given.
 * @throws {EncodeError} `ENCODE_FAILED` when a value does not fit, or the version is none of the API's.
 */
export function encodeResponse<A extends ApiName | ApiKey>(
  api: A,
  version: number,
  correlationId: number,
  body: ResponseInputOf<A>,
): Uint8Array[] {
  const { key, response } = apiOf(api)
  const writer = new ByteWriter()
  writer.int32(correlationId)
  if (key === API_VERSIONS) {
    if (version < 0 || version > response.versions.last) version = 0
  } else if (version >= response.flexible.first && version <= response.flexible.last) writer.int8(0)
  encodeMessage(response, version, body, writer)
  return writer.finish()
}

function apiOf(api: ApiName | ApiKey): Api {
  const found = typeof api === 'number' ? findApi(api) : (apis[api] as Api | undefined)
  if (found === null || found === undefined)
    throw new EncodeError(`Cannot use API ${api}: it is not declared`)
  return found
}
