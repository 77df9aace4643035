/**
 * The settings that a broker reads when it starts and that only it knows: who it is, where it listens, where its
 * data is, and every bound on what clients may cost it. The settings that topics and the controller share join in
 * from `metadata/broker-config.ts`.
 *
 * Names are Kafka's where Kafka has one.
 */
import { doubleConfig, intConfig, longConfig } from '../metadata/config-table.ts'
import type { ConfigDefinition } from '../metadata/config-table.ts'
import { REGISTRATION_TEXT_LENGTH_MAX } from '../metadata/limits.ts'
import { VOTERS_MAX } from '../raft/voter-set.ts'
import { parseClientAddress } from './client-addresses.ts'
import type { ClientAddress } from './client-addresses.ts'
import { groupSettingsShape } from './group-settings.ts'
import { parseListenerSpecs } from './listener-spec.ts'
import type { ListenerSpec } from './listener-spec.ts'
import { parseQuorumVoters } from './quorum-voters.ts'
import type { QuorumVoter } from './quorum-voters.ts'

const MIB = 1_048_576
const MINUTE_MS = 60_000
/** Who hears a handshake can try secrets on it at leisure; shorter ones are found so. */
const SECRET_LENGTH_MIN = 16

/** Free text, checked by `parse`. */
function textConfig<T>(options: {
  readonly name: string
  readonly fallback: string
  readonly allowed: string
  readonly documentation: string
  readonly isSensitive?: boolean
  readonly parse: (text: string) => T | undefined
}): ConfigDefinition<T> {
  return { isSensitive: false, ...options, type: 'string', synonyms: [], update: 'read-only' }
}

function listenersConfig(name: string, fallback: string, documentation: string) {
  return textConfig<readonly ListenerSpec[]>({
    name,
    fallback,
    documentation,
    allowed:
      'a comma-separated list of any://HOST:PORT, kafka://HOST:PORT or http://HOST:PORT, each NAME=… if two are alike',
    parse: parseListenerSpecs,
  })
}

