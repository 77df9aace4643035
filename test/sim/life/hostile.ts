/**
 * Somebody hostile on a machine of its own, who speaks the protocol as it likes (docs/faults.md F-CLI, X1 to X4, X19, X20, X24, X32):
 * nothing of it may be seen by anybody else. The cluster has no authentication yet, so whoever may connect may write: what it could
 * rightly write goes to a topic of its own, and its requests that could rightly change something name nothing else.
 */
import type { Connection } from '../../../src/env/index.ts'
import type { Prng } from '../../../src/env/sim/prng.ts'
import type { ApiName, RequestInputOf, ResponseOf } from '../../../src/protocol/apis.ts'
import { decodeResponse, encodeRequest } from '../../../src/protocol/frame.ts'
import { batchSizeAt, producerIdAt } from '../../../src/records/batch-header.ts'
import { PORT } from '../support/sim-cluster.ts'
import type { Host } from '../support/sim-cluster.ts'
import type { Scene } from './scene.ts'
import { anyOf } from './weather.ts'
import { aLeader, anyHost } from './world.ts'
import type { Fault, World } from './world.ts'

const OWN_TOPIC = 'hostile'
const CONNECT = { timeoutMs: 1000, messageBytesMax: 2 ** 24, sendHighWaterBytes: 2 ** 20 }
const ANSWER_MS = 1500
/** Versions in which everything below is asked: those that name topics. */
const FETCH = 12
const PRODUCE = 9
const FLOOD_COUNT = 300
/** Errors by which a copy of a batch that is in the log, or was, may be refused; or it is told where it is. */
const REFUSALS_OF_COPIES: ReadonlySet<number> = new Set([
  3, // UNKNOWN_TOPIC_OR_PARTITION
  6, // NOT_LEADER_OR_FOLLOWER
  7, // REQUEST_TIMED_OUT
  19, // NOT_ENOUGH_REPLICAS
  20, // NOT_ENOUGH_REPLICAS_AFTER_APPEND
  45, // OUT_OF_ORDER_SEQUENCE_NUMBER
  46, // DUPLICATE_SEQUENCE_NUMBER
  47, // INVALID_PRODUCER_EPOCH
  56, // KAFKA_STORAGE_ERROR
  59, // UNKNOWN_PRODUCER_ID
  90, // PRODUCER_FENCED
])

export const HOSTILE_ACTS: Readonly<Record<string, Fault>> = {
  garbage: (world) =>
    attack(world, 'garbage', async (link, { random }) => {
      for (let count = 1 + random.below(5); count > 0 && !link.isClosed; count--)
        link.send(noise(random, 1 + random.below(300)))
      await link.over()
    }),
  mutations: (world) =>
    attack(world, 'mutations', async (link, { random, scene }) => {
      for (let count = 5 + random.below(20); count > 0 && !link.isClosed; count--) {
        link.send(mutate(random, anyOf(random, soundRequests(scene, random))))
        await scene.sleep(random.between(0, 30))
      }
      await link.over()
    }),
  replay: (world) =>
    attack(world, 'replay', (link, { random }) => replay(link, world, random), aLeader(world)),
  poser: (world) =>
    attack(
      world,
      'poser',
      async (link, { random, scene }) => {
        for (let count = 0; count < 10 && !link.isClosed; count++) await pose(link, scene, random)
      },
      aLeader(world),
    ),
  flood: (world) =>
    attack(world, 'flood', async (link, { random, scene }) => {
      const isSlow = random.chance(0.5)
      if (isSlow) link.pause()
      const requests = soundRequests(scene, random)
      for (let count = 0; count < FLOOD_COUNT && !link.isClosed; count++) link.send(anyOf(random, requests))
      await scene.sleep(random.between(200, 2000))
      if (isSlow) link.resume()
      await link.over()
    }),
}

function attack(
  world: World,
  name: string,
  act: (link: Link, world: World) => Promise<void>,
  host: Host = anyHost(world),
): void {
  const { scene } = world
  void (async () => {
    let link: Link
    try {
      link = await Link.open(scene, host)
    } catch {
      return // The host is down, or does not take any more.
    }
    try {
      await act(link, world)
      scene.mark(`hostile: ${name}`)
    } catch (error) {
      if (!(error instanceof LinkClosed)) scene.fail(`hostile ${name}: ${String(error)}`)
      else scene.mark('hostile: cut off')
    } finally {
      link.close()
    }
  })()
}

