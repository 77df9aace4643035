/** `millrace group describe`: who is in a group, what each has, and how far the group is behind. */
import { Command } from 'commander'
import type { Client, GroupDescription, GroupMember, TopicPartition } from '../src/index.ts'
import { addConnectOptions, withClient } from './connect.ts'
import type { OutputOptions } from './broker.ts'
import type { Context } from './context.ts'
import { findRanges, getGroup, memberHost, memberName, placeOf } from './group-view.ts'
import { counted, humanCount } from './human.ts'
import { addOutputOption, outputFormat, printDescriptions, printRows, toObject } from './output.ts'
import type { Column } from './output.ts'

interface PartitionRow extends TopicPartition {
  readonly group: string
  /** Null: the group has committed nothing there. */
  readonly committedOffset: number | null
  /** Null while the partition has no leader to tell. */
  readonly startOffset: number | null
  readonly endOffset: number | null
  readonly lag: number | null
  /** Who reads it; null: nobody. */
  readonly owner: GroupMember | null
}

interface Described {
  readonly group: GroupDescription
  readonly partitions: readonly PartitionRow[]
  readonly totalLag: number
}

const PARTITION_COLUMNS: readonly Column<PartitionRow>[] = [
  { name: 'topic', title: 'TOPIC', value: ({ topic }) => topic },
  { name: 'partition', title: 'PARTITION', value: ({ partition }) => partition, unit: 'id' },
  { name: 'committedOffset', title: 'COMMITTED', value: ({ committedOffset }) => committedOffset },
  { name: 'startOffset', title: 'START', value: ({ startOffset }) => startOffset, isDetail: true },
  { name: 'endOffset', title: 'END', value: ({ endOffset }) => endOffset },
  {
    name: 'lag',
    title: 'LAG',
    value: ({ lag }) => lag,
    style: ({ lag }) => (lag === 0 ? null : 'yellow'),
  },
  { name: 'owner', title: 'OWNER', value: ({ owner }) => (owner === null ? null : memberName(owner)) },
  { name: 'ownerMemberId', title: 'OWNER ID', value: ({ owner }) => owner?.memberId ?? null, isDetail: true },
]

/** With the group, where the rows of several stand together. */
const COLUMNS: readonly Column<PartitionRow>[] = [
  { name: 'group', title: 'GROUP', value: ({ group }) => group },
  ...PARTITION_COLUMNS,
]

const MEMBER_COLUMNS: readonly Column<GroupMember>[] = [
  { name: 'name', title: 'MEMBER', value: memberName },
  { name: 'clientId', title: 'CLIENT', value: ({ clientId }) => clientId },
  { name: 'host', title: 'HOST', value: memberHost },
  { name: 'instanceId', title: 'INSTANCE', value: ({ instanceId }) => instanceId, isDetail: true },
  { name: 'rack', title: 'RACK', value: ({ rack }) => rack },
  { name: 'epoch', title: 'EPOCH', value: ({ epoch }) => epoch, unit: 'id' },
  { name: 'memberId', title: 'ID', value: ({ memberId }) => memberId },
  {
    name: 'partitions',
    title: 'PARTITIONS',
    value: ({ assignment }) => (assignment === null ? null : shortList(assignment)),
  },
]

/** `events:0-2,5 orders:1` for partitions in order. */
export function shortList(partitions: readonly TopicPartition[]): string {
  const topics = new Map<string, string[]>()
  for (let index = 0; index < partitions.length;) {
    const { topic, partition: first } = partitions[index]!
    let last = first
    for (index++; index < partitions.length; index++, last++)
      if (partitions[index]!.topic !== topic || partitions[index]!.partition !== last + 1) break
    const ranges = topics.get(topic) ?? []
    topics.set(topic, ranges)
    ranges.push(first === last ? String(first) : `${first}-${last}`)
  }
  return Array.from(topics, ([topic, ranges]) => `${topic}:${ranges.join(',')}`).join(' ')
}

