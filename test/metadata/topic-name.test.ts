/** Which names topics may have (faults.md X21, X22). */
import { describe, expect, it } from 'vitest'
import {
  findTopicNameProblem,
  isInternalTopic,
  TOPIC_NAME_LENGTH_MAX,
  topicCollisionKey,
} from '../../src/metadata/topic-name.ts'

const refused = [
  '',
  '.',
  '..',
  '../x',
  'a/b',
  'a\\b',
  'a\0b',
  '%2e%2e',
  'a b',
  'a\n',
  '\u043eorders', // Cyrillic o
  'ordersé',
  '__cluster_metadata',
  'x'.repeat(TOPIC_NAME_LENGTH_MAX + 1),
  'x'.repeat(1_000_000),
]

const allowed = [
  'a',
  '-',
  '_',
  '...',
  '.a',
  'CON',
  'orders.v1',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '__consumer_offsets',
  'x'.repeat(TOPIC_NAME_LENGTH_MAX),
]

describe('findTopicNameProblem()', () => {
  it.each(refused.map((name) => [JSON.stringify(name.slice(0, 30)), name]))(
    'X21: refuses %s',
    (_shown, name) => {
      expect(findTopicNameProblem(name)).toMatch(/^(it|only) /)
    },
  )

  it.each(allowed.map((name) => [name.slice(0, 30), name]))(
    'X22: allows %s, as Kafka does',
    (_shown, name) => {
      expect(findTopicNameProblem(name)).toBeNull()
    },
  )

  it('leaves room in a directory name for a partition of five digits', () => {
    expect(`${'x'.repeat(TOPIC_NAME_LENGTH_MAX)}-99999`).toHaveLength(255)
  })
})

it('topicCollisionKey() is equal for names that differ in dots and underscores only', () => {
  expect(topicCollisionKey('a.b_c')).toBe(topicCollisionKey('a_b.c'))
  expect(topicCollisionKey('a.b')).not.toBe(topicCollisionKey('a-b'))
})

it('isInternalTopic() knows the broker’s own topics by exact name', () => {
  expect(isInternalTopic('__consumer_offsets')).toBe(true)
  expect(isInternalTopic('__consumer_offsets2')).toBe(false)
})
