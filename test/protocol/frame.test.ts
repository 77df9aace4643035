/** Frames: header versions, the exceptions of ApiVersions, and record batches that are never copied. */
import { describe, expect, test } from 'vitest'
import { ByteReader } from '../../src/bytes/byte-reader.ts'
import { DecodeError } from '../../src/bytes/decode-error.ts'
import { EncodeError } from '../../src/bytes/encode-error.ts'
import { apiList, apis } from '../../src/protocol/apis.ts'
import {
  decodePeerRequest,
  decodeRequest,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  responseCorrelationId,
} from '../../src/protocol/frame.ts'
import { join } from '../support/protocol-messages.ts'
import { fixedValue } from '../support/protocol-values.ts'

const hexOf = (pieces: readonly Uint8Array[]): string => Buffer.from(join(pieces)).toString('hex')
const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))

describe('requests', () => {
  test('of every API and version come back with their header', () => {
    for (const api of apiList) {
      for (let version = api.versions.first; version <= api.versions.last; version++) {
        const body: unknown = fixedValue(api.request, version, 'sample')
        for (const clientId of [null, '', 'client']) {
          const frame = join(encodeRequest(api.key, version, -2, clientId, body as never))
          const header = { apiKey: api.key, apiVersion: version, correlationId: -2, clientId }
          const request = { kind: 'served', name: api.name, header, body }
          expect(decodePeerRequest(frame)).toEqual(request)
          if (api.audience === 'client') expect(decodeRequest(frame)).toEqual(request)
          else expect(decodeRequest(frame)).toEqual({ kind: 'unserved', name: api.name, header })
        }
      }
    }
  })

  test('have header v1 before the flexible versions and v2 from them on, the client id plain in both', () => {
    expect(hexOf(encodeRequest('ApiVersions', 2, 1, 'ab', {}))).toBe('0012000200000001' + '00026162')
    expect(hexOf(encodeRequest('ApiVersions', 3, 1, 'ab', {}))).toBe(
      '0012000300000001' + '00026162' + '00' + '010100',
    )
  })

  test('skip tagged fields of the header', () => {
    const frame = bytesOf('0012 0003 00000001 ffff' + '01 05 02 aabb' + '01 01 00')
    expect(decodeRequest(frame)).toMatchObject({ kind: 'served', name: 'ApiVersions' })
  })

  test('in a version that is not served are unserved, with the name of the API', () => {
    for (const [key, version, name] of [
      [18, 99, 'ApiVersions'],
      [18, 5, 'ApiVersions'],
      [18, -1, 'ApiVersions'],
      [0, 2, 'Produce'],
      [1, 19, 'Fetch'],
    ] as const) {
      const frame = new Uint8Array(14)
      new DataView(frame.buffer).setInt16(0, key)
      new DataView(frame.buffer).setInt16(2, version)
      frame.set([0, 0, 0, 9, 0, 1, 0x61], 4)
      expect(decodeRequest(frame)).toEqual({
        kind: 'unserved',
        name,
        header: { apiKey: key, apiVersion: version, correlationId: 9, clientId: 'a' },
      })
    }
  })

  test('X28: of an unknown API are unserved, without a name', () => {
    const frame = bytesOf('7fff 0000 00000009 ffff')
    expect(decodeRequest(frame)).toMatchObject({ kind: 'unserved', name: null, header: { apiKey: 32767 } })
  })

  test('a follower’s durable offset is in no frame that does not set it', () => {
    const partition = { partition: 0, fetchOffset: 7, partitionMaxBytes: 1 }
    const fetchOf = (own: { durableOffset?: number }) => {
      const topics = [{ topicId: 'T'.padEnd(22, 'A'), partitions: [{ ...partition, ...own }] }]
      return join(encodeRequest('Fetch', 18, 1, null, { maxWaitMs: 0, minBytes: 0, topics }))
    }
    const offsetIn = (frame: Uint8Array) => {
      const request = decodePeerRequest(frame)
      if (request.kind !== 'served' || request.name !== 'Fetch') return expect.fail('No Fetch request')
      return request.body.topics[0]!.partitions[0]!.durableOffset
    }
    expect(offsetIn(fetchOf({}))).toBe(-1)
    expect(offsetIn(fetchOf({ durableOffset: 5 }))).toBe(5)
    expect(fetchOf({ durableOffset: -1 })).toEqual(fetchOf({}))
    expect(fetchOf({ durableOffset: 5 }).length).toBe(fetchOf({}).length + 10) // tag, size, eight bytes
  })

  test('the header reader stands at the body afterwards', () => {
    const frame = join(encodeRequest('Metadata', 12, 5, 'me', { topics: null }))
    const reader = new ByteReader(frame)
    expect(decodeRequestHeader(reader)).toEqual({
      apiKey: 3,
      apiVersion: 12,
      correlationId: 5,
      clientId: 'me',
    })
    expect(reader.remaining).toBe(4) // null array, two booleans, no tags
  })

  test('that are too short for a header are refused', () => {
    for (let size = 0; size < 10; size++)
      expect(() => decodeRequest(new Uint8Array(size))).toThrow(DecodeError)
  })

  test('ND-7: record batches of Produce are views of the frame', () => {
    const records = new Uint8Array(100).fill(7)
    const body = { acks: 1, timeoutMs: 1, topicData: [{ name: 't', partitionData: [{ index: 0, records }] }] }
    const frame = join(encodeRequest('Produce', 9, 1, null, body))
    const request = decodeRequest(frame)
    if (request.kind !== 'served' || request.name !== 'Produce') return expect.fail('No Produce request')
    const view = request.body.topicData[0]!.partitionData[0]!.records!
    expect(view.buffer).toBe(frame.buffer)
    expect(view).toEqual(records)
  })
})

