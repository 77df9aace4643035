/**
 * Compares our declarations with Kafka's definitions: fields and their order, types, versions, nullability, tags, defaults,
 * flexible versions. Guards against slips of transcription.
 *
 * KAFKA_MESSAGES_DIR names a folder with Kafka's JSON files, which are not part of this project. To check facts is all that
 * they serve for.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Field, Message, Shape } from '../../src/protocol/schema/fields.ts'
import { hasVersion, parseVersions } from '../../src/protocol/schema/versions.ts'
import type { VersionRange, Versions } from '../../src/protocol/schema/versions.ts'
import { fallbackOf } from './protocol-values.ts'

/** Undefined where there is nothing to compare with. */
export const KAFKA_MESSAGES_DIR = process.env['KAFKA_MESSAGES_DIR']
const INT64_MAX = '9223372036854775807'

interface KafkaField {
  name: string
  type: string
  versions: string
  nullableVersions?: string
  taggedVersions?: string
  tag?: number
  ignorable?: boolean | string
  default?: string | number | boolean | null
  fields?: KafkaField[]
}
interface KafkaMessage {
  apiKey: number
  name: string
  validVersions: string
  latestVersionUnstable?: boolean
  flexibleVersions: string
  fields: KafkaField[]
  commonStructs?: KafkaField[]
}

/** Where we mean to differ: message, what, and why. */
const DEVIATIONS: Readonly<Record<string, string>> = {
  'InitProducerIdRequest versions': 'Version 6 is unstable in Kafka 4.3, and Kafka does not announce it',
  'InitProducerIdResponse versions': 'Version 6 is unstable in Kafka 4.3, and Kafka does not announce it',
  'AddRaftVoterRequest versions':
    'Version 1 can ask for an answer before the change is committed: ours always means that it is',
  'AddRaftVoterResponse versions': 'As its request',
  'AlterPartitionRequest versions': 'Version 2 has no broker epochs, and all our brokers speak 3',
  'AlterPartitionResponse versions': 'As its request',
  'BrokerRegistrationRequest versions': 'All our brokers speak 4',
  'BrokerRegistrationResponse versions': 'As its request',
  'BrokerHeartbeatRequest versions': 'Version 2 is about cordoned directories, which we do not have',
  'BrokerHeartbeatResponse versions': 'As its request',
}

/** Tagged fields of ours: Kafka skips them. */
const OWN_FIELDS: Readonly<Record<string, string>> = {
  'FetchRequest.topics.partitions.durableOffset':
    'What a follower has made durable; between our brokers only',
  'DescribeLogDirsRequest.brokerId':
    'Whose directories, where all brokers have one address; Kafka answers for the broker that is asked',
  'ListGroupsRequest.brokerId':
    'Whose groups, where all brokers have one address; Kafka answers for the broker that is asked',
}

/** Fails unless the message is declared as Kafka defines the one of that name. */
export function compare(message: Message, key: number): void {
  const kafka = readDefinition(message.name)
  const where = message.name
  expect(kafka.apiKey, `${where} API key`).toBe(key)
  if (!(`${where} versions` in DEVIATIONS)) {
    expect(message.versions, `${where} versions`).toEqual(parseVersions(kafka.validVersions as Versions))
  }
  const flexible = parseVersions(kafka.flexibleVersions as Versions)
  for (const version of versionsOf(message)) {
    expect(hasVersion(message.flexible, version), `${where} v${version} flexible`).toBe(
      hasVersion(flexible, version),
    )
    compareShape(where, message.shape, kafka.fields, version, kafka)
  }
}

function compareShape(
  path: string,
  shape: Shape,
  kafka: KafkaField[],
  version: number,
  message: KafkaMessage,
): void {
  const ours = Object.entries(shape).filter(
    ([key, field]) => hasVersion(field.versions, version) && !(`${path}.${key}` in OWN_FIELDS),
  )
  const theirs = kafka.filter((field) => hasVersion(parseVersions(field.versions as Versions), version))
  expect(
    ours.map(([key]) => key.toLowerCase()),
    `${path} v${version} fields`,
  ).toEqual(theirs.map((field) => field.name.toLowerCase()))
  ours.forEach(([key, field], index) => {
    compareField(`${path}.${key}`, field, theirs[index]!, version, message)
  })
}

function compareField(
  path: string,
  field: Field,
  kafka: KafkaField,
  version: number,
  message: KafkaMessage,
): void {
  const where = `${path} v${version}`
  const isNullable = hasVersion(parseVersions((kafka.nullableVersions ?? 'none') as Versions), version)
  expect(hasVersion(field.nullable, version), `${where} nullable`).toBe(isNullable)
  const isTagged = hasVersion(parseVersions((kafka.taggedVersions ?? 'none') as Versions), version)
  expect(field.tag, `${where} tag`).toBe(isTagged ? kafka.tag : null)
  expect(String(field.ignorable), `${where} ignorable`).toBe(String(kafka.ignorable ?? false))

  const isArray = kafka.type.startsWith('[]')
  const type = isArray ? kafka.type.slice(2) : kafka.type
  expect(field.kind === 'array', `${where} array`).toBe(isArray)
  const content = field.items ?? field
  const common = message.commonStructs?.find((struct) => struct.name === type)
  const fields = kafka.fields ?? common?.fields
  if (fields !== undefined) {
    expect(content.kind, `${where} type`).toBe('struct')
    compareShape(path, content.shape!, fields, version, message)
  } else {
    const isBound = content.kind === 'int64Bound' && kafka.default === INT64_MAX
    expect(isBound ? 'int64' : content.kind, `${where} type`).toBe(type)
  }
  compareDefault(where, field, kafka, isArray ? 'array' : fields === undefined ? type : 'struct')
}

function compareDefault(where: string, field: Field, kafka: KafkaField, type: string): void {
  const given = kafka.default
  if (field.kind === 'int64Bound') {
    expect([given, field.fallback], `${where} default`).toEqual([INT64_MAX, null])
  } else if (given === null || given === 'null') {
    expect(field.fallback, `${where} default`).toBeNull()
  } else if (
    type === 'struct' ||
    type === 'array' ||
    type === 'uuid' ||
    type === 'bytes' ||
    type === 'records'
  ) {
    expect(given, `${where} default`).toBeUndefined()
    expect(field.fallback, `${where} default`).not.toBeNull()
  } else {
    const zero = type === 'string' ? '' : type === 'bool' ? false : 0
    const wanted =
      given === undefined ? zero : type === 'string' ? given : (JSON.parse(decimal(String(given))) as unknown)
    expect(fallbackOf(field), `${where} default`).toBe(wanted)
  }
}

/** Kafka writes some defaults in hexadecimal. */
function decimal(text: string): string {
  return text.startsWith('0x') ? String(Number(text)) : text
}

function readDefinition(name: string): KafkaMessage {
  for (const folder of ['', 'rpc', 'coordinator']) {
    let text: string
    try {
      text = readFileSync(join(KAFKA_MESSAGES_DIR!, folder, `${name}.json`), 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue
      throw error
    }
    const lines = text.split('\n').map((line) => line.replace(/^\s*\/\/.*$/, '').replace(/\s\/\/ .*$/, ''))
    return JSON.parse(lines.join('\n')) as KafkaMessage
  }
  throw new Error(`No definition of ${name} in ${KAFKA_MESSAGES_DIR!}`)
}

function versionsOf({ versions }: { versions: VersionRange }): number[] {
  return Array.from({ length: versions.last - versions.first + 1 }, (_, index) => versions.first + index)
}
