/** The table of topic settings: defaults, bounds, messages, and which layer wins. */
import { describe, expect, it } from 'vitest'
import { brokerConfigs } from '../../src/metadata/broker-config.ts'
import { describeConfig } from '../../src/metadata/config-codes.ts'
import {
  checkTopicConfig,
  explainConfig,
  parseTopicConfig,
  resolveTopicConfig,
} from '../../src/metadata/config-resolution.ts'
import type { ConfigLayer } from '../../src/metadata/config-resolution.ts'
import { CONFIG_VALUE_LENGTH_MAX, ConfigError } from '../../src/metadata/config-table.ts'
import { topicConfigs } from '../../src/metadata/topic-config.ts'

function failure(entries: Record<string, string>): ConfigError {
  try {
    checkTopicConfig(new Map(Object.entries(entries)), [])
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('The settings were accepted')
}

const layer = (source: ConfigLayer['source'], entries: Record<string, string>): ConfigLayer => ({
  source,
  entries: new Map(Object.entries(entries)),
})

describe('defaults', () => {
  it('are Kafka’s, and an acknowledgement is durable unless said otherwise', () => {
    expect(parseTopicConfig(new Map())).toMatchObject({
      durability: 'disk',
      cleanupPolicy: ['delete'],
      retentionMs: 604_800_000,
      retentionBytes: -1,
      segmentBytes: 1_073_741_824,
      maxMessageBytes: 1_048_588,
      minInsyncReplicas: 1,
      messageTimestampType: 'CreateTime',
      messageTimestampBeforeMaxMs: Number.MAX_SAFE_INTEGER,
      messageTimestampAfterMaxMs: 3_600_000,
      uncleanLeaderElectionEnable: false,
    })
  })
})

describe('checks', () => {
  it.each([
    ['retention.ms', 'abc'],
    ['retention.ms', '-2'],
    ['retention.ms', '9223372036854775808'],
    ['retention.ms', '1e3'],
    ['retention.ms', ''],
    ['retention.ms', '9'.repeat(100)],
    ['segment.bytes', '1023'],
    ['segment.bytes', '2147483648'],
    ['min.insync.replicas', '0'],
    ['cleanup.policy', 'purge'],
    ['cleanup.policy', ''],
    ['cleanup.policy', 'delete,delete'],
    ['durability', 'fsync'],
    ['min.cleanable.dirty.ratio', '1.1'],
    ['min.cleanable.dirty.ratio', 'NaN'],
    ['unclean.leader.election.enable', 'yes'],
    ['compression.type', 'gzip'],
    ['flush.messages', '1'],
    ['remote.storage.enable', 'true'],
  ])('refuse %s=%s, saying what is allowed', (name, value) => {
    const error = failure({ [name]: value })
    expect(error.code).toBe('CONFIG_INVALID')
    expect(error.message).toMatch(new RegExp(`^Cannot set ${name} to "[^"]*": it must be `))
  })

  it.each([
    ['retention.ms', '-1'],
    ['retention.ms', ' 60000 '],
    ['retention.ms', '9223372036854775807'],
    ['cleanup.policy', 'compact, delete'],
    ['unclean.leader.election.enable', 'TRUE'],
    ['compression.type', 'producer'],
    ['flush.messages', '9223372036854775807'],
    ['preallocate', 'false'],
    ['min.cleanable.dirty.ratio', '.25'],
  ])('take %s=%s', (name, value) => {
    checkTopicConfig(new Map([[name, value]]), [])
  })

  it('X10: refuse an unknown key and name the nearest one', () => {
    const error = failure({ 'retention.mss': '1' })
    expect(error.code).toBe('CONFIG_UNKNOWN')
    expect(error.message).toBe(
      'Cannot set topic config "retention.mss": there is no such key; the nearest is retention.ms',
    )
    expect(failure({ 'sasl.jaas.config': 'com.example.Evil' }).message).not.toContain('nearest')
  })

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('X22: refuse the key %s', (name) => {
    expect(() => topicConfigs.check(name, '1')).toThrow(/there is no such key/)
    expect(topicConfigs.find(name)).toBeUndefined()
  })

  it('X26: refuse values and keys of a megabyte without quoting them', () => {
    const megabyte = 'x'.repeat(1 << 20)
    expect(failure({ durability: megabyte }).message).toContain(`at most ${CONFIG_VALUE_LENGTH_MAX}`)
    expect(failure({ [megabyte]: '1' }).message.length).toBeLessThan(300)
  })

  it('compare settings that belong together', () => {
    expect(failure({ 'min.compaction.lag.ms': '10', 'max.compaction.lag.ms': '5' }).key).toBe(
      'min.compaction.lag.ms',
    )
  })
})

describe('resolution', () => {
  const layers = [
    layer('dynamic topic', { 'retention.ms': '1' }),
    layer('dynamic broker', { 'log.retention.ms': '2' }),
    layer('dynamic default broker', { 'log.retention.ms': '3' }),
    layer('static broker', { 'log.retention.ms': '4', 'log.retention.hours': '1' }),
  ]

  it('takes the strongest layer, then the next, down to the default', () => {
    const values = layers.map((_, index) => resolveTopicConfig(layers.slice(index)).retentionMs)
    expect(values).toEqual([1, 2, 3, 4])
    expect(resolveTopicConfig([]).retentionMs).toBe(604_800_000)
  })

  it('multiplies synonyms in other units, which the one in ms overrules', () => {
    expect(resolveTopicConfig([layer('static broker', { 'log.retention.hours': '2' })]).retentionMs).toBe(
      7_200_000,
    )
    expect(resolveTopicConfig([layer('static broker', { 'log.retention.hours': '-1' })]).retentionMs).toBe(-1)
  })

  it('does not take a topic’s key for a broker’s, or a broker’s for a topic’s', () => {
    expect(resolveTopicConfig([layer('static broker', { 'retention.ms': '5' })]).retentionMs).toBe(
      604_800_000,
    )
    expect(resolveTopicConfig([layer('dynamic topic', { 'log.retention.ms': '5' })]).retentionMs).toBe(
      604_800_000,
    )
  })

  it('explains every candidate, the one in force first', () => {
    const explained = explainConfig(topicConfigs.shape.retentionMs, layers)
    expect(explained).toMatchObject({ value: '1', source: 'dynamic topic' })
    expect(explained.candidates.map(({ name, value, source }) => `${name}=${value} ${source}`)).toEqual([
      'retention.ms=1 dynamic topic',
      'log.retention.ms=2 dynamic broker',
      'log.retention.ms=3 dynamic default broker',
      'log.retention.ms=4 static broker',
      'log.retention.hours=3600000 static broker',
      'log.retention.ms=604800000 default',
    ])
    const shown = describeConfig(explained, { withSynonyms: true, withDocumentation: true })
    expect(shown).toMatchObject({
      name: 'retention.ms',
      value: '1',
      configSource: 1,
      configType: 5,
      readOnly: false,
    })
    expect(shown.synonyms.map(({ source }) => source)).toEqual([1, 2, 3, 4, 4, 5])
  })
})

describe('the broker’s table', () => {
  it('has every synonym of a topic setting, with the topic’s default and checks', () => {
    for (const definition of topicConfigs.definitions) {
      for (const { name, factor } of definition.synonyms) {
        expect(brokerConfigs.get(name).fallback).toBe(factor === 1 ? definition.fallback : '')
      }
    }
    expect(() => brokerConfigs.check('log.segment.bytes', '1')).toThrow(/Cannot set log.segment.bytes to "1"/)
  })
})