export const staticConfigShape = {
  nodeId: intConfig({
    name: 'node.id',
    min: 0,
    fallback: '1',
    update: 'read-only',
    documentation:
      'The broker’s number, unique in its cluster; a data directory belongs to one number for good.',
  }),
  clusterId: textConfig({
    name: 'cluster.id',
    fallback: '',
    allowed: 'empty or an id of 22 letters, digits, dashes and underscores',
    documentation:
      'The cluster to belong to. Empty: the one of the data directory, or a new one for an empty directory.',
    parse: (text) => (/^([A-Za-z0-9_-]{22})?$/.test(text) ? text : undefined),
  }),
  quorumVoters: textConfig<readonly QuorumVoter[]>({
    name: 'controller.quorum.voters',
    fallback: '',
    allowed: `a comma-separated list of at most ${VOTERS_MAX} NODE_ID@HOST:PORT, each node and address once`,
    documentation:
      'The nodes that decide about metadata in a new cluster, with the address of a listener of each that takes WebSockets; the same on every node. Three survive the loss of one, five of two. Empty: this node alone. Later the cluster itself knows who they are, and this tells only where.',
    parse: parseQuorumVoters,
  }),
  clusterSecret: textConfig<string | null>({
    name: 'cluster.secret',
    fallback: '',
    allowed: `empty or at least ${SECRET_LENGTH_MIN} characters`,
    documentation:
      'What the nodes of the cluster know and nobody else: by it they prove to each other who they are. The same on every node; give it by file or environment, since command lines are seen by others. Empty: nodes talk to each other over loopback only.',
    isSensitive: true,
    parse: (text) => (text === '' ? null : text.length >= SECRET_LENGTH_MIN ? text : undefined),
  }),
  rack: textConfig<string | null>({
    name: 'broker.rack',
    fallback: '',
    allowed: `empty or a name of at most ${REGISTRATION_TEXT_LENGTH_MAX} characters`,
    documentation:
      'Where the broker stands: a machine, a rack, a zone. Replicas of a partition are spread over racks, and consumers that name one read from replicas in it. Empty: none.',
    parse: (text) => (text === '' ? null : text.length <= REGISTRATION_TEXT_LENGTH_MAX ? text : undefined),
  }),
  dataDirectory: textConfig({
    name: 'log.dir',
    fallback: 'millrace-data',
    allowed: 'a path',
    documentation:
      'Directory of all data; relative to where the broker is started. It is created when missing.',
    parse: (text) => (text === '' || text.includes('\0') ? undefined : text),
  }),
  listeners: listenersConfig(
    'listeners',
    'any://127.0.0.1:9092',
    'Where to listen. “any” takes Kafka over TCP, WebSocket and HTTP on one port; “kafka” only TCP, “http” only WebSocket and HTTP. Port 0 takes a free one. Nothing asks clients who they are: listen beyond loopback only in a network you trust.',
  ),
  advertisedListeners: listenersConfig(
    'advertised.listeners',
    '',
    'The addresses that clients are told, by listener name, where they differ from `listeners` (proxies, containers).',
  ),
  webSocketAddress: textConfig<ClientAddress | null>({
    name: 'websocket.advertised.address',
    fallback: '',
    allowed: 'empty or HOST:PORT',
    documentation:
      'The one address that WebSocket clients are told for every broker, such as that of an ingress or load balancer in front of all of them; the same on every broker. Any broker then answers for any other. Scheme and path are those by which the client came. Not for kafkajs, which takes brokers of one address for one and loses records by it (docs/operations.md). Empty: each broker’s own. TCP clients are always told each broker’s own.',
    parse: parseClientAddress,
  }),
  origins: textConfig<readonly string[]>({
    name: 'websocket.origins',
    fallback: 'http://localhost:*,http://127.0.0.1:*',
    allowed:
      'a comma-separated list of origins such as https://app.example.com, http://localhost:* for any port, or * for any origin',
    documentation:
      'Web pages that may open a WebSocket, by origin. Programs send no origin and are not concerned.',
    parse: (text) => {
      const parts = text.split(',').map((part) => part.trim()).filter((part) => part !== '') // prettier-ignore
      return parts.every((part) => /^(\*|https?:\/\/[^/\s]+)$/.test(part)) ? parts : undefined
    },
  }),
  webSocketHosts: textConfig<readonly string[]>({
    name: 'websocket.hosts',
    fallback: '',
    allowed: 'a comma-separated list of host names, without port',
    documentation:
      'Host names under which web pages may address this broker, beside localhost, IP addresses and those of `listeners`, `advertised.listeners` and `websocket.advertised.address`; others are refused, against DNS rebinding. Needed behind a proxy with a name of its own.',
    parse: (text) => {
      const parts = text.split(',').map((part) => part.trim()).filter((part) => part !== '') // prettier-ignore
      return parts.every((part) => /^[A-Za-z0-9._-]+$/.test(part)) ? parts : undefined
    },
  }),
  webSocketPath: textConfig({
    name: 'websocket.path',
    fallback: '/',
    allowed: 'a path that begins with a slash',
    documentation: 'The one path at which a WebSocket may be opened.',
    parse: (text) => (/^\/[\x21-\x22\x24-\x3e\x40-\x7e]*$/.test(text) ? text : undefined),
  }),
  messageBytesMax: intConfig({
    name: 'socket.request.max.bytes',
    min: 1024,
    max: 1024 * MIB - 1,
    fallback: String(100 * MIB),
    update: 'read-only',
    documentation: 'Largest request in bytes; a connection that announces more is closed.',
  }),
  connectionsMax: intConfig({
    name: 'max.connections',
    min: 1,
    fallback: '10000',
    update: 'read-only',
    documentation: 'Connections that a listener keeps open at once; further ones are closed when they come.',
  }),
  connectionsPerAddressMax: intConfig({
    name: 'max.connections.per.ip',
    min: 1,
    fallback: '10000',
    update: 'read-only',
    documentation: 'Connections that a listener keeps open at once from one address.',
  }),
  connectionsPerSecondMax: intConfig({
    name: 'max.connection.creation.rate',
    min: 1,
    fallback: '5000', // Some 50 µs each: a storm takes a quarter of a core, and 1,000 clients that come back at once are welcome.
    update: 'read-only',
    documentation: 'Connections that a listener accepts in a second; further ones are closed when they come.',
  }),
  idleMs: longConfig({
    name: 'connections.max.idle.ms',
    min: 1000,
    fallback: String(10 * MINUTE_MS),
    update: 'read-only',
    documentation:
      'A connection that was silent for this long, in ms, is closed; over WebSocket it is asked for a sign of life first.',
  }),
  handshakeMs: intConfig({
    name: 'connection.handshake.timeout.ms',
    min: 100,
    fallback: '10000',
    update: 'read-only',
    documentation: 'A new connection must send its first whole request within this time, in ms.',
  }),
  messageMs: intConfig({
    name: 'connection.message.timeout.ms',
    min: 100,
    fallback: '30000',
    update: 'read-only',
    documentation: 'A request that has begun to arrive must be whole after this time, in ms.',
  }),
  sendStallMs: intConfig({
    name: 'connection.send.stall.timeout.ms',
    min: 100,
    fallback: '30000',
    update: 'read-only',
    documentation: 'A peer that takes nothing of its answers for this long, in ms, is disconnected.',
  }),
  sendHighWaterBytes: intConfig({
    name: 'connection.send.buffer.max.bytes',
    min: 1024,
    fallback: String(MIB),
    update: 'read-only',
    documentation: 'Bytes of answers that may lie unsent before the next request of the connection waits.',
  }),
  inFlightMax: intConfig({
    name: 'connection.requests.in.flight.max',
    min: 1,
    fallback: '1000',
    update: 'read-only',
    documentation: 'Requests of one connection that may be unanswered before the broker stops reading it.',
  }),
  requestBytesMax: intConfig({
    name: 'queued.max.request.bytes',
    min: 1024,
    fallback: String(64 * MIB),
    update: 'read-only',
    documentation: 'Bytes of unanswered requests, over all connections, before the broker stops reading.',
  }),
  responseBytesMax: intConfig({
    name: 'queued.max.response.bytes',
    min: 1024,
    fallback: String(64 * MIB),
    update: 'read-only',
    documentation: 'Bytes of answers lying at slow readers, over all connections, before fetches wait.',
  }),
  fetchBytesMax: intConfig({
    name: 'fetch.max.bytes',
    min: 1024,
    fallback: String(8 * MIB),
    update: 'read-only',
    documentation: 'Largest answer to one fetch in bytes, whatever the client allows; one batch always fits.',
  }),
  tailCacheBytes: longConfig({
    name: 'log.tail.cache.bytes',
    min: 0,
    fallback: String(64 * MIB),
    update: 'read-only',
    documentation:
      'Memory for the newest batches of all partitions, in bytes; consumers at the tail are served from it.',
  }),
  retentionCheckMs: longConfig({
    name: 'log.retention.check.interval.ms',
    min: 100,
    fallback: String(5 * MINUTE_MS),
    update: 'read-only',
    documentation: 'How often segments are checked against retention, in ms.',
  }),
  cleanerIntervalMs: longConfig({
    name: 'log.cleaner.backoff.ms',
    min: 100,
    fallback: '15000',
    update: 'read-only',
    documentation: 'How often this broker looks for a partition to compact, in ms.',
  }),
  cleanerMapBytes: longConfig({
    name: 'log.cleaner.dedupe.buffer.size',
    min: 4096,
    max: 2 ** 31,
    fallback: String(32 * MIB),
    update: 'read-only',
    documentation:
      'Memory for the keys of one pass of compaction, in bytes: 32 for each key. A pass takes no more than its keys need; a partition with more keys takes several passes.',
  }),
  cleanerBytesPerSecond: doubleConfig({
    name: 'log.cleaner.io.max.bytes.per.second',
    min: 1024,
    max: Number.MAX_VALUE,
    fallback: '1.7976931348623157E308',
    update: 'read-only',
    documentation: 'What compaction may read on this broker, in bytes a second; it writes no more than that.',
  }),
  checkpointMs: longConfig({
    name: 'log.flush.offset.checkpoint.interval.ms',
    min: 100,
    fallback: '5000',
    update: 'read-only',
    documentation:
      'How often recovery points are written, in ms: a start after a crash checks what came later.',
  }),
  replicaLagMsMax: longConfig({
    name: 'replica.lag.time.max.ms',
    min: 100,
    fallback: '30000',
    update: 'read-only',
    documentation:
      'A follower that has lacked something for this long, in ms, is not in sync any more: acknowledgements do not wait for it.',
  }),
  catchUpBytesPerSecond: longConfig({
    name: 'replica.catch.up.bytes.per.second',
    min: -1,
    fallback: '-1',
    update: 'read-only',
    documentation:
      'What this broker fetches for replicas that are out of sync, in bytes a second in all, so that catching up leaves room for clients; -1 for no bound.',
  }),
  fetchSessionsMax: intConfig({
    name: 'max.incremental.fetch.session.cache.slots',
    min: 0,
    fallback: '1000',
    update: 'read-only',
    documentation: 'Fetch sessions of consumers that the broker remembers; further ones fetch without.',
  }),
  quorumElectionTimeoutMs: intConfig({
    name: 'controller.quorum.election.timeout.ms',
    min: 20,
    fallback: '300',
    update: 'read-only',
    documentation: 'How long an election of the controller waits for votes before it is tried again, in ms.',
  }),
  quorumFetchTimeoutMs: intConfig({
    name: 'controller.quorum.fetch.timeout.ms',
    min: 50,
    fallback: '2000',
    update: 'read-only',
    documentation:
      'A controller that was not heard of for this long, in ms, is taken for dead by the other voters.',
  }),
  metadataSnapshotBytes: longConfig({
    name: 'metadata.log.max.record.bytes.between.snapshots',
    min: 1,
    fallback: '8388608',
    update: 'read-only',
    documentation:
      'A snapshot of the metadata is written after so many bytes of their log, and what is older than the last two is deleted. A start replays the log from the newest one on.',
  }),
  producerIdExpirationMs: longConfig({
    name: 'producer.id.expiration.ms',
    min: 1000,
    fallback: '86400000',
    update: 'read-only',
    documentation: 'How long a partition remembers an idempotent producer that is silent, in ms.',
  }),
  ...groupSettingsShape,
} as const
