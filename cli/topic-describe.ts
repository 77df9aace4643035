/** `millrace topic describe`: partitions with their leaders, replicas and offsets, and the settings that are not default. */
import { Command } from 'commander'
import type { Client, ConfigEntry, ReplicaDescription, TopicDescription } from '../src/index.ts'
import { addConnectOptions, withClient, withTopic } from './connect.ts'
import type { ConnectOptions } from './connect.ts'
import type { Context } from './context.ts'
import { counted } from './human.ts'
import { addOutputOption, outputFormat, printDescriptions, printRows, toObject } from './output.ts'
import type { Column, OutputFormat } from './output.ts'

/** Time for a broker to tell how far its replicas are, in ms: one that hangs must not hold back what the others tell. */
const LAG_TIMEOUT_MS = 2000

interface DescribeOptions extends ConnectOptions {
  readonly output?: OutputFormat
  readonly configs?: boolean
}

interface PartitionRow {
  readonly topic: string
  readonly partition: number
  readonly leader: number | null
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly eligibleLeaderReplicas: readonly number[]
  readonly offlineReplicas: readonly number[]
  /** By replica. */
  readonly replicaLags: readonly Pick<ReplicaDescription, 'brokerId' | 'lag'>[]
  readonly startOffset: number | null
  readonly endOffset: number | null
}

interface Described {
  readonly topic: TopicDescription
  readonly partitions: readonly PartitionRow[]
  readonly configs: readonly ConfigEntry[]
}

const PARTITION_COLUMNS: readonly Column<PartitionRow>[] = [
  { name: 'partition', title: 'PARTITION', value: ({ partition }) => partition, unit: 'id' },
  {
    name: 'leader',
    title: 'LEADER',
    value: ({ leader }) => leader,
    unit: 'id',
    style: ({ leader }) => (leader === null ? 'red' : null),
  },
  { name: 'leaderEpoch', title: 'EPOCH', value: ({ leaderEpoch }) => leaderEpoch, unit: 'id' },
  { name: 'replicas', title: 'REPLICAS', value: ({ replicas }) => replicas },
  {
    name: 'isr',
    title: 'IN SYNC',
    value: ({ isr }) => isr,
    style: ({ isr, replicas }) => (isr.length < replicas.length ? 'yellow' : null),
  },
  {
    name: 'eligibleLeaderReplicas',
    title: 'ELIGIBLE',
    value: ({ eligibleLeaderReplicas }) => eligibleLeaderReplicas,
    style: ({ eligibleLeaderReplicas }) => (eligibleLeaderReplicas.length > 0 ? 'yellow' : null),
  },
  {
    name: 'offlineReplicas',
    title: 'OFFLINE',
    value: ({ offlineReplicas }) => offlineReplicas,
    style: ({ offlineReplicas }) => (offlineReplicas.length > 0 ? 'red' : null),
    isDetail: true,
  },
  {
    name: 'lag',
    title: 'LAG',
    value: ({ replicaLags }) => lagOf(replicaLags),
    style: ({ replicaLags }) => (lagOf(replicaLags) === 0 ? null : 'yellow'),
  },
  { name: 'startOffset', title: 'START', value: ({ startOffset }) => startOffset },
  { name: 'endOffset', title: 'END', value: ({ endOffset }) => endOffset },
]

/** Committed records that the replica furthest behind lacks; null when some replica does not tell. */
function lagOf(lags: PartitionRow['replicaLags']): number | null {
  return lags.reduce<number | null>(
    (worst, { lag }) => (worst === null || lag === null ? null : Math.max(worst, lag)),
    0,
  )
}

/** With the topic, where the rows of several stand together. */
const COLUMNS: readonly Column<PartitionRow>[] = [
  { name: 'topic', title: 'TOPIC', value: ({ topic }) => topic },
  ...PARTITION_COLUMNS,
]

