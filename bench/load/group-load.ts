/**
 * The load generator for groups: members that join, members that take over from one that died, and many small groups that
 * commit. Each member is a client of its own, but for the small groups, which share one.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type GroupConsumer } from '../../src/index.ts'
import { Histogram, type HistogramData } from '../histogram.ts'
import { pace } from '../pace.ts'

export interface JoinWork {
  readonly group: string
  readonly topic: string
  readonly members: number
}

export interface CommitWork {
  /** One group has one topic, in turn. */
  readonly topics: readonly string[]
  readonly groups: number
  /** Commits of one group in a second. */
  readonly eachPerSecond: number
  readonly seconds: number
  /** Begins the names of the groups. */
  readonly name: string
}

export interface CommitResult {
  readonly latency: HistogramData
  readonly commits: number
}

const POLL_MS = 1
/** What has not settled after this long, in ms, never will. */
const SETTLE_MS_MAX = 60_000
/** Groups that join at a time. */
const JOINING_MAX = 50

/** @param bootstrap - Of the cluster; the scheme chooses the transport. */
export async function groupLoad(bootstrap: string): Promise<{
  join(work: JoinWork): Promise<number>
  share(partitions: number): Promise<number>
  leave(): Promise<void>
  openGroups(work: CommitWork): Promise<void>
  commit(work: CommitWork): Promise<CommitResult>
}> {
  let clients: Client[] = []
  let members: GroupConsumer[] = []
  const owned = (): number => members.reduce((sum, { assignment }) => sum + assignment.length, 0)

  const open = async (): Promise<Client> => {
    const client = new Client({ bootstrap })
    await client.connect()
    clients.push(client)
    return client
  }

  return {
    /** Members join at once. @returns Ms until all have subscribed; `share` tells when they have their partitions. */
    join: async ({ group, topic, members: count }) => {
      const opened = await Promise.all(Array.from({ length: count }, open))
      const startMs = performance.now()
      members = opened.map((client) => client.consumer({ group, topics: [topic] }))
      return performance.now() - startMs
    },
    /** @returns Ms until the members here own so many partitions, as evenly as can be. */
    share: async (partitions) => {
      const startMs = performance.now()
      const [least, most] = [Math.floor(partitions / members.length), Math.ceil(partitions / members.length)]
      const isShared = (): boolean =>
        owned() === partitions &&
        members.every(({ assignment: { length } }) => length >= least && length <= most)
      while (!isShared()) {
        if (performance.now() - startMs > SETTLE_MS_MAX)
          throw new Error(`Waited for a group: its members own ${owned()} partitions, wanted ${partitions}`)
        await sleep(POLL_MS)
      }
      return performance.now() - startMs
    },
    leave: async () => {
      await Promise.all(clients.map((client) => client.close()))
      clients = []
      members = []
    },
    openGroups: async ({ name, topics, groups }) => {
      const client = await open()
      for (let first = 0; first < groups; first += JOINING_MAX) {
        const some = Array.from({ length: Math.min(JOINING_MAX, groups - first) }, (_, index) =>
          client.consumer({
            group: `${name}-${first + index}`,
            topics: [topics[(first + index) % topics.length]!],
            commit: 'manual',
          }),
        )
        await Promise.all(some.map((consumer) => consumer.ready()))
        members.push(...some)
      }
    },
    /** Each group commits so often a second, evenly spread. */
    commit: async ({ groups, eachPerSecond, seconds }) => {
      const latency = new Histogram()
      const commits = groups * eachPerSecond * seconds
      const startMs = performance.now()
      const dueMs = (index: number): number => startMs + (index * 1e3) / (groups * eachPerSecond)
      const committing: Promise<void>[] = []
      await pace(commits, dueMs, (index) => {
        const member = members[index % groups]!
        const [partition] = member.assignment
        if (partition === undefined)
          throw new Error('Committed for a group: its member has lost its partition')
        const committed = member.commit([{ ...partition, offset: Math.floor(index / groups) }])
        committing.push(committed.then(() => latency.recordMs(performance.now() - dueMs(index))))
      })
      await Promise.all(committing)
      return { latency: latency.toData(), commits }
    },
  }
}
