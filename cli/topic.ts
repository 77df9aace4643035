/** `millrace topic …`: the command tree of the family, and creation, listing, alteration and deletion. */
import { Command, Option } from 'commander'
import type { Client, CreatedTopic, TopicListing } from '../src/index.ts'
import { parsePartitionCount, parseReplicationFactor, parseSetting } from './arguments.ts'
import { canAsk, confirm } from './confirm.ts'
import { addConnectOptions, findTopicMissing, withClient, withTopic } from './connect.ts'
import type { ConnectOptions } from './connect.ts'
import type { Context } from './context.ts'
import { CommandError, codeOf, describeError, printError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { counted } from './human.ts'
import { addOutputOption, outputFormat, printRows } from './output.ts'
import type { Column, OutputFormat } from './output.ts'
import { describeCommand } from './topic-describe.ts'
import { electCommand } from './topic-elect.ts'
import { reassignCommand } from './topic-reassign.ts'

interface OutputOptions extends ConnectOptions {
  readonly output?: OutputFormat
}

interface CreateOptions extends OutputOptions {
  readonly partitions?: number
  readonly replicationFactor?: number
  readonly config?: ReadonlyMap<string, string>
  readonly ifNotExists?: boolean
}

interface AlterOptions extends ConnectOptions {
  readonly partitions?: number
  readonly config?: ReadonlyMap<string, string>
  readonly reset?: readonly string[]
}

interface DeleteOptions extends ConnectOptions {
  readonly yes?: boolean
  readonly ifExists?: boolean
}

export function topicCommand(context: Context): Command {
  return new Command('topic')
    .description('Create, list, describe, alter, move and delete topics')
    .addCommand(createCommand(context))
    .addCommand(listCommand(context))
    .addCommand(describeCommand(context))
    .addCommand(alterCommand(context))
    .addCommand(reassignCommand(context))
    .addCommand(electCommand(context))
    .addCommand(deleteCommand(context))
}

function createCommand(context: Context): Command {
  const command = new Command('create')
    .summary('create topics')
    .description('Create topics. They can be written to when the command returns.')
    .argument('<names...>', '1 to 249 letters, digits, dots, underscores and dashes each')
    .addOption(
      new Option('-p, --partitions <count>', "how many (default: the cluster's)").argParser(
        parsePartitionCount,
      ),
    )
    .addOption(
      new Option('-r, --replication-factor <count>', "copies of each (default: the cluster's)").argParser(
        parseReplicationFactor,
      ),
    )
    .addOption(
      new Option(
        '-c, --config <key=value>',
        'a setting, may be repeated; sizes as 10GiB and times as 7d are understood',
      ).argParser(parseSetting),
    )
    .option('--if-not-exists', 'a topic that exists already is fine, whatever its settings')
  addOutputOption(command)
  return addConnectOptions(command).action((names: string[], options: CreateOptions) =>
    withClient(context, options, (client) => createTopics(context, client, names, options)),
  )
}

interface CreatedRow extends CreatedTopic {
  readonly isNew: boolean
}

const CREATED_COLUMNS: readonly Column<CreatedRow>[] = [
  { name: 'name', title: 'TOPIC', value: ({ name }) => name },
  { name: 'partitions', title: 'PARTITIONS', value: ({ partitions }) => partitions },
  { name: 'replicationFactor', title: 'REPLICAS', value: ({ replicationFactor }) => replicationFactor },
  { name: 'topicId', title: 'ID', value: ({ topicId }) => topicId },
  { name: 'isNew', title: 'NEW', value: ({ isNew }) => isNew },
]

async function createTopics(
  context: Context,
  client: Client,
  names: readonly string[],
  options: CreateOptions,
): Promise<void> {
  const { partitions, replicationFactor, config, ifNotExists = false } = options
  const configs = Object.fromEntries(config ?? [])
  const rows: CreatedRow[] = []
  const failures: Error[] = []
  // One request each: those that can be created are, and each that cannot is told.
  for (const name of new Set(names)) {
    try {
      const [created] = await client.admin().createTopics([{ name, partitions, replicationFactor, configs }])
      rows.push({ ...created!, isNew: true })
    } catch (error) {
      if (ifNotExists && codeOf(error) === 'TOPIC_ALREADY_EXISTS')
        rows.push(await describeExisting(client, name))
      else failures.push(error as Error)
    }
  }
  const format = outputFormat(options.output, context.out)
  if (format === 'table') for (const row of rows) await context.out.line(createdSentence(context, row))
  else await printRows(context.out, format, CREATED_COLUMNS, rows)
  const last = failures.pop()
  for (const failure of failures) await printError(context.err, describeError(failure))
  if (last !== undefined) throw last
}

async function describeExisting(client: Client, name: string): Promise<CreatedRow> {
  const [found] = await client.admin().describeTopics([name])
  const { topicId, partitions } = found!
  const replicationFactor = partitions[0]?.replicas.length ?? 0
  return { name, topicId, partitions: partitions.length, replicationFactor, isNew: false }
}

function createdSentence(
  { out }: Context,
  { name, partitions, replicationFactor, isNew }: CreatedRow,
): string {
  const sizes = [
    ...(partitions === null ? [] : [counted(partitions, 'partition')]),
    ...(replicationFactor === null ? [] : [counted(replicationFactor, 'replica')]),
  ].join(', ')
  const said = isNew
    ? `Created topic ${out.style('bold', name)}`
    : `Topic ${out.style('bold', name)} exists already`
  return sizes === '' ? said : `${said} (${sizes})`
}

function listCommand(context: Context): Command {
  const command = new Command('list')
    .summary('list topics')
    .description('List the topics of the cluster by name.')
    .option('--internal', "the broker's own topics, too")
  addOutputOption(command)
  return addConnectOptions(command).action((options: OutputOptions & { readonly internal?: boolean }) =>
    withClient(context, options, async (client) => {
      const topics = await client.admin().listTopics({ includeInternal: options.internal ?? false })
      const format = outputFormat(options.output, context.out)
      const whenEmpty = 'There are no topics; create one with `millrace topic create NAME`'
      await printRows(context.out, format, LISTED_COLUMNS, topics, whenEmpty)
    }),
  )
}

const LISTED_COLUMNS: readonly Column<TopicListing>[] = [
  {
    name: 'name',
    title: 'TOPIC',
    value: ({ name }) => name,
    style: ({ isInternal }) => (isInternal ? 'dim' : 'bold'),
  },
  { name: 'partitions', title: 'PARTITIONS', value: ({ partitions }) => partitions },
  { name: 'replicationFactor', title: 'REPLICAS', value: ({ replicationFactor }) => replicationFactor },
  { name: 'topicId', title: 'ID', value: ({ topicId }) => topicId },
  { name: 'isInternal', title: 'INTERNAL', value: ({ isInternal }) => isInternal, isDetail: true },
]

function alterCommand(context: Context): Command {
  const command = new Command('alter')
    .summary('add partitions to a topic, change its settings')
    .description(
      'Add partitions to a topic or change its settings. Partitions cannot be taken away, and keys may go to other ' +
        'partitions once there are more.',
    )
    .argument('<topic>', 'the topic')
    .addOption(
      new Option('-p, --partitions <count>', 'how many there are to be in all').argParser(
        parsePartitionCount,
      ),
    )
    .addOption(new Option('-c, --config <key=value>', 'set it, may be repeated').argParser(parseSetting))
    .addOption(
      new Option('--reset <key>', 'back to the default, may be repeated').argParser(
        (key: string, previous: readonly string[] | undefined) => [...(previous ?? []), key],
      ),
    )
  return addConnectOptions(command).action((topic: string, options: AlterOptions) =>
    withClient(context, options, (client) =>
      withTopic(client, topic, () => alterTopic(context, client, topic, options)),
    ),
  )
}

async function alterTopic(
  context: Context,
  client: Client,
  topic: string,
  options: AlterOptions,
): Promise<void> {
  const { partitions, config = new Map<string, string>(), reset = [] } = options
  const set = Object.fromEntries<string | null>([
    ...config,
    ...reset.map((key): [string, null] => [key, null]),
  ])
  const changes = Object.entries(set)
  if (partitions === undefined && changes.length === 0) {
    throw new CommandError(
      EXIT.usage,
      `Cannot alter ${topic}: nothing to change was given`,
      'Give --partitions, --config key=value or --reset key',
    )
  }
  const admin = client.admin()
  await admin.describeTopics([topic]) // A missing topic is told before anything else.
  if (changes.length > 0) await admin.alterConfigs([{ type: 'topic', name: topic, set }])
  for (const [key, value] of changes) {
    await context.out.line(
      value === null ? `${topic}: ${key} is back to its default` : `${topic}: ${key} is now ${value}`,
    )
  }
  if (partitions === undefined) return
  await admin.createPartitions([{ name: topic, count: partitions }])
  await context.out.line(`${topic}: has ${counted(partitions, 'partition')} now`)
}

function deleteCommand(context: Context): Command {
  const command = new Command('delete')
    .summary('delete topics and all their records')
    .description('Delete topics and all their records, for good. Asks first on a terminal.')
    .argument('<topics...>', 'the topics')
    .option('-y, --yes', 'do not ask')
    .option('--if-exists', 'a topic that does not exist is fine')
  return addConnectOptions(command).action((topics: string[], options: DeleteOptions) =>
    withClient(context, options, (client) => deleteTopics(context, client, topics, options)),
  )
}

async function deleteTopics(
  context: Context,
  client: Client,
  topics: readonly string[],
  options: DeleteOptions,
): Promise<void> {
  const admin = client.admin()
  const found: string[] = []
  for (const topic of new Set(topics)) {
    try {
      await admin.describeTopics([topic])
      found.push(topic)
    } catch (error) {
      if (codeOf(error) !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error
      if (options.ifExists !== true) throw (await findTopicMissing(client, topic)) ?? error
    }
  }
  if (found.length === 0) return
  if (options.yes !== true && !(await confirmDeletion(context, client, found))) {
    throw new CommandError(EXIT.failed, 'Nothing was deleted', 'Answer y, or give --yes')
  }
  await admin.deleteTopics(found)
  for (const topic of found) await context.out.line(`Deleted topic ${topic}`)
}

/** Asks a person; without one there is nobody to ask, as for other tools that delete. */
async function confirmDeletion(
  context: Context,
  client: Client,
  topics: readonly string[],
): Promise<boolean> {
  const { err } = context
  if (!canAsk(context)) return true
  for (const topic of topics)
    await err.line(`  ${err.style('bold', topic)}  ${await describeSize(client, topic)}`)
  return confirm(context, `Delete ${counted(topics.length, 'topic')} and all records?`)
}

async function describeSize(client: Client, topic: string): Promise<string> {
  const admin = client.admin()
  const [description] = await admin.describeTopics([topic])
  const { partitions } = description!
  const asked = partitions.map(({ partition }) => ({ topic, partition }))
  try {
    const starts = await admin.listOffsets(asked.map((one) => ({ ...one, at: 'earliest' as const })))
    const ends = await admin.listOffsets(asked.map((one) => ({ ...one, at: 'latest' as const })))
    const count = ends.reduce(
      (sum, { offset }, index) => sum + (offset ?? 0) - (starts[index]!.offset ?? 0),
      0,
    )
    return `${counted(partitions.length, 'partition')}, ${counted(count, 'record')}`
  } catch {
    return counted(partitions.length, 'partition') // Without a leader nobody knows more.
  }
}