export function describeCommand(context: Context): Command {
  const command = new Command('describe')
    .summary('show members, committed offsets and lag of groups')
    .description(
      'Show who is in a group and what each member has, and for each partition the offset that the group has committed ' +
        '(of the next record to be read), the END of the log, and the LAG between the two; - where nothing is committed, or ' +
        'nobody can tell.',
    )
    .argument('<groups...>', 'the groups')
  addOutputOption(command)
  return addConnectOptions(command).action((groupIds: string[], options: OutputOptions) =>
    withClient(context, options, async (client) => {
      const described: Described[] = []
      for (const groupId of new Set(groupIds)) described.push(await describe(client, groupId))
      await printDescriptions(context.out, outputFormat(options.output, context.out), described, {
        toJson,
        columns: COLUMNS,
        rows: ({ partitions }) => partitions,
        showTable: (one) => showTable(context, one),
      })
    }),
  )
}

async function describe(client: Client, groupId: string): Promise<Described> {
  const group = await getGroup(client, groupId)
  const [listed] = await client.admin().listGroupOffsets([groupId])
  const committed = new Map(listed!.offsets.map((one) => [placeOf(one), one.offset]))
  const owners = new Map<string, GroupMember>()
  const places = new Map<string, TopicPartition>(listed!.offsets.map((one) => [placeOf(one), one]))
  for (const member of group.members) {
    for (const place of member.assignment ?? []) {
      owners.set(placeOf(place), member)
      places.set(placeOf(place), place)
    }
  }
  const ranges = await findRanges(client, [...places.values()])
  const partitions = Array.from(places, ([name, { topic, partition }]): PartitionRow => {
    const { startOffset = null, endOffset = null } = ranges.get(name) ?? {}
    const committedOffset = committed.get(name) ?? null
    const isKnown = committedOffset !== null && endOffset !== null
    return {
      ...{ group: groupId, topic, partition, committedOffset, startOffset, endOffset },
      // A log that was cut ends before what was committed: nothing is left to read.
      lag: isKnown ? Math.max(0, endOffset - committedOffset) : null,
      owner: owners.get(name) ?? null,
    }
  })
  partitions.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
  return { group, partitions, totalLag: partitions.reduce((sum, { lag }) => sum + (lag ?? 0), 0) }
}

async function showTable({ out }: Context, { group, partitions, totalLag }: Described): Promise<void> {
  const { groupId, state, kind, assignor, epoch, coordinator, members } = group
  const unknownCount = partitions.filter(({ lag }) => lag === null).length
  const beside =
    unknownCount === 0 ? '' : ` beside ${counted(unknownCount, 'partition')} where it is not known`
  const facts = [
    ...[state, `${kind} protocol`, ...(assignor === null ? [] : [`assignor ${assignor}`])],
    ...[...(epoch === null ? [] : [`epoch ${epoch}`]), `coordinator ${coordinator}`],
    ...[counted(members.length, 'member'), `total lag ${humanCount(totalLag)}${beside}`],
  ]
  await out.line(`${out.style('bold', groupId)}  ${out.style('dim', facts.join(', '))}`)
  await out.line()
  await printRows(out, 'table', PARTITION_COLUMNS, partitions, 'Nothing is committed, and nobody reads')
  if (members.length === 0) return
  await out.line()
  await printRows(out, 'table', MEMBER_COLUMNS, members)
}

function toJson({ group, partitions, totalLag }: Described): object {
  const { groupId, kind, state, protocolType, assignor, epoch, coordinator, members } = group
  return {
    ...{ groupId, kind, state, protocolType, assignor, epoch, coordinator, totalLag },
    partitions: partitions.map((row) => toObject(PARTITION_COLUMNS, row)),
    members: members.map((member) => ({
      ...toObject(MEMBER_COLUMNS, member),
      partitions: member.assignment,
      target: member.target,
    })),
  }
}