class LinkClosed extends Error {}

/** One connection of the hostile machine. Answers come in the order of the requests. */
class Link {
  isClosed = false
  readonly #scene: Scene
  readonly #connection: Connection
  readonly #waiting: ((frame: Uint8Array | null) => void)[] = []

  private constructor(scene: Scene, connection: Connection) {
    this.#scene = scene
    this.#connection = connection
    connection.onMessage = (frame) => {
      scene.mark('hostile: answered')
      this.#waiting.shift()?.(frame)
    }
    connection.onClose = () => {
      this.isClosed = true
      for (const give of this.#waiting.splice(0)) give(null)
    }
  }

  static async open(scene: Scene, host: Host): Promise<Link> {
    const { network } = scene.cluster.simulation.env('hostile')
    return new Link(scene, await network.connect(`tcp://${host.name}:${PORT}`, CONNECT))
  }

  send(frame: readonly Uint8Array[] | Uint8Array): void {
    this.#connection.send(frame instanceof Uint8Array ? [frame] : frame)
  }

  /** @throws {LinkClosed} Also when no answer comes in time. */
  async call<A extends ApiName>(api: A, version: number, body: RequestInputOf<A>): Promise<ResponseOf<A>> {
    const answer = new Promise<Uint8Array | null>((resolve) => this.#waiting.push(resolve))
    this.send(encodeRequest(api, version, 1, 'hostile', body))
    const frame = await Promise.race([answer, this.#scene.sleep(ANSWER_MS).then(() => null)])
    if (frame === null) throw new LinkClosed(api)
    return decodeResponse(api, version, frame).body
  }

  pause(): void {
    this.#connection.pause()
  }

  resume(): void {
    this.#connection.resume()
  }

  /** Waits for what the broker makes of it. */
  async over(): Promise<void> {
    await this.#scene.until(() => this.isClosed, ANSWER_MS)
    if (this.isClosed) throw new LinkClosed('closed by the broker')
  }

  close(): void {
    this.#connection.close('hostile')
  }
}

/** Reads what a real producer has written, and sends the same batches to the same place: its retries, as far as anybody can tell. */
async function replay(link: Link, { scene, places }: World, random: Prng): Promise<void> {
  const place = anyOf(random, places)
  const fetchOffset = random.below(200)
  const fetched = await link.call('Fetch', FETCH, fetchOf(place, { fetchOffset }))
  const pieces = fetched.responses[0]?.partitions[0]?.records ?? []
  const bytes = Buffer.concat(Array.isArray(pieces) ? pieces : [pieces])
  for (let at = 0; at + 61 <= bytes.length && at + batchSizeAt(bytes, at) <= bytes.length;) {
    const batch = Uint8Array.from(bytes.subarray(at, at + batchSizeAt(bytes, at)))
    at += batch.length
    if (producerIdAt(batch, 0) < 0 || random.chance(0.7)) continue
    for (let count = 1 + random.below(3); count > 0; count--) {
      const answer = await link.call('Produce', PRODUCE, produceOf(place.topic, place.partition, batch))
      const { errorCode } = answer.responses[0]!.partitionResponses[0]!
      scene.mark(
        errorCode === 0 ? 'hostile: a copy is known' : `hostile: a copy is refused with ${errorCode}`,
      )
      if (errorCode !== 0 && !REFUSALS_OF_COPIES.has(errorCode))
        scene.fail(`P1: a copied batch of ${place.topic}-${place.partition} got error ${errorCode}`)
    }
  }
}

/** Calls itself a replica, one that has everything, or lives in another epoch (X4). */
async function pose(link: Link, scene: Scene, random: Prng): Promise<void> {
  const place = anyOf(random, scene.places)
  const replicaId = 1 + random.below(4)
  const fetchOffset = anyOf(random, [0, random.below(500), 1_000_000])
  const currentLeaderEpoch = anyOf(random, [-1, 0, 1, 1000, 2 ** 31 - 1])
  switch (random.below(4)) {
    case 0: {
      const answer = await link.call('Fetch', FETCH, {
        ...fetchOf(place, { fetchOffset, currentLeaderEpoch }),
        replicaId,
      })
      const { highWatermark = -1, records } = answer.responses[0]?.partitions[0] ?? {}
      const isRead = records !== undefined && records !== null && records.length > 0
      if (isRead && highWatermark >= 0 && fetchOffset >= highWatermark)
        scene.fail(
          `X4: who calls itself replica ${replicaId} reads at ${fetchOffset}, at or above ${highWatermark}`,
        )
      break
    }
    case 1:
      await link.call('ListOffsets', 4, {
        replicaId,
        isolationLevel: 0,
        topics: [
          {
            name: place.topic,
            partitions: [{ partitionIndex: place.partition, currentLeaderEpoch, timestamp: -1 }],
          },
        ],
      })
      break
    case 2:
      await link.call('OffsetForLeaderEpoch', 4, {
        replicaId,
        topics: [
          {
            topic: place.topic,
            partitions: [{ partition: place.partition, currentLeaderEpoch, leaderEpoch: random.below(20) }],
          },
        ],
      })
      break
    default:
      // What only nodes of the cluster may ask for.
      link.send(
        encodeRequest('BrokerHeartbeat', 0, 1, 'hostile', {
          ...{ brokerId: replicaId, brokerEpoch: random.below(1000), currentMetadataOffset: 1_000_000 },
          ...{ wantFence: true, wantShutDown: true },
        }),
      )
      await link.over()
  }
}

/** Requests as a client might send them; what they could change is the hostile topic. */
function soundRequests(scene: Scene, random: Prng): readonly (readonly Uint8Array[])[] {
  const place = anyOf(random, scene.places)
  return [
    encodeRequest('ApiVersions', 3, 1, 'hostile', { clientSoftwareName: 'h', clientSoftwareVersion: '1' }),
    encodeRequest('Metadata', 9, 2, 'hostile', { topics: null, allowAutoTopicCreation: false }),
    encodeRequest('Fetch', FETCH, 3, 'hostile', fetchOf(place, { fetchOffset: 0 })),
    encodeRequest('Produce', PRODUCE, 4, 'hostile', produceOf(OWN_TOPIC, 0, noise(random, 100))),
    encodeRequest('FindCoordinator', 3, 5, 'hostile', { key: 'hostile', keyType: 0 }),
    encodeRequest('CreateTopics', 5, 6, 'hostile', {
      topics: [{ name: OWN_TOPIC, numPartitions: 1, replicationFactor: -1, assignments: [], configs: [] }],
      ...{ timeoutMs: 500, validateOnly: false },
    }),
    encodeRequest('InitProducerId', 3, 7, 'hostile', { transactionalId: null, transactionTimeoutMs: 1000 }),
  ]
}

/** Cut short, longer, or with some bits the wrong way round; never another API, whose request might be a sound one. */
function mutate(random: Prng, pieces: readonly Uint8Array[]): Uint8Array {
  const frame = Uint8Array.from(Buffer.concat(pieces))
  switch (random.below(3)) {
    case 0:
      return frame.slice(0, 1 + random.below(frame.length))
    case 1:
      return Uint8Array.from(Buffer.concat([frame, noise(random, 1 + random.below(50))]))
    default:
      for (let count = 1 + random.below(4); count > 0; count--)
        frame[2 + random.below(frame.length - 2)]! ^= 1 << random.below(8)
      return frame
  }
}

function noise(random: Prng, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256))
}

function fetchOf(
  { topic, partition }: { readonly topic: string; readonly partition: number },
  wanted: { readonly fetchOffset: number; readonly currentLeaderEpoch?: number },
): RequestInputOf<'Fetch'> {
  return {
    ...{ maxWaitMs: 0, minBytes: 1, maxBytes: 20_000, isolationLevel: 0, sessionId: 0, sessionEpoch: -1 },
    topics: [{ topic, partitions: [{ partition, partitionMaxBytes: 20_000, ...wanted }] }],
  }
}

function produceOf(topic: string, partition: number, batch: Uint8Array): RequestInputOf<'Produce'> {
  return {
    ...{ transactionalId: null, acks: -1, timeoutMs: 1000 },
    topicData: [{ name: topic, partitionData: [{ index: partition, records: [batch] }] }],
  }
}
