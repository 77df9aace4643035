/** Makes docs/protocol.md from the declarations, so that the document cannot say what the code does not do. */
import { apiList } from '../../src/protocol/apis.ts'
import { errors } from '../../src/protocol/errors.ts'
import type { VersionRange } from '../../src/protocol/schema/versions.ts'

/**
 * Where Millrace differs from Kafka 4.3 on the wire, or where Kafka does something unexpected that Millrace does, too.
 * The tests of protocol/ hold each of them.
 */
const DEVIATIONS = [
  'Produce announces version 0 and serves from version 3 on, as Kafka does: old librdkafka takes a broker that does not announce version 0 for one without compression.',
  'ApiVersions answers have no tagged fields in the header in any version, and an ApiVersions request in a version that is not served is answered in version 0 with `UNSUPPORTED_VERSION` (KIP-511), both as in Kafka. Any other API or version that is not served closes the connection.',
  'InitProducerId ends at version 5. Version 6 (KIP-939) is unstable in Kafka 4.3, which does not announce it either.',
  'AlterPartition, BrokerRegistration and BrokerHeartbeat are served in one version or two: only brokers of Millrace send them, and all of them speak the latest.',
  'Fetch version 18 has a tagged field of our own, `durableOffset` (tag 30), which only brokers send each other.',
  'DescribeLogDirs and ListGroups requests may name the broker that is to answer in a tagged field of our own, `brokerId` (tag 30): where all brokers have one address, a WebSocket client has no other way to say so.',
  'A 64-bit integer beyond ±(2^53 - 1) is refused as malformed, but for the high watermark in Fetch version 18, whose 2^63 - 1 means that there is none.',
  'The count of an array is checked against the bytes that remain in the frame before anything is allocated for it.',
  'Text that is not UTF-8 is read with U+FFFD in place of what is wrong, as in Kafka; the rules for names then refuse it.',
  'Bytes behind the body of a message are ignored, as in Kafka.',
]

export function protocolDocument(): string {
  return [
    '# Protocol',
    '',
    'Millrace speaks the Kafka protocol over TCP and over WebSocket, where one binary message carries one request or',
    'response without the 4-byte length. The tables are generated from the declarations in `src/protocol/`; a test holds',
    'this file against them (`UPDATE_DOCS=1 npx vitest run test/protocol/protocol-doc.test.ts` writes it anew).',
    '',
    '## APIs',
    '',
    '"Announced" is what ApiVersions answers, "served" what is decoded and answered, "flexible" the versions with compact',
    'lengths and tagged fields (KIP-482). What is for peers is announced to nobody, and a client that sends it is',
    'disconnected.',
    '',
    table(
      ['Key', 'API', 'Announced', 'Served', 'Flexible', 'Declared in'],
      apiList.map((api) => {
        const file = `messages/${kebab(api.name)}.ts`
        return [
          String(api.key),
          api.name,
          api.audience === 'peer' ? 'peers' : range(api.advertised),
          range(api.versions),
          range(api.request.flexible),
          `[${file}](../src/protocol/${file})`,
        ]
      }),
    ),
    '',
    '## Deviations and peculiarities',
    '',
    ...DEVIATIONS.map((text) => `- ${text}`),
    '',
    '## Error codes',
    '',
    table(
      ['Code', 'Name', 'Retriable', 'Meaning'],
      errors.map(({ code, name, retriable, description }) => [
        String(code),
        `\`${name}\``,
        retriable ? 'yes' : 'no',
        description,
      ]),
    ),
    '',
  ].join('\n')
}

function range({ first, last }: VersionRange): string {
  if (first > last) return 'none'
  return first === last ? String(first) : `${first}-${last}`
}

function kebab(name: string): string {
  return name.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase()
}

/** A table in the form that prettier leaves alone: columns as wide as their widest cell. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]!.length)),
  )
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}
