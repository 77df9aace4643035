/**
 * A cluster as its users run it: brokers of the built command, a process each, on ports and in directories of their own.
 * Each can be killed, stopped, paused and started again; with `links`, each can be cut off from the others and from
 * clients, in that every connection leads over a proxy of ours; in `namespaces` the links are real ones:
 *
 *   node a ──> proxy a>b ──> node b                clients ──> proxy >b ──> node b
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { BrokerProcess } from './broker-process.ts'
import { knowEachOther } from './every-broker.ts'
import { reservePorts } from './free-ports.ts'
import type { Namespaces } from './namespaces.ts'
import { TcpProxy } from './tcp-proxy.ts'

export interface ClusterProcessesOptions {
  readonly directory: string
  /** Default 3. */
  readonly brokers?: number
  /** Further settings of every broker, by key. */
  readonly settings?: Readonly<Record<string, string>>
  /** Default 'warn'. */
  readonly logLevel?: 'info' | 'warn'
  /** Whether connections lead over proxies that can be cut. Default false. */
  readonly links?: boolean
  /** Where the brokers run, each at a node of its own. Default: all on loopback. */
  readonly namespaces?: Namespaces
}

/** Short enough for tests that wait for them over and over, and long enough for a machine that is busy with the tests. */
export const SESSION_MS = 1500
const QUICK_SETTINGS = {
  'broker.session.timeout.ms': String(SESSION_MS),
  'broker.heartbeat.interval.ms': '300',
  'controller.quorum.fetch.timeout.ms': '1000',
  'replica.lag.time.max.ms': '2000',
  'default.replication.factor': '3',
  'min.insync.replicas': '2',
}

/** Between two looks at what the cluster says of itself, in ms. */
const LOOK_MS = 20

const LOOPBACK = '127.0.0.1'
/** What brokers beyond loopback prove to each other. */
const SECRET = 'what the brokers of a test know'

/** The connections between two nodes that one of them opens. */
export interface PeerLink {
  /** Who opens them; `there`, in the words of proxies, is what this one sends. */
  readonly from: number
  readonly to: number
  readonly proxy: TcpProxy
}

/** The links of one node: those that clients open to it, and those that it and other nodes open to each other. */
export interface NodeLinks {
  readonly clients: TcpProxy
  readonly peers: readonly PeerLink[]
}

export class ClusterProcesses {
  readonly clusterId: string
  readonly #brokers: readonly BrokerProcess[]
  readonly #ports: readonly number[]
  readonly #links: readonly NodeLinks[]
  readonly #namespaces: Namespaces | null

  private constructor(
    clusterId: string,
    brokers: readonly BrokerProcess[],
    ports: readonly number[],
    links: readonly NodeLinks[],
    namespaces: Namespaces | null,
  ) {
    this.clusterId = clusterId
    this.#brokers = brokers
    this.#ports = ports
    this.#links = links
    this.#namespaces = namespaces
  }

  /** Starts a cluster; resolves when all brokers serve and know each other. */
  static async start(options: ClusterProcessesOptions): Promise<ClusterProcesses> {
    const { directory, brokers: count = 3, settings = {}, logLevel = 'warn', links = false } = options
    const { namespaces = null } = options
    const hostOf = (nodeId: number): string => namespaces?.addressOf(nodeId) ?? LOOPBACK
    const clusterId = newClusterId()
    const ports = await reservePorts(count)
    const proxies = links ? await openLinks(ports) : null
    const started = await Promise.allSettled(
      ports.map((port, index) => {
        const nodeId = index + 1
        const voters = ports.map(
          (at, to) => `${to + 1}@${hostOf(to + 1)}:${proxies?.portOf(nodeId, to + 1) ?? at}`,
        )
        const advertised = proxies?.nodes[index]!.clients.port
        return BrokerProcess.start({
          ...{ port, logLevel, directory: brokerDirectory(directory, nodeId), host: hostOf(nodeId) },
          prefix: namespaces?.prefixOf(nodeId) ?? [],
          settings: {
            ...QUICK_SETTINGS,
            'node.id': String(nodeId),
            'cluster.id': clusterId,
            'controller.quorum.voters': voters.join(','),
            ...(advertised === undefined ? {} : { 'advertised.listeners': `any://127.0.0.1:${advertised}` }),
            ...(namespaces === null ? {} : { 'cluster.secret': SECRET }),
            ...settings,
          },
        })
      }),
    )
    const brokers = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    const cluster = new ClusterProcesses(clusterId, brokers, ports, proxies?.nodes ?? [], namespaces)
    try {
      const failed = started.find((each) => each.status === 'rejected')
      if (failed !== undefined) throw failed.reason
      await knowEachOther(cluster.bootstrap)
      return cluster
    } catch (error) {
      await cluster.kill()
      throw error
    }
  }