export function describeCommand(context: Context): Command {
  const command = new Command('describe')
    .summary('show partitions, replicas, offsets and settings of topics')
    .description(
      'Show the partitions of topics with their leaders, replicas and offsets ([START, END), END is the next to be ' +
        'written), and the settings that somebody changed. ELIGIBLE are replicas outside the in-sync set that surely hold ' +
        'everything committed; LAG is how many committed records the replica furthest behind lacks, - if one does not tell.',
    )
    .argument('<topics...>', 'the topics')
    .option('--configs', 'every setting, with where its value comes from')
  addOutputOption(command)
  return addConnectOptions(command).action((topics: string[], options: DescribeOptions) =>
    withClient(context, options, async (client) => {
      const described: Described[] = []
      for (const topic of new Set(topics)) {
        described.push(await withTopic(client, topic, () => describe(client, topic)))
      }
      await printDescriptions(context.out, outputFormat(options.output, context.out), described, {
        toJson,
        columns: COLUMNS,
        rows: ({ partitions }) => partitions,
        showTable: (one) => showTable(context, one, options.configs ?? false),
      })
    }),
  )
}

async function describe(client: Client, name: string): Promise<Described> {
  const admin = client.admin()
  const [topic] = await admin.describeTopics([name])
  const [{ configs } = { configs: [] }] = await admin.describeConfigs([{ type: 'topic', name }])
  const led = topic!.partitions.filter(({ leader }) => leader !== null)
  const asked = led.map(({ partition }) => ({ topic: name, partition }))
  const starts = await offsets(client, asked, 'earliest')
  const ends = await offsets(client, asked, 'latest')
  const lags = await admin.describeReplicas([topic!], { timeoutMs: LAG_TIMEOUT_MS })
  const partitions = topic!.partitions.map((one) => ({
    ...one,
    topic: name,
    replicaLags: lags
      .filter(({ partition }) => partition === one.partition)
      .map(({ brokerId, lag }) => ({ brokerId, lag })),
    startOffset: starts.get(one.partition) ?? null,
    endOffset: ends.get(one.partition) ?? null,
  }))
  return { topic: topic!, partitions, configs }
}

async function offsets(
  client: Client,
  asked: readonly { readonly topic: string; readonly partition: number }[],
  at: 'earliest' | 'latest',
): Promise<ReadonlyMap<number, number | null>> {
  if (asked.length === 0) return new Map()
  const found = await client.admin().listOffsets(asked.map((one) => ({ ...one, at })))
  return new Map(found.map(({ partition, offset }) => [partition, offset]))
}

async function showTable(
  { out }: Context,
  { topic, partitions, configs }: Described,
  all: boolean,
): Promise<void> {
  const count = partitions.reduce(
    (sum, { startOffset, endOffset }) => sum + (endOffset ?? 0) - (startOffset ?? 0),
    0,
  )
  const durability = configs.find(({ name }) => name === 'durability')?.value
  const facts = [
    counted(partitions.length, 'partition'),
    counted(partitions[0]?.replicas.length ?? 0, 'replica'),
    counted(count, 'record'),
    ...(durability === null || durability === undefined ? [] : [`durability ${durability}`]),
    ...(topic.isInternal ? ['internal'] : []),
  ]
  await out.line(`${out.style('bold', topic.name)}  ${out.style('dim', facts.join(', '))}`)
  if (topic.topicId !== null) await out.line(out.style('dim', `id ${topic.topicId}`))
  await out.line()
  await printRows(out, 'table', PARTITION_COLUMNS, partitions)
  const shown = all ? configs : configs.filter(({ source }) => source === 'topic')
  if (shown.length === 0) return
  await out.line()
  await printRows(out, 'table', CONFIG_COLUMNS, shown)
}

const CONFIG_COLUMNS: readonly Column<ConfigEntry>[] = [
  { name: 'name', title: 'SETTING', value: ({ name }) => name },
  { name: 'value', title: 'VALUE', value: ({ value }) => value },
  {
    name: 'source',
    title: 'SET BY',
    value: ({ source }) => source,
    style: ({ source }) => (source === 'default' ? 'dim' : null),
  },
]

function toJson({ topic, partitions, configs }: Described): object {
  return {
    name: topic.name,
    topicId: topic.topicId,
    isInternal: topic.isInternal,
    partitions: partitions.map((row) => ({
      ...toObject(PARTITION_COLUMNS, row),
      replicaLags: row.replicaLags,
    })),
    configs: configs.map(({ name, value, source }) => ({ name, value, source })),
  }
}
