/** `tail --group` as a process of the built command: what it commits, and how it leaves. The cluster runs in this process. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Client } from '../../src/index.ts'
import { startBroker } from '../../src/testing.ts'
import type { TestBroker } from '../../src/testing.ts'
import { LineProcess, run } from '../support/child-process.ts'

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')

let broker: TestBroker
let client: Client
let count = 0

beforeAll(async () => {
  expect(existsSync(MAIN), 'dist/ is missing: run npm run build').toBe(true)
  broker = await startBroker({
    settings: { 'offsets.topic.num.partitions': '1', 'group.consumer.heartbeat.interval.ms': '300' },
  })
  client = broker.client()
})

afterAll(async () => {
  await client.close()
  await broker.close()
})

async function createTopic(partitions = 1): Promise<string> {
  const name = `events-${++count}`
  await client.admin().createTopics([{ name, partitions }])
  return name
}

async function produce(topic: string, values: readonly string[]): Promise<void> {
  await using producer = client.producer()
  await Promise.all(values.map((value) => producer.send({ topic, value })))
}

function tail(topic: string, group: string, ...flags: string[]): LineProcess {
  const env = { MILLRACE_BOOTSTRAP: broker.bootstrap }
  return new LineProcess(process.execPath, [MAIN, 'tail', topic, '--group', group, ...flags], { env })
}

/** Offsets committed by partition, and how many members there are. */
async function look(
  group: string,
): Promise<{ readonly committed: (number | null)[]; readonly members: number }> {
  const [listed] = await client.admin().listGroupOffsets([group])
  const [described] = await client.admin().describeGroups([group])
  return { committed: listed!.offsets.map(({ offset }) => offset), members: described!.members.length }
}

it('tail --group commits what it printed, leaves the group with Ctrl-C, and goes on from there', async () => {
  const topic = await createTopic()
  await produce(topic, ['a', 'b'])
  const first = tail(topic, 'readers', '--from', 'beginning')
  expect([await first.line(), await first.line()]).toEqual(['a', 'b'])
  expect((await look('readers')).members).toBe(1)
  expect(await first.kill('SIGINT')).toEqual({ code: 0, signal: null })
  expect(first.errLines).toEqual([])
  expect(await look('readers')).toEqual({ committed: [2], members: 0 })

  await produce(topic, ['c'])
  const second = tail(topic, 'readers', '--from', 'beginning', '-o', 'ndjson')
  expect(JSON.parse(await second.line())).toMatchObject({ topic, offset: 2, value: 'c' })
  expect(await second.kill('SIGTERM')).toEqual({ code: 0, signal: null })
  expect(await look('readers')).toEqual({ committed: [3], members: 0 })
})

it('two tails of a group share the partitions of a topic', async () => {
  const topic = await createTopic(2)
  // From the beginning: an assignment is described before its member has learnt of it, and a member that begins at the end
  // begins at the end it then finds.
  const tails = [tail(topic, 'pair', '--from', 'beginning'), tail(topic, 'pair', '--from', 'beginning')]
  for (;;) {
    const [group] = await client
      .admin()
      .describeGroups(['pair'])
      .catch(() => [undefined])
    const shares = group?.members.map(({ assignment }) => assignment?.length)
    if (shares?.length === 2 && shares.every((share) => share === 1)) break
    await new Promise((resolve) => setImmediate(resolve))
  }
  await using producer = client.producer()
  for (const partition of [0, 1]) await producer.send({ topic, partition, value: `to ${partition}` })
  expect((await Promise.all(tails.map((one) => one.line()))).sort()).toEqual(['to 0', 'to 1'])
  for (const one of tails) expect((await one.kill('SIGINT')).code).toBe(0)
  expect(await look('pair')).toEqual({ committed: [1, 1], members: 0 })
})

it('tail --group leaves the group at once when the reader of its pipe goes', async () => {
  const topic = await createTopic()
  await produce(
    topic,
    Array.from({ length: 3000 }, () => 'x'.repeat(1000)),
  )
  const command = `"${process.execPath}" "${MAIN}" tail ${topic} --group gone --from beginning | head -n 1`
  const { code, err } = await run('sh', ['-c', command], { env: { MILLRACE_BOOTSTRAP: broker.bootstrap } })
  expect([code, err]).toEqual([0, ''])
  expect((await look('gone')).members).toBe(0)
})
