/**
 * Topics of a measurement: made before it and gone from the disk after it, so that each begins on new files.
 *
 * An acknowledgement of all in-sync replicas says little once a replica has fallen out of sync, so measurements of
 * replicated topics check that none has: otherwise replication that gave up would look fast.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { ClientError, type Client } from '../../src/index.ts'
import type { Durability } from '../workload.ts'

export interface TopicSpec {
  readonly topic: string
  readonly partitions: number
  readonly durability: Durability
  /** Default 1. With more, all of them are in sync before a measurement begins, and after it. */
  readonly replicas?: number
  /** Instead of those that Millrace knows durability by. */
  readonly configs?: Readonly<Record<string, string | number>>
}

/** Replicas that are not in sync after this long, in ms, never will be. */
const IN_SYNC_MS_MAX = 60_000
const POLL_MS = 20

export async function createTopic(client: Client, spec: TopicSpec): Promise<void> {
  const { topic, partitions, durability, replicas = 1 } = spec
  const configs = spec.configs ?? { durability, 'file.delete.delay.ms': 0, 'retention.ms': -1 }
  await client.admin().createTopics([{ name: topic, partitions, replicationFactor: replicas, configs }])
  if (replicas > 1) await awaitInSync(client, spec)
}

export async function deleteTopic(client: Client, topic: string): Promise<void> {
  await client.admin().deleteTopics([topic])
}

/** Resolves when every replica of every partition is in sync. @throws {Error} If that takes too long. */
export async function awaitInSync(client: Client, spec: TopicSpec): Promise<void> {
  const endMs = performance.now() + IN_SYNC_MS_MAX
  for (;;) {
    const missing = await countOutOfSync(client, spec).catch((error: unknown) => {
      // Not every broker of every system knows of a topic once it is made.
      if (error instanceof ClientError && performance.now() < endMs) return spec.partitions
      throw error
    })
    if (missing === 0) return
    if (performance.now() > endMs) {
      throw new Error(
        `Waited for replicas of '${spec.topic}': ${missing} partitions lack some in sync, wanted 0`,
      )
    }
    await sleep(POLL_MS)
  }
}

/** @throws {Error} If a replica is not in sync: what was acknowledged stood on fewer than the measurement says. */
export async function requireInSync(client: Client, spec: TopicSpec): Promise<void> {
  if ((spec.replicas ?? 1) === 1) return
  const missing = await countOutOfSync(client, spec)
  if (missing > 0) {
    throw new Error(`Measured '${spec.topic}': ${missing} partitions lost a replica meanwhile, wanted 0`)
  }
}

/** Broker that leads partition 0. @throws {Error} If there is none. */
export async function leaderOf(client: Client, topic: string): Promise<number> {
  const [description] = await client.admin().describeTopics([topic])
  const leader = description?.partitions[0]?.leader ?? null
  if (leader === null) throw new Error(`Looked for the leader of '${topic}': there is none`)
  return leader
}

async function countOutOfSync(
  client: Client,
  { topic, partitions, replicas = 1 }: TopicSpec,
): Promise<number> {
  const [description] = await client.admin().describeTopics([topic])
  const inSync = description?.partitions.filter(({ isr }) => isr.length === replicas).length ?? 0
  return partitions - inSync
}
