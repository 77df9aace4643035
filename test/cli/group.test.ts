/** `millrace group` and `tail --group` against a cluster in this process: what a person reads, and what scripts get. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Client, GroupConsumer } from '../../src/index.ts'
import { Cluster } from '../../src/testing.ts'
import { runCommand } from '../support/run-command.ts'
import type { CommandResult } from '../support/run-command.ts'

let cluster: Cluster
let client: Client
let count = 0

beforeAll(async () => {
  cluster = await Cluster.start({ settings: { 'offsets.topic.num.partitions': '3' } })
  client = cluster.client({ clientId: 'billing-app' })
}, 30_000)

afterAll(async () => {
  await client.close()
  await cluster.close()
})

function millrace(...args: string[]): Promise<CommandResult> {
  const bootstrap = cluster.nodes.map((node) => node.bootstrap).join(',')
  return runCommand(args, '', { MILLRACE_BOOTSTRAP: bootstrap })
}

async function json(...args: string[]): Promise<unknown> {
  const { code, out, err } = await millrace(...args, '-o', 'json')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return JSON.parse(out)
}

/** Partitions of ten records each, and a group that has read some of them. */
async function stage(
  partitions: number,
  committed: readonly number[],
): Promise<{ readonly topic: string; readonly group: string }> {
  const [topic, group] = [`events-${++count}`, `readers-${count}`]
  await client.admin().createTopics([{ name: topic, partitions }])
  await using producer = client.producer()
  for (let partition = 0; partition < partitions; partition++)
    for (let value = 0; value < 10; value++) await producer.send({ topic, partition, value: String(value) })
  const offsets = committed.map((offset, partition) => ({ topic, partition, offset }))
  await client.admin().alterGroupOffsets(group, offsets)
  return { topic, group }
}

async function join(topic: string, group: string): Promise<GroupConsumer> {
  const consumer = client.consumer({ group, topics: [topic], from: 'beginning', instanceId: `${group}-1` })
  await consumer.ready()
  return consumer
}

async function committed(group: string): Promise<(number | null)[]> {
  const [listed] = await client.admin().listGroupOffsets([group])
  return listed!.offsets.map(({ offset }) => offset)
}

describe('group list', () => {
  it('shows name, state, protocol and coordinator, filtered if asked', async () => {
    const { group } = await stage(1, [0])
    const all = (await json('group', 'list')) as { groupId: string }[]
    expect(all.find(({ groupId }) => groupId === group)).toEqual({
      ...{ groupId: group, state: 'Empty', kind: 'classic', protocolType: '' },
      coordinator: expect.any(Number) as number,
    })
    expect(await json('group', 'list', '--state', 'Dead')).toEqual([])
    const { out } = await millrace('group', 'list', '--kind', 'consumer', '-o', 'table')
    expect(out).toContain('There are no such groups')
  })
})

