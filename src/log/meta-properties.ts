/**
 * The two files that say whose data this is, in Kafka's text forms.
 *
 *   meta.properties, one per data directory       partition.metadata, one per log
 *     #                                             version: 0
 *     cluster.id=<22 characters>                    topic_id: <22 characters>
 *     directory.id=<22 characters>
 *     node.id=1
 *     version=1
 *
 * A data directory that comes from another node or cluster is refused before anything in it is touched (faults.md
 * ST-14); a log of an earlier topic of the same name is not taken for the present one's (RP-21). Control plane.
 */
import { isUuidText } from '../bytes/uuid.ts'

export interface MetaProperties {
  /** Null until the node has joined a cluster. */
  readonly clusterId: string | null
  readonly nodeId: number
  readonly directoryId: string
}

export function formatMetaProperties({ clusterId, nodeId, directoryId }: MetaProperties): Uint8Array {
  const lines = [
    '#',
    ...(clusterId === null ? [] : [`cluster.id=${clusterId}`]),
    `directory.id=${directoryId}`,
    `node.id=${nodeId}`,
    'version=1',
    '',
  ]
  return new TextEncoder().encode(lines.join('\n'))
}

/** @returns Null when a key is missing, malformed, or of another version. `directory.id` may be missing: Kafka before 3.7. */
export function parseMetaProperties(
  content: Uint8Array,
): { clusterId: string | null; nodeId: number; directoryId: string | null } | null {
  const values = parsePairs(content, /^\s*([^#!=:\s]+)\s*[=:]\s*(.*?)\s*$/)
  const nodeIdText = values.get('node.id') ?? ''
  const directoryId = values.get('directory.id') ?? null
  if (values.get('version') !== '1' || !/^\d{1,10}$/.test(nodeIdText)) return null
  if (directoryId !== null && !isUuidText(directoryId)) return null
  return { clusterId: values.get('cluster.id') ?? null, nodeId: Number(nodeIdText), directoryId }
}

export function formatPartitionMetadata(topicId: string): Uint8Array {
  return new TextEncoder().encode(`version: 0\ntopic_id: ${topicId}`)
}

/** @returns The topic id, or null when the text is not what `formatPartitionMetadata` makes. */
export function parsePartitionMetadata(content: Uint8Array): string | null {
  const values = parsePairs(content, /^([a-z_]+): (\S+)$/)
  const topicId = values.get('topic_id') ?? ''
  return values.get('version') === '0' && isUuidText(topicId) ? topicId : null
}

function parsePairs(content: Uint8Array, line: RegExp): Map<string, string> {
  const values = new Map<string, string>()
  for (const text of new TextDecoder().decode(content).split(/\r?\n/)) {
    const match = line.exec(text)
    // Java escapes these in values; ids never need it, but a cluster id of one's own choice may.
    if (match !== null) values.set(match[1]!, match[2]!.replaceAll(/\\([=:#!\\ ])/g, '$1'))
  }
  return values
}
