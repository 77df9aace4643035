/**
 * Pages in a headless Chromium as members of consumer groups: a cluster of three processes behind one URL, a policy that allows
 * pages nothing but their own scripts and WebSockets, and an allow-list of origins.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { silentLogger } from '../../src/env/logger.ts'
import { Client, text } from '../../src/index.ts'
import { openPage } from '../support/browser-page.ts'
import { ClusterProcesses } from '../support/cluster-processes.ts'
import { LoadBalancer } from '../support/load-balancer.ts'
import { chromium, skipUnless } from '../support/programs.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

const PARTITIONS = [0, 1, 2, 3]
/** A member that is gone without a word is given up after this long. */
const SESSION_MS = 3_000
const program = chromium()

skipUnless(program)('a page in Chromium, in a group, by one URL for the cluster', () => {
  let balancer: LoadBalancer
  let cluster: ClusterProcesses
  let client: Client
  let policy = ''
  beforeAll(async () => {
    balancer = await LoadBalancer.open()
    cluster = await ClusterProcesses.start({
      directory: temporaryDirectory('browser-groups'),
      settings: {
        'websocket.advertised.address': balancer.address,
        'websocket.origins': 'http://127.0.0.1:*',
        'offsets.topic.num.partitions': '3',
        'group.consumer.session.timeout.ms': String(SESSION_MS),
        'group.consumer.heartbeat.interval.ms': '300',
      },
    })
    balancer.targets = cluster.nodeIds.map((nodeId) => cluster.broker(nodeId).port)
    // One address, and nothing else: what a broker says of itself leads nowhere.
    policy = `default-src 'none'; script-src 'self'; connect-src ws://${balancer.address}`
    client = new Client({ bootstrap: cluster.bootstrap, logger: silentLogger })
  }, 60_000)
  afterAll(async () => {
    await client.close()
    await cluster.kill()
    await balancer.close()
  })

  const page = (script: string, host?: string) =>
    openPage({
      command: program.command,
      script: `import { done, violations } from '/report.js'
        import { Client, text } from '/bundle/millrace.js'
        const client = new Client({ bootstrap: 'ws://${balancer.address}' })
        ${script}`,
      policy,
      ...(host === undefined ? {} : { host }),
    })

  const createTopic = (name: string) =>
    client.admin().createTopics([{ name, partitions: PARTITIONS.length, replicationFactor: 3 }])

  /** One record for each partition. */
  async function send(topic: string, value: string): Promise<void> {
    await using producer = client.producer()
    await producer.sendAll(
      PARTITIONS.map((partition) => ({ topic, partition, value: `${value} ${partition}` })),
    )
  }

  const committed = async (group: string): Promise<number[]> => {
    const [found] = await client.admin().listGroupOffsets([group])
    return found!.offsets.map(({ offset }) => offset ?? -1)
  }

  it('shares the partitions with another page: each record is handled by one of them, and all is committed', async () => {
    await createTopic('shared')
    const member = `
      const consumer = client.consumer({ group: 'sharers', topics: ['shared'], from: 'beginning', value: text })
      const producer = client.producer()
      const handled = []
      let stops = 0
      await consumer.run(async ({ value, partition }) => {
        handled.push(value)
        if (value.startsWith('who')) await producer.send({ topic: 'answers', value: String(consumer.assignment.length) })
        if (value.startsWith('stop') && ++stops === 2) setTimeout(() => consumer.close())
      })
      await client.close()
      done(handled)`
    await client.admin().createTopics([{ name: 'answers', partitions: 1, replicationFactor: 3 }])
    const pages = [await page(member), await page(member)]

    // Until both have their half: each partition's owner says how many it has.
    await using answers = client.consumer({ topics: ['answers'], from: 'beginning', value: text })
    const counts = answers[Symbol.asyncIterator]()
    const count = async (): Promise<string | null> => {
      const next = await counts.next()
      return next.done === true ? null : next.value.value
    }
    for (let isShared = false; !isShared;) {
      await send('shared', 'who')
      const told: (string | null)[] = []
      while (told.length < PARTITIONS.length) told.push(await count())
      isShared = told.every((each) => each === '2')
    }
    await send('shared', 'work')
    await send('shared', 'stop')
    const reports = await Promise.all(pages.map(({ report }) => report))

    expect(reports.map(({ violations }) => violations)).toEqual([[], []])
    const work = reports.map(({ value }) =>
      (value as string[]).filter((each) => each.startsWith('work')).sort(),
    )
    expect(work.map(({ length }) => length)).toEqual([2, 2])
    expect(work.flat().sort()).toEqual(PARTITIONS.map((partition) => `work ${partition}`))
    const sum = (await committed('sharers')).reduce((a, b) => a + b)
    const all = new Set(reports.flatMap(({ value }) => value as string[]))
    expect(sum).toBeGreaterThanOrEqual(all.size)
  }, 60_000)

  it('goes on after a reload where it has committed, be it without a goodbye', async () => {
    await createTopic('reloaded')
    await send('reloaded', 'before')
    const { report } = await page(`
      const seen = JSON.parse(sessionStorage.seen ?? '[]')
      const options = { group: 'reloaders', topics: ['reloaded'], from: 'beginning', commit: 'manual', value: text }
      const consumer = client.consumer(options)
      const isFirst = seen.length === 0
      const producer = client.producer()
      for await (const { value, partition, offset } of consumer) {
        seen.push(value)
        // The last one of the first round is handled and not committed.
        if (isFirst && seen.length === 4) break
        await consumer.commit([{ topic: 'reloaded', partition, offset: offset + 1 }])
        if (!isFirst && seen.length === 9) break
      }
      if (isFirst) {
        const values = [0, 1, 2, 3].map((partition) => ({ topic: 'reloaded', partition, value: 'after ' + partition }))
        await producer.sendAll(values)
        sessionStorage.seen = JSON.stringify(seen)
        sessionStorage.violations = violations.length
        location.reload()
      } else {
        await client.close()
        done({ seen, earlier: sessionStorage.violations })
      }`)

    const { value, violations } = await report
    const { seen, earlier } = value as { seen: string[]; earlier: string }

    expect([violations, earlier]).toEqual([[], '0'])
    const wanted = ['before', 'after'].flatMap((what) =>
      PARTITIONS.map((partition) => `${what} ${partition}`),
    )
    expect([...new Set(seen)].sort()).toEqual(wanted.sort())
    expect(seen.slice(4)).toContain(seen[3])
    expect(await committed('reloaders')).toEqual([2, 2, 2, 2])
  }, 60_000)

  it('X16: of an origin that is not on the list becomes no member', async () => {
    await createTopic('refused')
    const { report } = await page(
      `const consumer = client.consumer({ group: 'strangers', topics: ['refused'] })
      const outcome = await consumer.ready().then(() => 'joined', (error) => error.code)
      done(outcome)`,
      '127.0.0.2',
    )

    expect(await report).toEqual({ value: 'CLIENT_CANNOT_CONNECT', violations: [] })
    expect((await client.admin().listGroups()).map(({ groupId }) => groupId)).not.toContain('strangers')
  }, 60_000)
})
