/**
 * `millrace topic reassign`: moves the replicas of a topic to other brokers, by name or spread evenly. The old replicas stay
 * until the new ones are in sync, so an acknowledgement never means less meanwhile.
 */
import { Command, Option } from 'commander'
import type { Client, Reassignment, TopicDescription } from '../src/index.ts'
import { parseBrokerIds, parsePartitions, parseReplicationFactor } from './arguments.ts'
import type { OutputOptions } from './broker.ts'
import { getBroker, viewCluster } from './cluster-view.ts'
import { addConnectOptions, withClient, withTopic } from './connect.ts'
import type { Context } from './context.ts'
import { CommandError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { counted } from './human.ts'
import { addOutputOption, outputFormat, printRows } from './output.ts'
import type { Column } from './output.ts'
import { waitFor } from './progress.ts'
import { spread } from './spread.ts'

interface ReassignOptions extends OutputOptions {
  readonly partitions?: readonly number[]
  readonly replicas?: readonly number[]
  readonly spread?: boolean
  readonly brokers?: readonly number[]
  readonly replicationFactor?: number
  readonly cancel?: boolean
  readonly dryRun?: boolean
  readonly wait?: boolean
}

interface Move {
  readonly topic: string
  readonly partition: number
  readonly from: readonly number[]
  readonly to: readonly number[]
}

const MOVE_COLUMNS: readonly Column<Move>[] = [
  { name: 'topic', title: 'TOPIC', value: ({ topic }) => topic },
  { name: 'partition', title: 'PARTITION', value: ({ partition }) => partition, unit: 'id' },
  { name: 'from', title: 'FROM', value: ({ from }) => from },
  { name: 'to', title: 'TO', value: ({ to }) => to },
]

const UNDER_WAY_COLUMNS: readonly Column<Reassignment>[] = [
  { name: 'topic', title: 'TOPIC', value: ({ topic }) => topic },
  { name: 'partition', title: 'PARTITION', value: ({ partition }) => partition, unit: 'id' },
  { name: 'replicas', title: 'REPLICAS', value: ({ replicas }) => replicas },
  { name: 'adding', title: 'COMING', value: ({ adding }) => adding },
  { name: 'removing', title: 'GOING', value: ({ removing }) => removing },
]

export function reassignCommand(context: Context): Command {
  const command = new Command('reassign')
    .summary('move the replicas of a topic to other brokers')
    .description(
      'Move the replicas of a topic to other brokers, named with --replicas or chosen with --spread. Without either it ' +
        'shows the moves under way. Old replicas stay until the new ones are in sync.',
    )
    .argument('<topic>', 'the topic')
    .addOption(
      new Option('-p, --partitions <list>', 'only these, such as 0 or 0,2-4').argParser(parsePartitions),
    )
    .addOption(
      new Option('--replicas <ids>', 'brokers such as 1,2,3, the preferred leader first')
        .argParser(parseBrokerIds)
        .conflicts(['spread', 'cancel']),
    )
    .addOption(
      new Option('--spread', 'replicas and leaders evenly over brokers and racks, with few moves').conflicts(
        'cancel',
      ),
    )
    .addOption(
      new Option('--brokers <ids>', 'with --spread: over these (default: all that live)').argParser(
        parseBrokerIds,
      ),
    )
    .addOption(
      new Option('-r, --replication-factor <count>', 'with --spread: copies of each afterwards').argParser(
        parseReplicationFactor,
      ),
    )
    .option('--cancel', 'call off the moves under way')
    .option('--dry-run', 'show what would move, and move nothing')
    .option('--wait', 'until the moves are done, with progress; Ctrl-C leaves them to themselves')
  addOutputOption(command)
  return addConnectOptions(command).action((topic: string, options: ReassignOptions) =>
    withClient(context, options, (client) =>
      withTopic(client, topic, () => reassign(context, client, topic, options)),
    ),
  )
}

async function reassign(
  context: Context,
  client: Client,
  name: string,
  options: ReassignOptions,
): Promise<void> {
  if (options.spread !== true && (options.brokers ?? options.replicationFactor) !== undefined) {
    throw new CommandError(
      EXIT.usage,
      'Cannot move anything: --brokers and --replication-factor belong to --spread',
      'Give --spread, or name the brokers with --replicas',
    )
  }
  const { out } = context
  const admin = client.admin()
  const format = outputFormat(options.output, out)
  const [topic] = await admin.describeTopics([name])
  const partitions = chosen(topic!, options)
  const asked = partitions.map(({ partition }) => ({ topic: name, partition }))
  const underWay = await admin.listPartitionReassignments(asked)
  if (options.cancel === true) {
    await admin.alterPartitionReassignments(
      underWay.map(({ partition }) => ({ topic: name, partition, replicas: null })),
    )
    await printRows(out, format, UNDER_WAY_COLUMNS, underWay, 'Nothing was on the move')
    if (underWay.length > 0) await context.err.line(`Called off: ${counted(underWay.length, 'move')}`)
    return
  }
  if (options.replicas === undefined && options.spread !== true) {
    await printRows(out, format, UNDER_WAY_COLUMNS, underWay, `Nothing of ${name} is on the move`)
    if (options.wait === true) await waitForMoves(context, client, asked)
    return
  }
  const moves = await plan(client, name, partitions, underWay, options)
  await printRows(out, format, MOVE_COLUMNS, moves, `The replicas of ${name} are where they should be`)
  if (moves.length === 0 || options.dryRun === true) return
  await admin.alterPartitionReassignments(
    moves.map(({ partition, to }) => ({ topic: name, partition, replicas: to })),
  )
  const told = moves.map(({ topic: moved, partition }) => ({ topic: moved, partition }))
  if (options.wait === true) await waitForMoves(context, client, told)
  else await context.err.line(`They move now; see how far with \`millrace topic reassign ${name} --wait\``)
}

type Described = TopicDescription['partitions'][number]

function chosen({ name, partitions }: TopicDescription, options: ReassignOptions): readonly Described[] {
  const missing = options.partitions?.find((index) => partitions[index] === undefined)
  if (missing !== undefined) {
    throw new CommandError(
      EXIT.notFound,
      `Cannot find partition ${missing}: ${name} has ${counted(partitions.length, 'partition')}`,
      `See them with \`millrace topic describe ${name}\``,
    )
  }
  return partitions.filter(({ partition }) => options.partitions?.includes(partition) ?? true)
}

/** What has to move: partitions that are there already are left out. */
async function plan(
  client: Client,
  topic: string,
  partitions: readonly Described[],
  underWay: readonly Reassignment[],
  options: ReassignOptions,
): Promise<readonly Move[]> {
  const { brokers, topics } = await viewCluster(client)
  // What a move under way leads to, not what it still holds on to.
  const from = partitions.map(({ partition, replicas }) => {
    const removing = underWay.find((move) => move.partition === partition)?.removing ?? []
    return replicas.filter((id) => !removing.includes(id))
  })
  const others = topics.filter(({ name }) => name !== topic).flatMap((each) => each.partitions)
  const targets = (): readonly (readonly number[])[] => {
    for (const id of [...(options.replicas ?? []), ...(options.brokers ?? [])]) getBroker(brokers, id)
    if (options.replicas !== undefined) return from.map(() => options.replicas!)
    const allowed = brokers.filter(({ id, isFenced }) => options.brokers?.includes(id) ?? !isFenced)
    const factor = options.replicationFactor ?? Math.max(...from.map((replicas) => replicas.length))
    if (allowed.length < factor) {
      throw new CommandError(
        EXIT.usage,
        `Cannot spread ${counted(factor, 'replica')} over ${counted(allowed.length, 'broker')}: each needs one of its own`,
        'Start more brokers, or ask for fewer replicas with --replication-factor',
      )
    }
    const places = allowed.map(({ id, rack }) => ({
      ...{ id, rack },
      otherReplicas: others.filter(({ replicas }) => replicas.includes(id)).length,
    }))
    return spread(from, places, factor)
  }
  const to = targets()
  return partitions
    .map(({ partition }, index) => ({ topic, partition, from: from[index]!, to: to[index]! }))
    .filter((move) => move.from.join() !== move.to.join())
}

async function waitForMoves(
  context: Context,
  client: Client,
  asked: readonly { readonly topic: string; readonly partition: number }[],
): Promise<void> {
  const { err } = context
  let left = asked.length
  const isDone = await waitFor(context, async (progress) => {
    const moving = await client.admin().listPartitionReassignments(asked)
    left = moving.length
    if (left > 0)
      await progress.show(`Moving: ${asked.length - left} of ${counted(asked.length, 'partition')} done`)
    return left === 0
  })
  await err.line(
    isDone
      ? `Done: ${counted(asked.length, 'partition')}`
      : `Interrupted: ${counted(left, 'partition')} still on the move, and going on without this command`,
  )
}
