/**
 * Bytes of every metadata record and of a snapshot file, as released. Changing one is a new version of the format,
 * never an edit: UPDATE_GOLDEN=1 writes files that are missing, and only those.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decodeMetadataRecord, encodeMetadataRecord } from '../../src/metadata/records.ts'
import type { MetadataRecordInput } from '../../src/metadata/records.ts'
import { parseSnapshot, snapshotBatches } from '../../src/raft/snapshot-file.ts'

const FOLDER = new URL('../golden/metadata/v1/', import.meta.url)

const ID = 'MTIzNDU2Nzg5MDEyMzQ1Ng'
const OTHER_ID = 'YWJjZGVmZ2hpamtsbW5vcA'

const records: Record<string, MetadataRecordInput> = {
  'register-broker': {
    kind: 'registerBroker',
    brokerId: 1,
    incarnationId: ID,
    brokerEpoch: 4_294_967_297,
    endPoints: [{ name: 'PLAINTEXT', host: 'broker.example', port: 65_535, securityProtocol: 0 }],
    features: [{ name: 'millrace.version', minSupportedVersion: 1, maxSupportedVersion: 1 }],
    rack: 'rack-1',
    fenced: true,
    inControlledShutdown: false,
    logDirs: [OTHER_ID],
  },
  'unregister-broker': { kind: 'unregisterBroker', brokerId: 1, brokerEpoch: 7 },
  topic: { kind: 'topic', name: 'orders', topicId: ID },
  partition: {
    kind: 'partition',
    partitionId: 0,
    topicId: ID,
    replicas: [1, 2, 3],
    isr: [1, 2],
    removingReplicas: [],
    addingReplicas: [3],
    leader: 1,
    leaderRecoveryState: 1,
    leaderEpoch: 5,
    partitionEpoch: 9,
    directories: [OTHER_ID, OTHER_ID, OTHER_ID],
    eligibleLeaderReplicas: [3],
    lastKnownElr: null,
  },
  config: { kind: 'config', resourceType: 2, resourceName: 'orders', name: 'retention.ms', value: '60000' },
  'config-removed': {
    kind: 'config',
    resourceType: 4,
    resourceName: '',
    name: 'log.retention.ms',
    value: null,
  },
  'partition-change': {
    kind: 'partitionChange',
    partitionId: 1,
    topicId: ID,
    isr: [2],
    leader: 2,
    leaderRecoveryState: 0,
  },
  'partition-change-no-leader': { kind: 'partitionChange', partitionId: 1, topicId: ID, leader: -1 },
  'remove-topic': { kind: 'removeTopic', topicId: ID },
  'feature-level': { kind: 'featureLevel', name: 'millrace.version', featureLevel: 1 },
  'producer-ids': { kind: 'producerIds', brokerId: 1, brokerEpoch: 7, nextProducerId: 9_007_199_254_740_991 },
  'broker-fenced': { kind: 'brokerRegistrationChange', brokerId: 1, brokerEpoch: 7, fenced: 1 },
  'broker-unfenced': { kind: 'brokerRegistrationChange', brokerId: 1, brokerEpoch: 7, fenced: -1 },
  'no-op': { kind: 'noOp' },
}

function golden(name: string, made: Uint8Array): string {
  const path = new URL(`${name}.hex`, FOLDER)
  const hex = Buffer.from(made).toString('hex').replace(/.{64}/g, '$&\n').trimEnd()
  if (!existsSync(path) && process.env['UPDATE_GOLDEN'] === '1') {
    mkdirSync(dirname(path.pathname), { recursive: true })
    writeFileSync(path, `${hex}\n`)
  }
  expect(`${hex}\n`).toBe(readFileSync(path, 'utf8'))
  return hex
}

describe('format 1', () => {
  it.each(Object.entries(records))('record %s has its bytes, and reads back from them', (name, record) => {
    const bytes = Buffer.from(golden(name, encodeMetadataRecord(record)).replaceAll('\n', ''), 'hex')
    expect(decodeMetadataRecord(bytes)).toMatchObject(record)
  })

  it('snapshot file has its bytes, and reads back from them', () => {
    const encoded = Object.values(records).map(encodeMetadataRecord)
    const batches = [...snapshotBatches({ endOffset: 42, epoch: 3, records: encoded }, 1_700_000_000_000)]
    const bytes = Buffer.from(golden('snapshot', Buffer.concat(batches)).replaceAll('\n', ''), 'hex')
    const parsed = [...parseSnapshot(bytes, 3, 'golden').records]
    expect(parsed.map((each) => Buffer.from(each))).toEqual(encoded.map((each) => Buffer.from(each)))
  })
})

describe('parseSnapshot()', () => {
  const encoded = [encodeMetadataRecord(records['topic']!), encodeMetadataRecord(records['config']!)]
  const file = Buffer.concat([...snapshotBatches({ endOffset: 42, epoch: 3, records: encoded }, 5)])

  it('ST-5: refuses a file that is cut anywhere', () => {
    for (let size = 0; size < file.length; size++) {
      expect(() => parseSnapshot(file.subarray(0, size), 3, 'cut')).toThrow(
        /Cannot read metadata snapshot cut at position \d+/,
      )
    }
  })

  it('ST-3, ST-5: refuses a file with any bit flipped, in or out of the checksums', () => {
    for (let position = 0; position < file.length; position++) {
      const flipped = Buffer.from(file)
      flipped[position]! ^= 1 << (position % 8)
      expect(() => parseSnapshot(flipped, 3, 'flipped'), `byte ${position}`).toThrow(
        /Cannot read metadata snapshot/,
      )
    }
  })

  it('refuses bytes after the footer and the file of another epoch', () => {
    expect(() => parseSnapshot(Buffer.concat([file, file]), 3, 'twice')).toThrow(/follow the footer/)
    expect(() => parseSnapshot(file, 4, 'other')).toThrow(/expected 0 in 4/)
  })
})
