/**
 * `millrace topic elect`: gives partitions back to their preferred leaders; or, as the last resort, any leader to those that
 * have none, after saying what that loses.
 */
import { Command, Option } from 'commander'
import type { Client, ElectionResult, TopicDescription, TopicPartition } from '../src/index.ts'
import { parsePartitions } from './arguments.ts'
import type { OutputOptions } from './broker.ts'
import { canAsk, confirm } from './confirm.ts'
import { addConnectOptions, withClient, withTopic } from './connect.ts'
import type { Context } from './context.ts'
import { CommandError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { counted } from './human.ts'
import { addOutputOption, outputFormat, printRows } from './output.ts'
import type { Column } from './output.ts'

interface ElectOptions extends OutputOptions {
  readonly partitions?: readonly number[]
  readonly unclean?: boolean
  readonly yes?: boolean
}

interface ElectedRow extends ElectionResult {
  readonly leader: number | null
}

const COLUMNS: readonly Column<ElectedRow>[] = [
  { name: 'topic', title: 'TOPIC', value: ({ topic }) => topic },
  { name: 'partition', title: 'PARTITION', value: ({ partition }) => partition, unit: 'id' },
  { name: 'leader', title: 'LEADER', value: ({ leader }) => leader, unit: 'id' },
  { name: 'isElected', title: 'CHANGED', value: ({ isElected }) => isElected },
]

export function electCommand(context: Context): Command {
  const command = new Command('elect')
    .summary('give partitions back to their preferred leaders')
    .description(
      'Let the first replica of each partition lead again, where it is in sync. With --unclean, let any live replica lead ' +
        'where nobody can: what it lacks is lost for good.',
    )
    .argument('<topics...>', 'the topics')
    .addOption(
      new Option('-p, --partitions <list>', 'only these, such as 0 or 0,2-4').argParser(parsePartitions),
    )
    .option('--unclean', 'for partitions without a leader: any live replica, which loses what that one lacks')
    .option('-y, --yes', 'with --unclean: do not ask')
  addOutputOption(command)
  return addConnectOptions(command).action((names: string[], options: ElectOptions) =>
    withClient(context, options, (client) => elect(context, client, [...new Set(names)], options)),
  )
}

async function elect(
  context: Context,
  client: Client,
  names: readonly string[],
  options: ElectOptions,
): Promise<void> {
  const topics = await describeAll(client, names)
  const chosen = topics.flatMap(({ name, partitions }) =>
    partitions
      .filter(({ partition }) => options.partitions?.includes(partition) ?? true)
      .map((one) => ({ ...one, topic: name })),
  )
  const missing = options.partitions?.find((index) => chosen.every(({ partition }) => partition !== index))
  if (missing !== undefined || chosen.length === 0) {
    throw new CommandError(
      EXIT.notFound,
      `Cannot elect a leader for partition ${missing ?? 0}: ${names.join(', ')} has no such partition`,
      'See them with `millrace topic describe`',
    )
  }
  const isUnclean = options.unclean === true
  const targets = isUnclean ? chosen.filter(({ leader }) => leader === null) : chosen
  if (isUnclean && targets.length > 0) await warn(context, targets, options)
  const election = isUnclean ? 'unclean' : 'preferred'
  const results =
    targets.length === 0 ? [] : await client.admin().electLeaders(targets.map(place), { election })
  const after = await describeAll(client, names)
  const leaderOf = ({ topic, partition }: TopicPartition): number | null =>
    after.find(({ name }) => name === topic)?.partitions[partition]?.leader ?? null
  const rows = results.map((one) => ({ ...one, leader: leaderOf(one) }))
  const whenEmpty = 'Every partition has a leader: there was nothing to do'
  await printRows(context.out, outputFormat(options.output, context.out), COLUMNS, rows, whenEmpty)
}

function place({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition }
}

async function describeAll(client: Client, names: readonly string[]): Promise<readonly TopicDescription[]> {
  const found: TopicDescription[] = []
  for (const name of names)
    found.push(...(await withTopic(client, name, () => client.admin().describeTopics([name]))))
  return found
}

type Target = TopicDescription['partitions'][number] & { readonly topic: string }

/** Says what may be lost, and how to lose nothing; goes on only if somebody wants that. */
async function warn(context: Context, targets: readonly Target[], { yes }: ElectOptions): Promise<void> {
  const { err } = context
  for (const target of targets) await err.line(describeLoss(target))
  if (yes === true) return
  if (!canAsk(context)) {
    throw new CommandError(
      EXIT.failed,
      'Nothing was elected: an unclean election loses acknowledged records',
      'Give --yes if that is wanted',
    )
  }
  const question = `Elect leaders for ${counted(targets.length, 'partition')}, and lose that?`
  if (!(await confirm(context, question)))
    throw new CommandError(EXIT.failed, 'Nothing was elected', 'Answer y, or give --yes')
}

export function describeLoss(target: Target): string {
  const { topic, partition, replicas, offlineReplicas } = target
  const name = `${topic}-${partition}`
  const live = replicas.filter((id) => !offlineReplicas.includes(id))
  const safe = [...new Set([...target.isr, ...target.eligibleLeaderReplicas])]
  if (live.length === 0)
    return `${name}: none of its replicas (${replicas.join(', ')}) is up: nobody can lead`
  const saved =
    safe.length === 0
      ? 'no replica is known to hold everything'
      : `start broker ${safe.join(' or ')} instead, and nothing is lost`
  return `${name}: broker ${live.join(' or ')} would lead; every acknowledged record that it lacks is lost for good (${saved})`
}
