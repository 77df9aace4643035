/**
 * What the client knows of the cluster: brokers, topics and leaders, and the ways to the brokers.
 *
 * Metadata is asked for when a topic is first used, when it has grown old, and when somebody found it wrong. One request is
 * under way at a time, for all topics in use; those who ask meanwhile share the next one, which starts after they asked.
 *
 * A broker that is silent while it owes something is asked about at once, and comes last among those that could be asked. When
 * the others count it among the dead, its connections are given up: what waited there is tried elsewhere.
 *
 * Invariant: the leader epoch of a partition never goes down while its topic id stays (an answer from a broker that lags
 * behind is not believed).
 */
import { backoffMs } from '../base/backoff.ts'
import { ZERO_UUID } from '../bytes/uuid.ts'
import type { ResponseOf } from '../protocol/apis.ts'
import { errorByCode } from '../protocol/errors.ts'
import type { Address } from './address.ts'
import { brokerAddress } from './address.ts'
import { abortable, pause } from './backoff.ts'
import { BrokerLink } from './broker-link.ts'
import { brokerError, ClientError, throwIfAborted, toError } from './client-error.ts'
import type { ClientConfig, ClientPorts } from './client-options.ts'
import { HEDGE_PATIENCE_MS } from './client-options.ts'
import { hedged } from './hedge.ts'

/** How long a topic that no broker knows may yet appear (another client has just created it), in ms. */
const UNKNOWN_TOPIC_WAIT_MS = 3_000

export interface NodeInfo {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
  readonly address: Address
  /**
   * Names the connections to it: its URL, and its id if other brokers have the same one, which is then a gateway to all
   * of them. Each has connections of its own all the same, so that what stands for one holds up no other.
   */
  readonly way: string
}

export interface PartitionInfo {
  readonly partition: number
  /** Broker id; -1 while there is no leader. */
  readonly leaderId: number
  /** -1 when the broker does not tell. */
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly offlineReplicas: readonly number[]
}

export interface TopicInfo {
  readonly name: string
  /** `ZERO_UUID` when the broker has no ids. */
  readonly topicId: string
  readonly isInternal: boolean
  /** By partition number, without gaps. */
  readonly partitions: readonly PartitionInfo[]
}

/** A broker as answers name it. */
interface Endpoint {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** What a connection is for; long polls must not stand before other requests, as answers come in order. */
export type Purpose = 'requests' | `fetches ${string}`

type MetadataResponse = ResponseOf<'Metadata'>

export class Cluster {
  readonly ports: ClientPorts
  readonly config: ClientConfig
  readonly #bootstrap: readonly Address[]
  readonly #links = new Map<string, { readonly link: BrokerLink; readonly way: string }>()
  #nodes: ReadonlyMap<number, NodeInfo> = new Map()
  /** URLs that several brokers have, or had while one still has it: a connection in use keeps its name. */
  #sharedUrls: ReadonlySet<string> = new Set()
  /** The bootstrap address through which metadata came: brokers are reached in its way. */
  #via: Address
  #controllerId = -1
  #clusterId: string | null = null
  readonly #topics = new Map<string, TopicInfo>()
  /** Topics in use, and whether a question about one may create it: only until it has been seen. */
  readonly #wanted = new Map<string, { mayCreate: boolean; errorCode: number }>()
  #refreshing: Promise<void> | null = null
  #nextRefresh: Promise<void> | null = null
  #refreshedAtMs = -Infinity
  #hasConnected = false
  /** Asked last: it may be cut off from the cluster, and would say so of all others. */
  #doubted: BrokerLink | null = null
  readonly #closing = new AbortController()
  readonly #watchers = new Set<() => void>()

  constructor(ports: ClientPorts, config: ClientConfig, bootstrap: readonly Address[]) {
    this.ports = ports
    this.config = config
    this.#bootstrap = bootstrap
    this.#via = bootstrap[0]!
  }

  get nodes(): ReadonlyMap<number, NodeInfo> {
    return this.#nodes
  }

