/**
 * What each broker of a cluster says by itself. A client asks whichever it likes, and one that was cut off goes by what it knew
 * before: it tells of a whole cluster, and of itself as the leader, until it has heard what happened meanwhile.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { nodeEnv } from '../../src/env/node/index.ts'
import type { ResponseOf } from '../../src/protocol/apis.ts'
import { RawClient } from './raw-client.ts'

const METADATA_VERSION = 12
const ASKING = { timeoutMs: 2000, messageBytesMax: 2 ** 24, sendHighWaterBytes: 2 ** 20 }
/** Between two rounds of questions, in ms. */
const LOOK_MS = 20
/** How long a broker may take to answer, in ms: it may stand still. */
const ANSWER_MS_MAX = 2000

type Metadata = ResponseOf<'Metadata'>

/** Resolves when each broker, asked who is there, names so many: of the last one the others hear a moment later. */
export function knowEachOther(bootstrap: readonly string[], timeoutMs = 30_000): Promise<void> {
  return untilAll('each broker knows all', bootstrap, [], timeoutMs, (answers) =>
    answers.flatMap(({ brokers }) =>
      brokers.length === bootstrap.length ? [] : [`one names ${brokers.map(({ nodeId }) => nodeId).join()}`],
    ),
  )
}

/**
 * Resolves when every broker says of every replica of a topic that it is in sync, and of each partition that the same one leads it.
 *
 * @param bootstrap - `host:port` of all brokers.
 * @throws When that is not so within `timeoutMs`.
 */
export function inSync(bootstrap: readonly string[], topic: string, timeoutMs = 30_000): Promise<void> {
  return untilAll('all replicas in sync', bootstrap, [topic], timeoutMs, (answers) => {
    const told = answers.map(partitionsOf)
    const lacking = told.flat().filter(({ isrNodes, replicaNodes }) => isrNodes.length < replicaNodes.length)
    const views = new Set(told.map((partitions) => partitions.map(({ partitionIndex, leaderId, leaderEpoch }) => `${partitionIndex} by ${leaderId} in ${leaderEpoch}`).sort().join(', '))) // prettier-ignore
    return [
      ...(told.some((partitions) => partitions.length === 0) ? [`one does not know ${topic}`] : []),
      ...lacking.map((at) => `${topic}-${at.partitionIndex} has ${at.isrNodes.join()} of ${at.replicaNodes.join()}`),
      ...(views.size > 1 ? [`they see different leaders: ${[...views].join(' | ')}`] : []),
    ] // prettier-ignore
  })
}

function partitionsOf({ topics }: Metadata): Metadata['topics'][number]['partitions'] {
  return topics.flatMap(({ partitions }) => partitions)
}

async function untilAll(
  what: string,
  bootstrap: readonly string[],
  topics: readonly string[],
  timeoutMs: number,
  problemsOf: (answers: readonly Metadata[]) => readonly string[],
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  const clients = new Map<string, RawClient>()
  try {
    for (;;) {
      const problems = await Promise.all(bootstrap.map((address) => ask(clients, address, topics))).then(
        problemsOf,
        (error: unknown) => [(error as Error).message], // Whoever was asked may have died just then.
      )
      if (problems.length === 0) return
      if (performance.now() > deadlineMs)
        throw new Error(`Waiting until ${what}: after ${timeoutMs} ms ${problems.join('; ')}`)
      await pause(LOOK_MS)
    }
  } finally {
    for (const client of clients.values()) client.close()
  }
}

async function ask(
  clients: Map<string, RawClient>,
  address: string,
  topics: readonly string[],
): Promise<Metadata> {
  try {
    let client = clients.get(address)
    if (client === undefined) {
      client = new RawClient(await nodeEnv().network.connect(`tcp://${address}`, ASKING))
      clients.set(address, client)
    }
    const late = pause(ANSWER_MS_MAX, null, { ref: false })
    const request = { topics: topics.map((name) => ({ name })) }
    const answer = await Promise.race([client.call('Metadata', METADATA_VERSION, request), late])
    if (answer === null) throw new Error(`no answer within ${ANSWER_MS_MAX} ms`)
    return answer
  } catch (error) {
    clients.get(address)?.close()
    clients.delete(address)
    throw new Error(`${address}: ${(error as Error).message}`, { cause: error })
  }
}
