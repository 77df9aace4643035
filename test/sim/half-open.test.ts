/**
 * A broker that falls silent without a word (half-open connections, docs/faults.md NW-1): a link is cut, nobody is told, and
 * connections stay open. Clients have their default time-outs, half a minute for a request, and yet: what waited at a broker
 * that others took over from goes on soon after they did, and what other brokers do is not held up at all. In virtual time.
 */
import { describe, expect, it } from 'vitest'
import { BrokerLink } from '../../src/client/broker-link.ts'
import { brokerAddress, parseBootstrap } from '../../src/client/address.ts'
import {
  clientConfig,
  HEDGE_PATIENCE_MS,
  PING_AFTER_MS,
  SILENCE_MS,
} from '../../src/client/client-options.ts'
import type { Client } from '../../src/client/client.ts'
import type { Consumer } from '../../src/client/consumer.ts'
import type { Producer } from '../../src/client/producer.ts'
import { seedFromEnv } from '../support/seed.ts'
import { PORT, SESSION_MS, SimCluster } from './support/sim-cluster.ts'

const SEED = seedFromEnv('half-open')
const TOPIC = 'orders'
const PARTITIONS = [0, 1, 2]
const APP = 'app'
/** What clients have unless told otherwise. */
const DEFAULTS = {
  requestTimeoutMs: 30_000,
  connectTimeoutMs: 10_000,
  retryBackoffMs: 50,
  retryBackoffMaxMs: 1_000,
}
/** Others take over: the session ends, a controller is elected if that was it, and leaders are. */
const TAKE_OVER_MS = 2 * SESSION_MS
/** A doubt is renewed every `SILENCE_MS`, an answer to it comes from the second broker at the latest, a pause precedes a retry. */
const FAIL_OVER_MS_MAX = TAKE_OVER_MS + SILENCE_MS + HEDGE_PATIENCE_MS + DEFAULTS.retryBackoffMaxMs
/** Between an acknowledgement and the next record of a partition. */
const WRITE_EVERY_MS = 20
/** What is nobody's to wait for: requests and answers over links of half a millisecond, and what brokers do in a turn. */
const USUAL_MS = 200
/** Questions to any broker that what is asked here takes, one after the other: metadata, a producer id, then what it is for. */
const STEPS_MAX = 3
const TRANSPORTS = ['tcp', 'ws'] as const

/** A client with a producer and a consumer on every partition, and when each of them last came forward. */
class App {
  readonly client: Client
  readonly acked: number[] = PARTITIONS.map(() => 0)
  readonly read: number[] = PARTITIONS.map(() => 0)
  readonly #cluster: SimCluster
  readonly #lastMs = new Map<string, number>()
  readonly #gapsMs = new Map<string, number>()
  #isStopped = false
  readonly #work: Promise<void>[] = []

  constructor(cluster: SimCluster, transport: (typeof TRANSPORTS)[number]) {
    this.#cluster = cluster
    const bootstrap = cluster.hosts.map(({ name }) => `${transport}://${name}:${PORT}`)
    this.client = cluster.client(APP, { bootstrap, ...DEFAULTS })
    const producer = this.client.producer()
    const consumer = this.client.consumer({ topics: [TOPIC], from: 'beginning' })
    for (const partition of PARTITIONS) this.#work.push(this.#write(producer, partition))
    this.#work.push(this.#follow(consumer))
  }

  /** The longest time without progress since the last call, in ms. @param what - Such as `write 0`. */
  gapMs(what: string): number {
    const nowMs = this.#cluster.simulation.nowMs
    const gapMs = Math.max(this.#gapsMs.get(what) ?? 0, nowMs - (this.#lastMs.get(what) ?? nowMs))
    this.#gapsMs.delete(what)
    return gapMs
  }

  /** Resolves when every partition was written and read so much further. */
  async progress(count = 20): Promise<void> {
    const acked = this.acked.map((before) => before + count)
    await this.#cluster.run(() =>
      PARTITIONS.every(
        (partition) =>
          this.acked[partition]! >= acked[partition]! && this.read[partition]! >= acked[partition]!,
      ),
    )
  }

  /** Takes note of gaps from now on. */
  begin(): void {
    for (const partition of PARTITIONS)
      for (const what of ['write', 'read']) this.gapMs(`${what} ${partition}`)
  }

  async end(): Promise<void> {
    this.#isStopped = true
    await this.#cluster.run(this.client.close())
    await this.#cluster.run(Promise.all(this.#work))
  }