  /** As `start`, for one test: killed when that has finished. */
  static async forTest(options: ClusterProcessesOptions): Promise<ClusterProcesses> {
    const cluster = await ClusterProcesses.start(options)
    onTestFinished(() => cluster.kill())
    return cluster
  }

  get nodeIds(): readonly number[] {
    return this.#brokers.map((_, index) => index + 1)
  }

  /** @param nodeId - From 1. */
  broker(nodeId: number): BrokerProcess {
    return this.#brokers[nodeId - 1]!
  }

  /** `host:port` of every broker. */
  get bootstrap(): readonly string[] {
    return this.#ports.map((port, index) => {
      const host = this.#namespaces?.addressOf(index + 1) ?? LOOPBACK
      return `${host}:${this.#links[index]?.clients.port ?? port}`
    })
  }

  get webSocketUrls(): readonly string[] {
    return this.bootstrap.map((address) => `ws://${address}`)
  }

  /** `controller.quorum.voters` as its brokers have it, where connections lead over no proxies. */
  get voters(): string {
    return this.#ports.map((port, index) => `${index + 1}@127.0.0.1:${port}`).join(',')
  }

  get directories(): readonly string[] {
    return this.#brokers.map(({ directory }) => directory)
  }

  /** What all of them have logged, with the node in front. */
  get complaints(): readonly string[] {
    return this.#brokers.flatMap(({ complaints }, index) =>
      complaints.map((line) => `broker ${index + 1} | ${line}`),
    )
  }

  get errors(): readonly string[] {
    return this.complaints.filter((line) => line.includes(' ERROR '))
  }

  /** Cuts the links between a node and the other nodes, and between it and clients. */
  isolate(nodeId: number, from: { readonly peers: boolean; readonly clients: boolean }): void {
    if (this.#namespaces !== null) {
      this.#namespaces.isolate(nodeId, from)
      return
    }
    const { peers, clients } = this.#links[nodeId - 1]!
    if (from.peers) for (const { proxy } of peers) proxy.cut()
    if (from.clients) clients.cut()
  }

  /** The links of a node, where there are any: see `links`. */
  linksOf(nodeId: number): NodeLinks {
    return this.#links[nodeId - 1]!
  }

  heal(): void {
    this.#namespaces?.heal()
    for (const { peers, clients } of this.#links)
      for (const proxy of [...peers.map((link) => link.proxy), clients]) proxy.heal()
  }

  /** Ends whatever still runs, paused or not. */
  async kill(): Promise<void> {
    await Promise.all(this.#brokers.map((broker) => broker.kill()))
    const proxies = this.#links.flatMap(({ peers, clients }) => [...peers.map(({ proxy }) => proxy), clients])
    await Promise.all(Array.from(new Set(proxies), (proxy) => proxy.close()))
  }

  /** Stops all at once, each cleanly. */
  async stop(): Promise<void> {
    await Promise.all(this.#brokers.map((broker) => broker.stop()))
  }
}

export const newClusterId = (): string => randomBytes(16).toString('base64url')

function brokerDirectory(directory: string, nodeId: number): string {
  const path = join(directory, `broker-${nodeId}`)
  mkdirSync(path, { recursive: true })
  return path
}

/** Polls until `holds` does. @throws When that is not within `timeoutMs`. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`Waiting until ${what}: not within ${timeoutMs} ms`)
    await pause(LOOK_MS)
  }
}

interface Links {
  readonly nodes: readonly NodeLinks[]
  portOf(from: number, to: number): number | undefined
}

async function openLinks(ports: readonly number[]): Promise<Links> {
  const clients = await Promise.all(ports.map((port) => TcpProxy.open(port)))
  const between: PeerLink[] = []
  for (const from of ports.keys())
    for (const [to, port] of ports.entries())
      if (from !== to) between.push({ from: from + 1, to: to + 1, proxy: await TcpProxy.open(port) })
  return {
    nodes: clients.map((proxy, index) => ({
      clients: proxy,
      peers: between.filter(({ from, to }) => [from, to].includes(index + 1)),
    })),
    portOf: (from, to) => between.find((link) => link.from === from && link.to === to)?.proxy.port,
  }
}
