/**
 * `millrace group seek`: sets where a group without members goes on. Shows the plan, which with `--dry-run` is all it does. What
 * members commit would overwrite it, so a group with members is refused.
 */
import { Command, Option } from 'commander'
import type { Client, GroupMember, TopicPartition } from '../src/index.ts'
import { parseCount, parseDuration, parseShift, parseTime, parseTopicPartitions } from './arguments.ts'
import type { OutputOptions } from './broker.ts'
import { addConnectOptions, withClient, withTopic } from './connect.ts'
import type { Context } from './context.ts'
import { CommandError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { findGroup, findRanges, getGroup, memberHost, memberName, placeOf } from './group-view.ts'
import { counted, humanCount } from './human.ts'
import { addOutputOption, outputFormat, printRows } from './output.ts'
import type { Column } from './output.ts'
import { isChange, planSeek } from './seek-plan.ts'
import type { PlannedSeek, SeekPartition, SeekTarget } from './seek-plan.ts'

interface SeekOptions extends OutputOptions {
  readonly toEarliest?: boolean
  readonly toLatest?: boolean
  readonly toTime?: number
  readonly toOffset?: number
  readonly shift?: number
  readonly byDuration?: number
  /** Partitions by topic; null: all. */
  readonly topic?: ReadonlyMap<string, readonly number[] | null>
  readonly create?: boolean
  readonly dryRun?: boolean
}

/** Members that are named where they are in the way. */
const NAMED_MEMBERS_MAX = 5

const COLUMNS: readonly Column<PlannedSeek>[] = [
  { name: 'topic', title: 'TOPIC', value: ({ topic }) => topic },
  { name: 'partition', title: 'PARTITION', value: ({ partition }) => partition, unit: 'id' },
  { name: 'currentOffset', title: 'CURRENT', value: ({ currentOffset }) => currentOffset },
  { name: 'newOffset', title: 'NEW', value: ({ newOffset }) => newOffset },
  {
    name: 'change',
    title: 'CHANGE',
    value: ({ currentOffset, newOffset }) =>
      currentOffset === null || newOffset === null ? null : newOffset - currentOffset,
    style: (row) => (isChange(row) ? 'yellow' : 'dim'),
  },
  { name: 'startOffset', title: 'START', value: ({ startOffset }) => startOffset, isDetail: true },
  { name: 'endOffset', title: 'END', value: ({ endOffset }) => endOffset, isDetail: true },
]

export function seekCommand(context: Context): Command {
  const command = new Command('seek')
    .summary('set where a group goes on')
    .description(
      'Set where a group goes on, while it has no members. Exactly one of --to-…, --shift and --by-duration says where; ' +
        'offsets outside of a log become its nearest end, with a note.',
    )
    .argument('<group>', 'the group')
    .option('--to-earliest', 'to the first record of each partition')
    .option('--to-latest', 'to the end: only what is written from now on')
    .addOption(
      new Option(
        '--to-time <time>',
        'to the first record at or after it, such as 2026-01-31T12:00',
      ).argParser((text) => parseTime(text, Date.now())),
    )
    .addOption(new Option('--to-offset <offset>', 'to this offset').argParser(parseCount))
    .addOption(
      new Option('--shift <count>', 'further by so many offsets, such as 10, or back by -10').argParser(
        parseShift,
      ),
    )
    .addOption(
      new Option('--by-duration <time>', 'back to what came since, such as 1h30m').argParser(parseDuration),
    )
    .addOption(
      new Option(
        '-t, --topic <topic[:list]>',
        'only this one, or partitions of it as in orders:0,2-4; may be repeated (default: all that the group has offsets of)',
      ).argParser(parseTopicPartitions),
    )
    .option('--create', 'begin a group of that name there, if there is none; needs --topic')
    .option('--dry-run', 'only show what would change')
  addOutputOption(command)
  return addConnectOptions(command).action((groupId: string, options: SeekOptions) => {
    const target = targetOf(options, Date.now())
    if (options.create === true && options.topic === undefined)
      throw new CommandError(
        EXIT.usage,
        `Cannot create group ${groupId}: nothing says of which topics`,
        'Name them with --topic',
      )
    return withClient(context, options, (client) => seek(context, client, groupId, target, options))
  })
}

function targetOf(options: SeekOptions, nowMs: number): SeekTarget {
  const { toEarliest, toLatest, toTime, toOffset, shift, byDuration } = options
  const given: SeekTarget[] = [
    ...(toEarliest === true ? [{ kind: 'earliest' as const }] : []),
    ...(toLatest === true ? [{ kind: 'latest' as const }] : []),
    ...(toTime === undefined ? [] : [{ kind: 'time' as const, timestampMs: toTime }]),
    ...(toOffset === undefined ? [] : [{ kind: 'offset' as const, offset: toOffset }]),
    ...(shift === undefined ? [] : [{ kind: 'shift' as const, by: shift }]),
    ...(byDuration === undefined
      ? []
      : [{ kind: 'time' as const, timestampMs: Math.max(0, nowMs - byDuration) }]),
  ]
  if (given.length === 1) return given[0]!
  throw new CommandError(
    EXIT.usage,
    `Cannot seek: ${given.length === 0 ? 'nothing says where to' : `${given.length} flags say where to`}, wanted exactly one`,
    'Give one of --to-earliest, --to-latest, --to-time, --to-offset, --shift and --by-duration',
  )
}

async function seek(
  context: Context,
  client: Client,
  groupId: string,
  target: SeekTarget,
  options: SeekOptions,
): Promise<void> {
  const { out, err } = context
  const isDry = options.dryRun === true
  const note = (text: string): Promise<void> => err.line(`${err.style('yellow', 'note:')} ${text}`)
  const group = options.create === true ? await findGroup(client, groupId) : await getGroup(client, groupId)
  const members = group?.members ?? []
  if (members.length > 0 && !isDry) throw inUse(groupId, members)
  const plan = (await findPartitions(client, groupId, target, options.topic ?? new Map())).map((one) =>
    planSeek(target, one),
  )
  for (const one of plan) {
    const text = describeClamp(one)
    if (text !== null) await note(text)
  }
  const changes = plan.filter(isChange)
  if (!isDry && changes.length > 0) {
    const offsets = changes.map(({ topic, partition, newOffset }) => ({
      topic,
      partition,
      offset: newOffset!,
    }))
    await client.admin().alterGroupOffsets(groupId, offsets)
  }
  const whenEmpty = `Group ${groupId} has committed nothing: say which partitions with --topic`
  await printRows(out, outputFormat(options.output, out), COLUMNS, plan, whenEmpty)
  const size = `${counted(changes.length, 'partition')} of group ${groupId}`
  if (!isDry) {
    await err.line(changes.length === 0 ? 'Nothing to change' : `Moved ${size}`)
    return
  }
  await err.line(`Nothing was changed: without --dry-run, ${size} would move`)
  if (members.length > 0) await note(`it would be refused now: ${describeUse(members)}`)
}

/** What is to be moved, with where it is. */
async function findPartitions(
  client: Client,
  groupId: string,
  target: SeekTarget,
  wanted: ReadonlyMap<string, readonly number[] | null>,
): Promise<SeekPartition[]> {
  const admin = client.admin()
  const [listed] = await admin.listGroupOffsets([groupId])
  const committed = new Map(listed!.offsets.map((one) => [placeOf(one), one.offset]))
  const topics = wanted.size > 0 ? wanted : new Map(listed!.offsets.map(({ topic }) => [topic, null]))
  const places: TopicPartition[] = []
  for (const [topic, indexes] of topics) {
    const [described] = await withTopic(client, topic, () => admin.describeTopics([topic]))
    const all = described!.partitions.map(({ partition }) => partition)
    const missing = indexes?.find((index) => !all.includes(index))
    if (missing !== undefined) {
      const message = `Cannot seek in partition ${missing} of ${topic}: it has ${counted(all.length, 'partition')}, counted from 0`
      throw new CommandError(EXIT.notFound, message)
    }
    for (const partition of indexes ?? all) places.push({ topic, partition })
  }
  const ranges = await findRanges(client, places)
  const found = new Map<string, number | null>()
  const led = places.map((place) => {
    const { startOffset = null, endOffset = null } = ranges.get(placeOf(place)) ?? {}
    if (startOffset !== null && endOffset !== null) return { ...place, startOffset, endOffset }
    throw new CommandError(
      EXIT.failed,
      `Cannot seek in ${placeOf(place)}: it has no leader now to say which offsets there are`,
      'See why with `millrace cluster health`, or leave it out with --topic',
    )
  })
  if (target.kind === 'time' && places.length > 0) {
    const at = { timestamp: target.timestampMs }
    for (const one of await admin.listOffsets(places.map((place) => ({ ...place, at }))))
      found.set(placeOf(one), one.offset)
  }
  return led.map((place) => ({
    ...place,
    currentOffset: committed.get(placeOf(place)) ?? null,
    foundOffset: found.get(placeOf(place)) ?? null,
  }))
}

/** What is to be said of a partition that does not get what was asked for. */
function describeClamp(plan: PlannedSeek): string | null {
  const { startOffset, endOffset, newOffset, wantedOffset } = plan
  const place = placeOf(plan)
  if (newOffset === null) return `${place} has no committed offset to count from, and is left as it is`
  if (wantedOffset === null) return null
  return `${place} has offsets ${humanCount(startOffset)} to ${humanCount(endOffset)}: ${humanCount(newOffset)} is the nearest to ${humanCount(wantedOffset)}`
}

function inUse(groupId: string, members: readonly GroupMember[]): CommandError {
  return new CommandError(
    EXIT.failed,
    `Cannot seek in group ${groupId}: ${describeUse(members)}, whose commits would undo it`,
    'Stop them first; one that was killed counts until its session is over (45 s by default)',
  )
}

function describeUse(members: readonly GroupMember[]): string {
  const named = members.slice(0, NAMED_MEMBERS_MAX).map((one) => `${memberName(one)} at ${memberHost(one)}`)
  const rest = members.length > NAMED_MEMBERS_MAX ? ', …' : ''
  return `it has ${counted(members.length, 'member')} (${named.join(', ')}${rest})`
}