  get clusterId(): string | null {
    return this.#clusterId
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  /** Fires when the client closes. */
  get closeSignal(): AbortSignal {
    return this.#closing.signal
  }

  /** Calls `watcher` after every answer that told something about the cluster. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  /** What is known of a topic; asks again in the background when that is old. */
  findTopic(name: string): TopicInfo | null {
    this.keepFresh(this.ports.clock.monotonicMs())
    return this.#topics.get(name) ?? null
  }

  /** Asks again in the background when what is known is old. @param nowMs - On the monotonic clock. */
  keepFresh(nowMs: number): void {
    const isOld = nowMs - this.#refreshedAtMs > this.config.metadataMaxAgeMs
    if (isOld && this.#wanted.size > 0 && this.#refreshing === null) this.refreshSoon()
  }

  findPartition(topic: string, partition: number): PartitionInfo | null {
    return this.#topics.get(topic)?.partitions[partition] ?? null
  }

  /** The way to a broker, or null when no broker has that id. */
  findLink(nodeId: number, purpose: Purpose): BrokerLink | null {
    const node = this.#nodes.get(nodeId)
    return node === undefined ? null : this.#link(node.address, purpose, node.way)
  }

  /** The way to the partition's leader, or null while there is none. */
  findLeaderLink(topic: string, partition: number, purpose: Purpose): BrokerLink | null {
    const info = this.findPartition(topic, partition)
    return info === null ? null : this.findLink(info.leaderId, purpose)
  }

  /** A broker for requests that any of them answers or forwards; the controller if it is known. */
  async controllerLink(signal?: AbortSignal): Promise<BrokerLink> {
    if (this.#nodes.size === 0) await this.connect(signal)
    const link = this.findLink(this.#controllerId, 'requests')
    return link === null || link.isSilent ? this.anyLink(signal) : link
  }

  /** A broker for requests that any of them answers: a connected one, else one drawn by lot. */
  async anyLink(signal?: AbortSignal): Promise<BrokerLink> {
    return (await this.links(signal))[0]!
  }

  /** Ways to all brokers, the most promising first. Not empty. */
  async links(signal?: AbortSignal): Promise<readonly BrokerLink[]> {
    if (this.#nodes.size === 0) await this.connect(signal)
    return this.#candidates()
  }

  /** Makes sure that a broker was reached once. @throws {ClientError} as `topic` does. */
  async connect(signal?: AbortSignal): Promise<void> {
    if (this.#nodes.size > 0) return
    await abortable(this.refresh(), 'Cannot connect', signal)
  }

  /**
   * What is known of a topic, after asking if need be; from then on the topic is kept fresh.
   *
   * @param options.deadlineMs - On the monotonic clock; until then retriable failures are tried again.
   * @throws {ClientError} `UNKNOWN_TOPIC_OR_PARTITION`, other names of the protocol, `CLIENT_CANNOT_CONNECT`,
   *   `CLIENT_TIMED_OUT`, `CLIENT_ABORTED`, `CLIENT_CLOSED`.
   */
  async topic(
    name: string,
    options: { mayCreate: boolean; deadlineMs: number; signal?: AbortSignal | undefined },
  ): Promise<TopicInfo> {
    const { clock, random } = this.ports
    const attempted = `Cannot find topic '${name}'`
    const wanted = this.#wanted.get(name) ?? { mayCreate: false, errorCode: 0 }
    wanted.mayCreate ||= options.mayCreate
    this.#wanted.set(name, wanted)
    const startMs = clock.monotonicMs()
    for (let attempt = 1; ; attempt++) {
      const known = this.#topics.get(name)
      if (known !== undefined) return known
      throwIfAborted(options.signal, attempted)
      try {
        await abortable(this.refresh(), attempted, options.signal)
      } catch (error) {
        // A cluster that was there is waited for; one that never was is told at once, by `refresh`.
        const mayComeBack = this.#hasConnected && error instanceof ClientError && error.retriable
        if (!mayComeBack || clock.monotonicMs() >= options.deadlineMs) throw error
        this.ports.logger.warn(`${attempted}; trying again`, { attempt, error })
        await pause(clock, backoffMs(this.config.backoff, attempt, random), attempted, options.signal)
        continue
      }
      const found = this.#topics.get(name)
      if (found !== undefined) return found
      const { name: code, retriable } = errorByCode(wanted.errorCode)
      const nowMs = clock.monotonicMs()
      const giveUpMs =
        code === 'UNKNOWN_TOPIC_OR_PARTITION'
          ? Math.min(options.deadlineMs, startMs + UNKNOWN_TOPIC_WAIT_MS)
          : options.deadlineMs
      if (!retriable || nowMs >= giveUpMs) {
        this.#wanted.delete(name)
        const advice = code === 'UNKNOWN_TOPIC_OR_PARTITION' ? 'no broker has it; create it first' : null
        throw brokerError(attempted, wanted.errorCode, advice)
      }
      await pause(clock, backoffMs(this.config.backoff, attempt, random), attempted, options.signal)
    }
  }

  /**
   * Starts a refresh in the background; a failure is logged, and whoever needs the answer finds it missing.
   *
   * @param doubted - The broker because of which it is asked: another one's word counts more.
   */
  refreshSoon(doubted: BrokerLink | null = null): void {
    if (this.isClosed) return
    this.#doubted = doubted ?? this.#doubted
    this.refresh().catch((error: unknown) => {
      if (!this.isClosed) this.ports.logger.warn('Cannot refresh metadata', { error: toError(error) })
    })
  }

  /**
   * Asks for the metadata of all topics in use. Concurrent calls share one request that starts after they were made.
   *
   * @throws {ClientError} `CLIENT_CANNOT_CONNECT`, `CLIENT_CLOSED`, or what the broker said.
   */
  refresh(): Promise<void> {
    if (this.#refreshing === null) return this.#startRefresh()
    this.#nextRefresh ??= this.#refreshing
      .catch(() => undefined) // whoever asked for that one hears of it
      .then(() => {
        this.#nextRefresh = null
        return this.#startRefresh()
      })
    return this.#nextRefresh
  }

  /** Believes what an answer to a produce or fetch request said about a leader (KIP-951). True if that was news. */
  learnLeader(
    topic: string,
    partition: number,
    leader: { readonly leaderId: number; readonly leaderEpoch: number },
    endpoints: readonly Endpoint[],
  ): boolean {
    const info = this.#topics.get(topic)
    const known = info?.partitions[partition]
    if (info === undefined || known === undefined || leader.leaderId < 0) return false
    if (leader.leaderEpoch <= known.leaderEpoch) return false
    if (endpoints.length > 0) {
      const told = new Set(endpoints.map(({ nodeId }) => nodeId))
      const kept = [...this.#nodes.values()].filter(({ id }) => !told.has(id))
      this.#setNodes([...kept.map(({ id, ...node }) => ({ ...node, nodeId: id })), ...endpoints])
    }
    if (!this.#nodes.has(leader.leaderId)) return false
    const partitions = info.partitions.with(partition, { ...known, ...leader })
    this.#topics.set(topic, { ...info, partitions })
    this.#notify()
    return true
  }

  /** Closes the connections of one purpose: its owner is done. */
  closeLinks(purpose: Purpose): void {
    for (const [key, { link }] of this.#links) {
      if (!key.startsWith(`${purpose} `)) continue
      this.#links.delete(key)
      link.close()
    }
  }

  /** Closes one connection and whatever waits for answers on it; the next use connects anew. */
  closeLink(link: BrokerLink): void {
    for (const [key, candidate] of this.#links) if (candidate.link === link) this.#links.delete(key)
    link.retire()
  }

  close(): void {
    if (this.isClosed) return
    this.#closing.abort()
    for (const { link } of this.#links.values()) link.close()
    this.#links.clear()
  }

  #startRefresh(): Promise<void> {
    const refreshing = this.#refresh().finally(() => {
      if (this.#refreshing === refreshing) this.#refreshing = null
    })
    this.#refreshing = refreshing
    return refreshing
  }

  async #refresh(): Promise<void> {
    const { clock, random } = this.ports
    const startMs = clock.monotonicMs()
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#askAnybody()
        return
      } catch (error) {
        const isFinal = this.#hasConnected || !(error instanceof ClientError) || !error.retriable
        if (isFinal || clock.monotonicMs() - startMs >= this.config.bootstrapTimeoutMs) throw error
      }
      const delayMs = backoffMs(this.config.backoff, attempt, random)
      await pause(clock, delayMs, 'Cannot connect', this.#closing.signal).catch(() => undefined) // told below
    }
  }

  /** Asks brokers, known ones first, then the bootstrap list, until one has answered. */
  async #askAnybody(): Promise<void> {
    const bootstrap = this.#bootstrap.map((one) => this.#link(one, 'requests'))
    const links = [...new Set([...this.#candidates(), ...bootstrap])]
    const attempts = links.map((link) => () => this.#ask(link))
    const outcome = await hedged(this.ports.clock, attempts, HEDGE_PATIENCE_MS)
    if (this.isClosed) throw new ClientError('CLIENT_CLOSED', 'Cannot ask for metadata: the client is closed')
    if (outcome.kind === 'answered') {
      const { link, answers } = outcome.value
      this.#doubted = null
      for (const answer of answers) this.#learn(answer, link)
      this.#hasConnected = true
      return
    }
    const { errors } = outcome
    const labels = links.map(({ address }) => address.label).join(', ')
    const reasons = [...new Set(errors.map(shortReason))].join('; ')
    const retriable = errors.some((error) => error instanceof ClientError && error.retriable)
    throw new ClientError('CLIENT_CANNOT_CONNECT', `Cannot reach any of ${labels}: ${reasons}`, {
      retriable,
      cause: errors[0]!,
    })
  }

  /** Topics that may be created go by a request of their own: the permission is for all that a request names. */
  async #ask(link: BrokerLink): Promise<{ link: BrokerLink; answers: readonly MetadataResponse[] }> {
    const known: string[] = []
    const creatable: string[] = []
    for (const [name, { mayCreate }] of this.#wanted) (mayCreate ? creatable : known).push(name)
    const requests: Promise<MetadataResponse>[] = []
    if (known.length > 0 || creatable.length === 0) requests.push(this.#askFor(link, known, false))
    if (creatable.length > 0) requests.push(this.#askFor(link, creatable, true))
    return { link, answers: await Promise.all(requests) }
  }

  async #askFor(
    link: BrokerLink,
    names: readonly string[],
    allowAutoTopicCreation: boolean,
  ): Promise<MetadataResponse> {
    const topics = names.map((name) => ({ name }))
    const answer = await link.request('Metadata', { topics, allowAutoTopicCreation })
    if (answer.errorCode !== 0) {
      throw brokerError(`Cannot get metadata from ${link.address.label}`, answer.errorCode)
    }
    if (answer.brokers.length === 0) {
      const message = `Cannot get metadata from ${link.address.label}: it names no brokers, wanted at least one`
      throw new ClientError('CLIENT_PROTOCOL_VIOLATED', message, { retriable: true })
    }
    return answer
  }

  #learn(answer: MetadataResponse, link: BrokerLink): void {
    this.#via = this.#bootstrap.find((address) => address.url === link.address.url) ?? this.#via
    this.#setNodes(answer.brokers)
    this.#controllerId = answer.controllerId
    this.#clusterId = answer.clusterId
    this.#refreshedAtMs = this.ports.clock.monotonicMs()
    for (const topic of answer.topics) {
      const wanted = topic.name === null ? undefined : this.#wanted.get(topic.name)
      if (topic.name === null || wanted === undefined) continue
      wanted.errorCode = topic.errorCode
      const info = topicInfo(topic.name, topic)
      if (info !== null) wanted.mayCreate = false // if it is gone one day, somebody has deleted it
      if (info !== null) this.#topics.set(topic.name, newest(this.#topics.get(topic.name), info))
      else if (!errorByCode(topic.errorCode).retriable) this.#topics.delete(topic.name)
    }
    this.#dropStaleLinks()
    this.#notify()
  }

  #setNodes(endpoints: readonly Endpoint[]): void {
    const found = endpoints.map(({ nodeId, host, port, rack }) => ({
      ...{ id: nodeId, host, port, rack, address: brokerAddress(this.#via, host, port) },
    }))
    const urls = found.map(({ address }) => address.url)
    const isShared = (url: string): boolean =>
      this.#sharedUrls.has(url) || urls.indexOf(url) !== urls.lastIndexOf(url)
    this.#sharedUrls = new Set(urls.filter(isShared))
    this.#nodes = new Map(
      found.map((node) => {
        const { url } = node.address
        return [node.id, { ...node, way: this.#sharedUrls.has(url) ? `${url} ${node.id}` : url }]
      }),
    )
  }

  /** Closes ways to brokers, and to addresses, that are none any more: of the bootstrap list, those that are silent. */
  #dropStaleLinks(): void {
    const live = new Set(Array.from(this.#nodes.values(), ({ way }) => way))
    const silent = this.#silentWays()
    const spared = new Set(this.#bootstrap.map(({ url }) => url).filter((url) => !silent.has(url)))
    for (const [key, { link, way }] of this.#links) {
      if (live.has(way) || spared.has(way)) continue
      this.#links.delete(key)
      link.retire()
    }
  }

  /** Brokers that are silent on one of the connections to them, by the names of their connections. */
  #silentWays(): ReadonlySet<string> {
    const ways = new Set<string>()
    for (const { link, way } of this.#links.values()) if (link.isSilent) ways.add(way)
    return ways
  }

  /** Ways to known brokers: undoubted and connected ones first, then by the end of their pause, then by lot. */
  #candidates(): BrokerLink[] {
    const silent = this.#silentWays()
    const draws = [...this.#nodes.values()].map((node) => ({
      link: this.#link(node.address, 'requests', node.way),
      isSilent: silent.has(node.way),
      lot: this.ports.random.below(1 << 30),
    }))
    draws.sort(
      (a, b) =>
        Number(a.isSilent) - Number(b.isSilent) ||
        Number(a.link === this.#doubted) - Number(b.link === this.#doubted) ||
        Number(b.link.ready !== null) - Number(a.link.ready !== null) ||
        a.link.notBeforeMs - b.link.notBeforeMs ||
        a.lot - b.lot,
    )
    return draws.map(({ link }) => link)
  }

  #link(address: Address, purpose: Purpose, way = address.url): BrokerLink {
    const key = `${purpose} ${way}`
    const known = this.#links.get(key)
    if (known !== undefined) return known.link
    const link = new BrokerLink(this.ports, this.config, address)
    link.onSilent = () => this.refreshSoon()
    if (this.isClosed) link.close()
    else this.#links.set(key, { link, way })
    return link
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher()
  }
}

/** Null when the answer has no partitions to go by. */
function topicInfo(name: string, topic: MetadataResponse['topics'][number]): TopicInfo | null {
  if (topic.errorCode !== 0 || topic.partitions.length === 0) return null
  const partitions = topic.partitions
    .map((one) => ({
      partition: one.partitionIndex,
      leaderId: one.leaderId,
      leaderEpoch: one.leaderEpoch,
      replicas: one.replicaNodes,
      isr: one.isrNodes,
      offlineReplicas: one.offlineReplicas,
    }))
    .sort((a, b) => a.partition - b.partition)
  const isDense = partitions.every(({ partition }, index) => partition === index)
  return isDense ? { name, topicId: topic.topicId, isInternal: topic.isInternal, partitions } : null
}

function newest(known: TopicInfo | undefined, told: TopicInfo): TopicInfo {
  if (known === undefined || known.topicId !== told.topicId) return told
  const partitions = told.partitions.map((one, index) => {
    const before = known.partitions[index]
    return before !== undefined && before.leaderEpoch > one.leaderEpoch ? before : one
  })
  return { ...told, partitions }
}

export function hasTopicId(topic: TopicInfo): boolean {
  return topic.topicId !== ZERO_UUID
}

function shortReason(error: Error): string {
  return error.message.replace(/^Cannot connect to \S+: /, '')
}