  async #write(producer: Producer, partition: number): Promise<void> {
    while (!this.#isStopped) {
      await producer.send({ topic: TOPIC, partition, value: `${this.acked[partition]}` })
      this.acked[partition]!++
      this.#noted(`write ${partition}`)
      await new Promise<void>(
        (resolve) => void this.#cluster.simulation.schedule(WRITE_EVERY_MS, 'app goes on', resolve),
      )
    }
  }

  async #follow(consumer: Consumer): Promise<void> {
    for await (const { partition, offset, value } of consumer) {
      expect(Buffer.from(value!).toString()).toBe(`${offset}`) // Once and in order.
      this.read[partition] = offset + 1
      this.#noted(`read ${partition}`)
    }
  }

  #noted(what: string): void {
    const nowMs = this.#cluster.simulation.nowMs
    const gapMs = nowMs - (this.#lastMs.get(what) ?? nowMs)
    this.#gapsMs.set(what, Math.max(this.#gapsMs.get(what) ?? 0, gapMs))
    this.#lastMs.set(what, nowMs)
  }
}

async function start(name: string): Promise<SimCluster> {
  const cluster = await SimCluster.start({ seed: `${SEED} ${name}` })
  await cluster.createTopic(TOPIC, { assignments: [[1, 2, 3], [2, 3, 1], [3, 1, 2]] }) // prettier-ignore
  return cluster
}

describe.each(TRANSPORTS)('A broker that falls silent, to clients over %s', (transport) => {
  it('NW-1: holds up what it led for little longer than it takes the others to replace it', async () => {
    const cluster = await start(`replaced ${transport}`)
    const app = new App(cluster, transport)
    await app.progress()
    app.begin()
    const host = cluster.leader(TOPIC, 0)!
    const others = cluster.hosts.filter((other) => other !== host).map(({ name }) => name)

    cluster.simulation.network.partition([host.name], [APP, ...others])
    await app.progress()

    expect(app.gapMs('write 0')).toBeLessThan(FAIL_OVER_MS_MAX)
    expect(app.gapMs('read 0')).toBeLessThan(FAIL_OVER_MS_MAX)
    cluster.simulation.network.heal()
    await cluster.untilWhole()
    await app.progress()
    await app.end()
  })

  it('NW-1: does not stall what other brokers lead, nor administration, nor new producers', async () => {
    const cluster = await start(`beside ${transport}`)
    const app = new App(cluster, transport)
    await app.progress()
    app.begin()
    const host = cluster.controller!
    const led = PARTITIONS.filter((partition) => cluster.leader(TOPIC, partition) !== host)
    const { simulation } = cluster
    const leaders = cluster.hosts.filter((other) => other !== host).map(({ id }) => id)
    const latest = led.map((partition) => ({ topic: TOPIC, partition, at: 'latest' as const }))
    const asked: readonly ((client: Client) => Promise<unknown>)[] = [
      (client) => client.admin().describeTopics([TOPIC]),
      (client) => client.admin().describeCluster(),
      (client) => client.admin().createTopics([{ name: 'new', assignments: [leaders] }]),
      (client) => client.admin().listOffsets(latest),
      (client) => client.producer().send({ topic: 'new', value: 'of a new producer' }),
    ]
    // Each has talked to that broker alone, waits for nothing there, and so takes it for the one to ask.
    const bootstrap = `${transport}://${host.name}:${PORT}`
    const clients = asked.map(() => cluster.client(APP, { bootstrap, ...DEFAULTS }))
    for (const client of clients) await cluster.run(client.admin().describeCluster())

    simulation.network.partition([host.name], [APP])
    for (const [index, ask] of asked.entries()) {
      await cluster.pass(SILENCE_MS) // So that nobody was heard just before.
      const beginMs = simulation.nowMs
      await cluster.run(ask(clients[index]!))
      expect(simulation.nowMs - beginMs).toBeLessThan(STEPS_MAX * HEDGE_PATIENCE_MS + USUAL_MS)
    }

    for (const partition of led) {
      expect(app.gapMs(`write ${partition}`)).toBeLessThan(USUAL_MS)
      expect(app.gapMs(`read ${partition}`)).toBeLessThan(USUAL_MS)
    }
    simulation.network.heal()
    await app.progress()
    await app.end()
    await cluster.run(Promise.all(clients.map((client) => client.close())))
  })
})

describe('A WebSocket without a word', () => {
  it('NW-1: is found by ping and given up in bounded time, though nothing was asked', async () => {
    const cluster = await start('ping')
    const ports = cluster.simulation.env(APP)
    const bootstrap = parseBootstrap(`ws://b1:${PORT}`)[0]!
    const config = clientConfig({ bootstrap: bootstrap.url })
    const link = new BrokerLink(ports, config, brokerAddress(bootstrap, 'b1', PORT))
    await cluster.run(link.connect())
    await cluster.pass(4 * PING_AFTER_MS)
    expect(link.ready).not.toBeNull() // A pong is a word.

    cluster.simulation.network.partition(['b1'], [APP])
    await cluster.run(() => link.ready === null, 3 * PING_AFTER_MS)
    link.close()
  })
})