describe('group describe', () => {
  it('shows each partition with committed offset, end, lag and owner, and who is in the group', async () => {
    const { topic, group } = await stage(2, [4, 10])
    const consumer = await join(topic, group)
    const { out } = await millrace('group', 'describe', group, '-o', 'table')
    const [title, , ...lines] = out.trimEnd().split('\n')
    expect(title).toMatch(
      new RegExp(
        `^${group}  Stable, consumer protocol, assignor uniform, epoch \\d+, coordinator \\d, 1 member, total lag 6$`,
      ),
    )
    const width = topic.length
    expect(lines.slice(0, 3)).toEqual([
      `${'TOPIC'.padEnd(width)}  PARTITION  COMMITTED  END  LAG  OWNER`,
      `${topic}          0          4   10    6  ${group}-1`,
      `${topic}          1         10   10    0  ${group}-1`,
    ])
    expect(lines[4]).toMatch(/^MEMBER +CLIENT +HOST +RACK +EPOCH +ID +PARTITIONS$/)
    expect(lines[5]).toMatch(new RegExp(`^${group}-1  billing-app  .*  ${topic}:0-1$`))
    const [described] = (await json('group', 'describe', group)) as object[]
    expect(described).toMatchObject({
      ...{ groupId: group, kind: 'consumer', totalLag: 6 },
      partitions: [{ committedOffset: 4, lag: 6, ownerMemberId: consumer.memberId }, { lag: 0 }],
      members: [{ instanceId: `${group}-1`, partitions: [{ topic, partition: 0 }, { partition: 1 }] }],
    })
    await consumer.close()
  })

  it('says where nothing is committed, and does not take it for no lag', async () => {
    const { topic, group } = await stage(2, [])
    const consumer = client.consumer({ group, topics: [topic], from: 'end', commit: 'manual' })
    await consumer.ready()
    const { out } = await millrace('group', 'describe', group, '-o', 'table')
    expect(out).toContain('total lag 0 beside 2 partitions where it is not known')
    expect(await json('group', 'describe', group)).toMatchObject([
      { partitions: [{ lag: null }, { lag: null }] },
    ])
    await consumer.close()
  })

  it('answers a name that is not there with the nearest one, and 5', async () => {
    const { group } = await stage(1, [0])
    const { code, out, err } = await millrace('group', 'describe', group.replace('readers', 'raeders'))
    expect([code, out]).toEqual([5, ''])
    expect(err).toContain(`Did you mean ${group}?`)
  })
})

