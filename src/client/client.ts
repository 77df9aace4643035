/**
 * The client: one way into a cluster for producers, consumers and administration, the same in Node, in browsers and inside
 * a broker's own process.
 *
 * Connections are made on first use, one per broker, plus one per broker for each consumer. Whatever the client made is
 * closed with it.
 */
import { Admin } from './admin.ts'
import { parseBootstrap } from './address.ts'
import type { ClientOptions, ClientPorts } from './client-options.ts'
import { clientConfig } from './client-options.ts'
import { Cluster } from './cluster.ts'
import { Consumer } from './consumer.ts'
import type { ConsumerOptions } from './consumer-options.ts'
import { GroupConsumer } from './group/group-consumer.ts'
import type { GroupConsumerOptions } from './group/group-options.ts'
import { Producer } from './producer.ts'
import type { ProducerOptions } from './producer-options.ts'
import type { Payload } from './serde.ts'

export class Client {
  readonly #cluster: Cluster
  readonly #open = new Set<{ close(): Promise<void> }>()
  #admin: Admin | null = null

  /**
   * @param ports - The environment: clock, randomness, network, logger.
   * @throws {ClientError} `CLIENT_BAD_ARGUMENT`.
   */
  constructor(ports: ClientPorts, options: ClientOptions) {
    this.#cluster = new Cluster(ports, clientConfig(options), parseBootstrap(options.bootstrap))
  }

  /**
   * Reaches a first broker, which happens by itself on first use.
   *
   * @throws {ClientError} `CLIENT_CANNOT_CONNECT`, `CLIENT_UNSUPPORTED_BY_BROKER`, `CLIENT_ABORTED`, `CLIENT_CLOSED`.
   */
  async connect(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    await this.#cluster.connect(options.signal)
  }

  /** @throws {ClientError} `CLIENT_BAD_ARGUMENT`. */
  producer<K = Payload, V = Payload>(options: ProducerOptions<K, V> = {}): Producer<K, V> {
    const producer = new Producer(this.#cluster, options, (closed) => this.#open.delete(closed))
    this.#open.add(producer)
    return producer
  }

  /**
   * With `group`, a member of that group; without, a consumer that reads what it is told to.
   *
   * @throws {ClientError} `CLIENT_BAD_ARGUMENT`.
   */
  consumer<K = Uint8Array | null, V = Uint8Array | null>(
    options: GroupConsumerOptions<K, V>,
  ): GroupConsumer<K, V>
  consumer<K = Uint8Array | null, V = Uint8Array | null>(options?: ConsumerOptions<K, V>): Consumer<K, V>
  consumer<K, V>(
    options: ConsumerOptions<K, V> | GroupConsumerOptions<K, V> = {},
  ): Consumer<K, V> | GroupConsumer<K, V> {
    const onClosed = (closed: { close(): Promise<void> }): unknown => this.#open.delete(closed)
    const consumer =
      'group' in options
        ? new GroupConsumer<K, V>(this.#cluster, options, onClosed)
        : new Consumer<K, V>(this.#cluster, options, onClosed)
    this.#open.add(consumer)
    return consumer
  }

  admin(): Admin {
    this.#admin ??= new Admin(this.#cluster)
    return this.#admin
  }

  /** Closes what the client made (producers send what they have first), then the connections. */
  async close(): Promise<void> {
    await Promise.all([...this.#open].map((one) => one.close()))
    this.#cluster.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