describe('responses', () => {
  test('of every API and version come back with their correlation id', () => {
    for (const api of apiList) {
      for (let version = api.versions.first; version <= api.versions.last; version++) {
        const body: unknown = fixedValue(api.response, version, 'maxima')
        const frame = join(encodeResponse(api.key, version, 77, body as never))
        expect(responseCorrelationId(frame)).toBe(77)
        expect(decodeResponse(api.key, version, frame)).toEqual({ correlationId: 77, body })
      }
    }
  })

  test('have header v0 before the flexible versions and v1 from them on', () => {
    const body = { topics: [] }
    expect(hexOf(encodeResponse('ListOffsets', 5, 1, body))).toBe('00000001' + '00000000' + '00000000')
    expect(hexOf(encodeResponse('ListOffsets', 6, 1, body))).toBe(
      '00000001' + '00' + '00000000' + '01' + '00',
    )
  })

  test('of ApiVersions have header v0 even when flexible', () => {
    expect(hexOf(encodeResponse('ApiVersions', 4, 1, { errorCode: 0, apiKeys: [] }))).toBe(
      '00000001' + '0000' + '01' + '00000000' + '00',
    )
  })

  test.each([5, 99, 32767, -1])(
    'KIP-511: of ApiVersions to version %d go out and are read as v0',
    (version) => {
      const body = { errorCode: 35, apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 4 }] }
      const frame = join(encodeResponse('ApiVersions', version, 1, body))
      expect(hexOf([frame])).toBe('00000001' + '0023' + '00000001' + '001200000004')
      const decoded = decodeResponse('ApiVersions', 4, frame)
      expect(decoded.body).toMatchObject(body)
    },
  )

  test('record batches of Fetch leave in the pieces they were given in', () => {
    const first = new Uint8Array(10_000)
    const second = new Uint8Array(20_000)
    const partition = { partitionIndex: 0, errorCode: 0, highWatermark: 9, records: [first, second] }
    const pieces = encodeResponse('Fetch', 12, 1, { responses: [{ topic: 't', partitions: [partition] }] })
    expect(pieces).toHaveLength(4)
    expect(pieces[1]).toBe(first)
    expect(pieces[2]).toBe(second)
    const { body } = decodeResponse('Fetch', 12, join(pieces))
    expect(body.responses[0]!.partitions[0]!.records!.length).toBe(30_000)
  })

  test('are found by name and by number alike', () => {
    const body = { topics: [] }
    expect(encodeResponse('ListOffsets', 5, 1, body)).toEqual(
      encodeResponse(apis.ListOffsets.key, 5, 1, body),
    )
  })

  test('of an API or version that is not declared are a defect of the caller', () => {
    expect(() => encodeResponse('Nothing' as never, 0, 1, {} as never)).toThrow(EncodeError)
    expect(() => encodeResponse('Fetch', 19, 1, { responses: [] })).toThrow(/versions are 4 to 18/)
    expect(() => decodeResponse('Fetch', 19, new Uint8Array(9))).toThrow(DecodeError)
  })
})