describe('group seek', () => {
  it('shows with --dry-run what would change, and changes nothing', async () => {
    const { topic, group } = await stage(2, [4, 10])
    const { code, out, err } = await millrace(
      'group',
      'seek',
      group,
      '--to-earliest',
      '--dry-run',
      '-o',
      'table',
    )
    expect(code).toBe(0)
    expect(out.trimEnd().split('\n')).toEqual([
      `${'TOPIC'.padEnd(topic.length)}  PARTITION  CURRENT  NEW  CHANGE`,
      `${topic}          0        4    0      -4`,
      `${topic}          1       10    0     -10`,
    ])
    expect(err).toBe(`Nothing was changed: without --dry-run, 2 partitions of group ${group} would move\n`)
    expect(await committed(group)).toEqual([4, 10])
  })

  it.each<[string, string[], (number | null)[]]>([
    ['earliest', ['--to-earliest'], [0, 0]],
    ['latest', ['--to-latest'], [10, 10]],
    ['an offset', ['--to-offset', '7'], [7, 7]],
    ['further', ['--shift', '3'], [7, 9]],
    ['back', ['--shift', '-3'], [1, 3]],
    ['a time before all', ['--to-time', '2020-01-01'], [0, 0]],
    ['a time after all', ['--to-time', '2200-01-01'], [10, 10]],
    ['a duration', ['--by-duration', '1h'], [0, 0]],
  ])('moves a group to %s', async (_where, flags, expected) => {
    const { group } = await stage(2, [4, 6])
    expect(await millrace('group', 'seek', group, ...flags)).toMatchObject({
      code: 0,
      err: `Moved 2 partitions of group ${group}\n`,
    })
    expect(await committed(group)).toEqual(expected)
  })

  it('moves only the topics and partitions that are named', async () => {
    const { topic, group } = await stage(4, [4, 4, 4, 4])
    await millrace('group', 'seek', group, '--to-latest', '--topic', `${topic}:0,2-3`)
    expect(await committed(group)).toEqual([10, 4, 10, 10])
  })

  it('begins a group that is not there when told to create it, and else takes its name for a slip', async () => {
    const { topic, group } = await stage(2, [4, 4])
    const name = `${group}-new`
    const flags = ['--to-offset', '6', '--topic', topic]
    expect((await millrace('group', 'seek', name, ...flags)).code).toBe(5)
    expect(await millrace('group', 'seek', name, '--to-offset', '6', '--create')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--topic') as string,
    })
    const dry = await millrace('group', 'seek', name, ...flags, '--create', '--dry-run')
    expect([dry.code, dry.err]).toEqual([0, expect.stringContaining('2 partitions of group')])
    expect((await millrace('group', 'describe', name)).code).toBe(5)
    expect(await millrace('group', 'seek', name, ...flags, '--create')).toMatchObject({
      code: 0,
      err: `Moved 2 partitions of group ${name}\n`,
    })
    expect(await committed(name)).toEqual([6, 6])
  })

  it('moves what the log does not have to its nearest end, and says so', async () => {
    const { topic, group } = await stage(2, [4, 9])
    await client.admin().deleteRecords([{ topic, partition: 0, before: 3 }])
    const { err } = await millrace('group', 'seek', group, '--shift', '-3')
    expect(err).toBe(
      `note: ${topic}-0 has offsets 3 to 10: 3 is the nearest to 1\nMoved 2 partitions of group ${group}\n`,
    )
    expect(await committed(group)).toEqual([3, 6])
  })

  it('refuses while the group has members, says who, and only shows with --dry-run', async () => {
    const { topic, group } = await stage(1, [4])
    const consumer = await join(topic, group)
    const { code, err } = await millrace('group', 'seek', group, '--to-latest')
    expect(code).toBe(1)
    expect(err).toContain(`Cannot seek in group ${group}: it has 1 member (${group}-1 at `)
    expect(err).toContain('Stop them first')
    const dry = await millrace('group', 'seek', group, '--to-latest', '--dry-run')
    expect([dry.code, dry.err]).toEqual([0, expect.stringContaining('it would be refused now')])
    await consumer.close()
  })

  it('wants exactly one place to go to, and partitions that exist', async () => {
    const { topic, group } = await stage(1, [0])
    const failure = async (...flags: string[]) => {
      const { code, err } = await millrace('group', 'seek', group, ...flags)
      return [code, err.split('\n')[0]]
    }
    const one = 'wanted exactly one'
    expect(await failure()).toEqual([2, `error: Cannot seek: nothing says where to, ${one}`])
    expect(await failure('--to-latest', '--shift', '1')).toEqual([
      2,
      `error: Cannot seek: 2 flags say where to, ${one}`,
    ])
    expect(await failure('--to-latest', '--topic', `${topic}:1`)).toEqual([
      5,
      `error: Cannot seek in partition 1 of ${topic}: it has 1 partition, counted from 0`,
    ])
    expect((await failure('--to-latest', '--topic', 'evnts'))[0]).toBe(5)
    expect((await failure('--shift', '1.5'))[0]).toBe(2)
  })
})

describe('group delete', () => {
  it('deletes groups, refuses those in use, and takes --if-exists', async () => {
    const { topic, group } = await stage(1, [4])
    const other = `${group}-live`
    const consumer = await join(topic, other)
    const { code, out, err } = await millrace('group', 'delete', other, group, '--yes')
    expect([code, out]).toEqual([1, `Deleted group ${group}\n`])
    expect(err).toContain(`Cannot delete group '${other}': it has members: ${other}-1 at `)
    await consumer.close()
    expect((await millrace('group', 'delete', group)).code).toBe(5)
    expect(await millrace('group', 'delete', group, '--if-exists')).toEqual({ code: 0, out: '', err: '' })
  })
})

describe('tail --group', () => {
  it('goes with no flag that reads apart from the group', async () => {
    for (const flags of [['-n', '5'], ['--partitions', '0'], ['--exit-at-end']]) {
      const { code, err } = await millrace('tail', 'events-1', '--group', 'g', ...flags)
      expect([code, err]).toEqual([2, expect.stringContaining('cannot be used with')])
    }
  })

  it('says that a topic is missing instead of waiting for it', async () => {
    const { topic } = await stage(1, [])
    const { code, err } = await millrace('tail', topic.replace('events', 'evnets'), '--group', 'g')
    expect([code, err]).toEqual([5, expect.stringContaining('Did you mean events-')])
  })
})
