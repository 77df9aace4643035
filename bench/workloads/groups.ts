/**
 * Groups of consumers on three brokers: how long members that join at once wait for their partitions, how long those of a
 * member that died lie idle, how long a commit takes, and what many small groups cost that commit every second.
 */
import { join } from 'node:path'
import { Client } from '../../src/index.ts'
import { CLUSTER_SIZE, ClusterProcess } from '../cluster-process.ts'
import { Histogram } from '../histogram.ts'
import type { CommitResult, CommitWork } from '../load/group-load.ts'
import { startLoad } from '../load/start-load.ts'
import { createTopic } from '../load/topics.ts'
import type { TopicSpec } from '../load/topics.ts'
import { NO_CONDITIONS, type Case, type Metric, type Workload, type WorkloadContext } from '../workload.ts'

const MEMBERS = 10
const PARTITIONS = 30
/** Shorter than the default, so that a repetition does not last most of a minute. */
const SESSION_MS = 6_000
const HEARTBEAT_MS = 2_000
/** Many small groups, which load the cluster, and a few, which show how long a commit takes that waits for no other. */
const MANY = { groups: 1000, eachPerSecond: 1 }
const FEW = { groups: 10, eachPerSecond: 10 }
const TOY_GROUPS = 20
const SECONDS = 10
const TOY_SECONDS = 1
/** The same load before what is measured: what is wanted is the cost of groups that stay, not of code that is new to the machine. */
const WARM_UP_SECONDS = 20
/** Topics of the small groups, of one partition each, so that every broker leads some. */
const SMALL_TOPICS = ['small-a', 'small-b', 'small-c']

const conditions = {
  ...NO_CONDITIONS,
  durability: 'disk' as const,
  replicas: CLUSTER_SIZE,
  transport: 'WebSocket' as const,
}

let groupCount = 0

export const groups: Workload = {
  name: 'groups',
  summary: 'three brokers: members that join, one that dies, and many small groups that commit',
  open: async (context) => {
    const cluster = await ClusterProcess.start(context, {
      directory: join(context.directory, 'cluster'),
      settings: {
        'group.consumer.session.timeout.ms': String(SESSION_MS),
        'group.consumer.heartbeat.interval.ms': String(HEARTBEAT_MS),
      },
    })
    // Commits are measured with the settings that users get.
    const usual = await ClusterProcess.start(context, { directory: join(context.directory, 'usual') })
    await createTopics(context, cluster.url, [{ topic: 'shared', partitions: PARTITIONS }])
    await createTopics(
      context,
      usual.url,
      SMALL_TOPICS.map((topic) => ({ topic, partitions: 1 })),
    )
    return [
      joinCase(context, cluster),
      deathCase(context, cluster),
      commitCase(context, usual, FEW),
      commitCase(context, usual, MANY),
    ]
  },
}

async function createTopics(
  context: WorkloadContext,
  bootstrap: string,
  topics: readonly Pick<TopicSpec, 'topic' | 'partitions'>[],
): Promise<void> {
  const client = new Client({ bootstrap })
  context.onClose(() => client.close())
  for (const topic of topics)
    await createTopic(client, { ...topic, durability: 'disk', replicas: CLUSTER_SIZE })
}

function joinCase(context: WorkloadContext, cluster: ClusterProcess): Case {
  return {
    name: `${MEMBERS} members join, ${PARTITIONS} partitions`,
    conditions: { ...conditions, partitions: PARTITIONS },
    run: async () => {
      const load = await startLoad(context, 'group-load', cluster.url)
      await load.call('join', { group: `join-${groupCount++}`, topic: 'shared', members: MEMBERS })
      const sharedMs = (await load.call('share', PARTITIONS)) as number
      await load.call('leave')
      await load.stop()
      return {
        metrics: [ms('all assigned', sharedMs)],
        work: `${PARTITIONS} partitions over ${MEMBERS} members`,
      }
    },
  }
}

function deathCase(context: WorkloadContext, cluster: ClusterProcess): Case {
  return {
    name: `a member killed, session time-out ${SESSION_MS / 1000} s`,
    conditions: { ...conditions, partitions: PARTITIONS },
    run: async () => {
      const group = `death-${groupCount++}`
      const [survivor, victim] = await Promise.all([
        startLoad(context, 'group-load', cluster.url),
        startLoad(context, 'group-load', cluster.url),
      ])
      await survivor.call('join', { group, topic: 'shared', members: 1 })
      await survivor.call('share', PARTITIONS)
      await victim.call('join', { group, topic: 'shared', members: 1 })
      await victim.call('share', PARTITIONS / 2)
      await survivor.call('share', PARTITIONS / 2)
      await victim.kill()
      const replacedMs = (await survivor.call('share', PARTITIONS)) as number
      await survivor.call('leave')
      await survivor.stop()
      return {
        metrics: [ms('replaced', replacedMs)],
        work: `${PARTITIONS} partitions with the survivor of 2 members`,
      }
    },
  }
}

function commitCase(
  context: WorkloadContext,
  cluster: ClusterProcess,
  { groups: groupsAtFullSize, eachPerSecond }: Pick<CommitWork, 'groups' | 'eachPerSecond'>,
): Case {
  const work: CommitWork = {
    topics: SMALL_TOPICS,
    groups: context.isToy ? Math.min(groupsAtFullSize, TOY_GROUPS) : groupsAtFullSize,
    eachPerSecond,
    seconds: context.isToy ? TOY_SECONDS : SECONDS,
    name: `small-${groupCount++}`,
  }
  const often = eachPerSecond === 1 ? 'a commit a second' : `${eachPerSecond} commits a second`
  return {
    name: `${work.groups} groups of one member, ${often} each`,
    conditions: { ...conditions, partitions: 1, ratePerSecond: work.groups * eachPerSecond },
    run: async () => {
      const load = await startLoad(context, 'group-load', cluster.url)
      await load.call('openGroups', work)
      if (!context.isToy) await load.call('commit', { ...work, seconds: WARM_UP_SECONDS })
      const before = cluster.brokers.map((broker) => broker.findCpuMs())
      const startMs = performance.now()
      const { latency, commits } = (await load.call('commit', work)) as CommitResult
      const elapsedMs = performance.now() - startMs
      const cores = cluster.brokers.map((broker, index) => {
        const [a, b] = [before[index] ?? null, broker.findCpuMs()]
        return a === null || b === null ? null : (b - a) / elapsedMs
      })
      await load.call('leave')
      await load.stop()
      const known = cores.filter((value) => value !== null)
      const busiest: Metric[] = known.length < cores.length ? [] : [{ name: 'busiest broker', unit: 'cores', value: Math.max(...known), better: 'lower' }] // prettier-ignore
      return {
        metrics: busiest,
        latency: Histogram.fromData(latency),
        work: `${commits} commits acknowledged`,
      }
    },
  }
}

const ms = (name: string, value: number): Metric => ({ name, unit: 'ms', value, better: 'lower' })
