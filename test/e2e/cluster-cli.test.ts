/**
 * The commands about a cluster, against real ones: what they print, what they answer to scripts, and that what they say they
 * did was done. Brokers are processes; commands run in this one. In the end the demo, to its verdict.
 */
import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/env/logger.ts'
import { Client } from '../../src/index.ts'
import { LineProcess } from '../support/child-process.ts'
import { ClusterProcesses, until } from '../support/cluster-processes.ts'
import { inSync } from '../support/every-broker.ts'
import { runCommand } from '../support/run-command.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

const DEMO = join(import.meta.dirname, '../../dist/cli/demo.js')
const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')

interface HealthJson {
  readonly status: string
  readonly findings: readonly { readonly name: string; readonly message: string; readonly advice: string }[]
}

/** A cluster with a client, and commands against it. */
class Stage {
  readonly cluster: ClusterProcesses
  readonly client: Client

  constructor(cluster: ClusterProcesses) {
    this.cluster = cluster
    this.client = new Client({ bootstrap: cluster.bootstrap, logger: silentLogger })
  }

  run(...args: string[]) {
    const environment = { MILLRACE_BOOTSTRAP: this.cluster.bootstrap.join(',') }
    return runCommand(args, '', environment)
  }

  /** What the command prints, as JSON; fails unless it answers `code`. */
  async json<T>(code: number, ...args: string[]): Promise<T> {
    const result = await this.run(...args, '-o', 'json')
    expect({ code: result.code, err: result.err }).toEqual({ code, err: '' })
    return JSON.parse(result.out) as T
  }

  async health(): Promise<readonly [number | null, HealthJson]> {
    const { code, out, err } = await this.run('cluster', 'health', '-o', 'json')
    expect(err).toBe('')
    return [code, JSON.parse(out) as HealthJson]
  }

  async leaderOf(topic: string, partition = 0): Promise<number | null> {
    const [described] = await this.client.admin().describeTopics([topic])
    return described!.partitions[partition]!.leader
  }

  async close(): Promise<void> {
    await this.client.close()
    await this.cluster.kill()
  }
}

describe('with three brokers', () => {
  let stage: Stage
  const topic = 'events'

  beforeAll(async () => {
    stage = new Stage(await ClusterProcesses.start({ directory: temporaryDirectory('cluster-cli-3') }))
    await stage.run('topic', 'create', topic, '--partitions', '3')
  })
  afterAll(() => stage.close())

  it('cluster health answers 0, and cluster describe counts what there is', async () => {
    const [code, health] = await stage.health()
    expect([code, health.status, health.findings]).toEqual([0, 'healthy', []])
    expect(await stage.json(0, 'cluster', 'describe')).toMatchObject({
      clusterId: stage.cluster.clusterId,
      ...{ topics: 1, partitions: 3, replicas: 9, underReplicated: 0, leaderless: 0 },
      brokers: [1, 2, 3].map((id) => ({ id, state: 'live', replicas: 3 })),
    })
  })

  it('cluster quorum tells one leader, and three voters that are heard of', async () => {
    const quorum = await stage.json<{
      leaderId: number
      nodes: { nodeId: number; role: string; lag: number }[]
    }>(0, 'cluster', 'quorum')
    expect(quorum.nodes.map(({ nodeId }) => nodeId)).toEqual([1, 2, 3])
    expect(quorum.nodes.filter(({ role }) => role === 'leader').map(({ nodeId }) => nodeId)).toEqual([
      quorum.leaderId,
    ])
  })

  it('topic describe tells leaders, in-sync and eligible replicas, and lag; broker describe the room that is left', async () => {
    const [described] = await stage.json<{ partitions: object[] }[]>(0, 'topic', 'describe', topic)
    expect(described!.partitions).toHaveLength(3)
    expect(described!.partitions[0]).toMatchObject({
      ...{ eligibleLeaderReplicas: [], offlineReplicas: [], lag: 0 },
      replicaLags: [{ lag: 0 }, { lag: 0 }, { lag: 0 }],
    })
    const brokers = await stage.json<{ usableBytes: number }[]>(0, 'broker', 'describe', '1', '3')
    expect(brokers).toMatchObject([{ id: 1 }, { id: 3 }])
    expect(brokers[0]!.usableBytes).toBeGreaterThan(0)
  })

  it('says which brokers there are when one is named that is not, and answers 5', async () => {
    const { code, err } = await stage.run('broker', 'describe', '9')
    expect([code, err]).toEqual([5, expect.stringContaining('the cluster has 1, 2, 3')])
  })

  it('cluster health answers 1 once a broker is killed, names it, and 0 when it is back', async () => {
    await stage.cluster.broker(3).kill()
    await until('the broker is missed', async () => (await stage.health())[1].findings.length >= 2)
    const [code, { findings }] = await stage.health()
    expect(code).toBe(1)
    expect(findings.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['under-replicated', 'broker-down']),
    )
    expect(findings.find(({ name }) => name === 'broker-down')!.message).toContain('Broker 3')
    const rows = await stage.json<{ id: number; state: string }[]>(0, 'broker', 'list')
    expect(rows.map(({ id, state }) => [id, state])).toEqual([
      [1, 'live'],
      [2, 'live'],
      [3, 'down'],
    ])
    const [described] = await stage.json<{ partitions: { offlineReplicas: number[]; lag: null }[] }[]>(
      ...([0, 'topic', 'describe', topic] as const),
    )
    expect(described!.partitions[0]).toMatchObject({ offlineReplicas: [3], lag: null })
    await stage.cluster.broker(3).restart()
    await inSync(stage.cluster.bootstrap, topic)
    await until('all is well', async () => (await stage.health())[0] === 0)
  })

  it('topic elect gives partitions back to their preferred leaders', async () => {
    const [before] = await stage.client.admin().describeTopics([topic])
    const moved = before!.partitions.filter(({ leader, replicas }) => leader !== replicas[0])
    expect(moved.length).toBeGreaterThan(0) // those that broker 3 led before it was killed
    const rows = await stage.json<{ partition: number; isElected: boolean }[]>(0, 'topic', 'elect', topic)
    expect(rows.filter(({ isElected }) => isElected).map(({ partition }) => partition)).toEqual(
      moved.map(({ partition }) => partition),
    )
    const [after] = await stage.client.admin().describeTopics([topic])
    for (const { leader, replicas } of after!.partitions) expect(leader).toBe(replicas[0])
  })

  it('topic elect --unclean does nothing where there are leaders', async () => {
    expect(await stage.json(0, 'topic', 'elect', topic, '--unclean')).toEqual([])
  })

  it('cluster health answers 2 without a majority, and 3 without a broker', async () => {
    await stage.cluster.broker(2).kill()
    await stage.cluster.broker(3).kill()
    await until('no controller is found', async () => (await stage.health())[0] === 2)
    const [, { findings }] = await stage.health()
    expect(findings[0]).toMatchObject({ name: 'no-controller' })
    await stage.cluster.broker(1).kill()
    const { code, err } = await stage.run('cluster', 'health')
    expect([code, err]).toEqual([3, expect.stringContaining('millrace start')])
  })
})

describe('with four brokers', () => {
  let stage: Stage
  const topic = 'moved'

  beforeAll(async () => {
    const directory = temporaryDirectory('cluster-cli-4')
    stage = new Stage(await ClusterProcesses.start({ directory, brokers: 4 }))
    await stage.client.admin().createTopics([
      {
        name: topic,
        assignments: [
          [1, 2, 3],
          [2, 3, 1],
          [3, 1, 2],
        ],
      },
    ])
    await using producer = stage.client.producer()
    await producer.sendAll(Array.from({ length: 300 }, (_, index) => ({ topic, value: String(index) })))
  })
  afterAll(() => stage.close())

  const replicas = async (): Promise<readonly (readonly number[])[]> => {
    const [described] = await stage.client.admin().describeTopics([topic])
    return described!.partitions.map((one) => one.replicas)
  }

  it('topic reassign moves to the brokers that are named, and waits until it is done', async () => {
    const { code, out, err } = await stage.run(
      'topic',
      'reassign',
      topic,
      '-p',
      '0',
      '--replicas',
      '4,2,3',
      '--wait',
    )
    expect([code, out]).toEqual([0, `${topic}\t0\t1,2,3\t4,2,3\n`])
    expect(err).toContain('Done: 1 partition\n')
    expect((await replicas())[0]).toEqual([4, 2, 3])
    expect((await stage.health())[0]).toBe(0)
  })

  it('topic reassign --spread evens out, after --dry-run said how, and then has nothing to do', async () => {
    await stage.run('topic', 'reassign', topic, '--replicas', '1,2,3', '--wait')
    const planned = await stage.run('topic', 'reassign', topic, '--spread', '--dry-run')
    expect(await replicas()).toEqual([1, 2, 3].map(() => [1, 2, 3]))
    const moved = await stage.run('topic', 'reassign', topic, '--spread', '--wait')
    expect([moved.code, moved.out]).toEqual([0, planned.out])
    const held = [1, 2, 3, 4].map(async (id) => (await replicas()).filter((ids) => ids.includes(id)).length)
    expect((await Promise.all(held)).sort()).toEqual([2, 2, 2, 3])
    expect(await stage.run('topic', 'reassign', topic, '--spread')).toEqual({ code: 0, out: '', err: '' })
  })

  it('topic reassign refuses what cannot be, and says what to do', async () => {
    expect((await stage.run('topic', 'reassign', topic, '--replicas', '1,9')).code).toBe(5)
    const wide = await stage.run('topic', 'reassign', topic, '--spread', '-r', '5')
    expect([wide.code, wide.err]).toEqual([2, expect.stringContaining('Start more brokers')])
    expect((await stage.run('topic', 'reassign', topic, '--brokers', '1,2')).code).toBe(2)
  })

  it('broker decommission drains, can be interrupted and gone on with, and ends when the broker is stopped', async () => {
    const args = [MAIN, 'broker', 'decommission', '4', '-b', stage.cluster.bootstrap.slice(0, 3).join(',')]
    const first = new LineProcess(process.execPath, args)
    await first.errLine((line) => line.startsWith('Stop broker 4 now'))
    expect((await replicas()).flat()).not.toContain(4)
    expect((await first.kill('SIGINT')).code).toBe(130)
    expect(first.errLines.join('\n')).toContain('`millrace broker decommission 4` again')

    const second = new LineProcess(process.execPath, args)
    await second.errLine((line) => line.startsWith('Stop broker 4 now'))
    await stage.cluster.broker(4).stop()
    expect((await second.exited).code).toBe(0)
    expect(second.outLines).toContain('Broker 4 is no part of the cluster any more')
    // The first run took its vote, before it said to stop the broker.
    expect(first.outLines).toContain('Broker 4 has no vote on the metadata any more: of 3 voters 2 must run')
    const quorum = await stage.json<{ nodes: { nodeId: number; role: string }[] }>(0, 'cluster', 'quorum')
    const voting = quorum.nodes.filter(({ role }) => role !== 'observer')
    expect(voting.map(({ nodeId }) => nodeId)).toEqual([1, 2, 3])
    const rows = await stage.json<{ id: number }[]>(0, 'broker', 'list')
    expect(rows.map(({ id }) => id)).toEqual([1, 2, 3])
    await using consumer = stage.client.consumer({ topics: [topic], from: 'beginning', untilEnd: true })
    const offsets = new Set<string>()
    for await (const { partition, offset } of consumer) offsets.add(`${partition}@${offset}`)
    expect(offsets.size).toBe(300)
  })

  it('MQ-7: cluster quorum remove takes a vote and add gives it back, and what cannot be is refused with a reason', async () => {
    const removed = await stage.run('cluster', 'quorum', 'remove', '3')
    expect(removed).toMatchObject({ code: 0, err: '' })
    expect(removed.out).toContain('Node 3 has no vote on the metadata any more: of 2 voters 2 must run')
    const again = await stage.run('cluster', 'quorum', 'remove', '3')
    expect([again.code, again.err]).toEqual([5, expect.stringContaining('Node 3 has no vote')])
    const added = await stage.run('cluster', 'quorum', 'add', '3')
    expect([added.code, added.out]).toEqual([0, expect.stringContaining('of 3 voters 2 must run')])
    const twice = await stage.run('cluster', 'quorum', 'add', '3')
    expect([twice.code, twice.err]).toEqual([1, expect.stringContaining('Node 3 votes already')])
  })

  it('broker decommission says what is missing when there is no other broker for the replicas', async () => {
    const { code, err } = await stage.run('broker', 'decommission', '3', '--drain-only')
    expect([code, err]).toEqual([1, expect.stringContaining('Start one more broker')])
  })
})

describe('npm run demo', () => {
  const leftovers = () => readdirSync(tmpdir()).filter((name) => name.startsWith('millrace-demo-'))

  it('kills a leader, loses nothing, and leaves nothing behind', async () => {
    expect(existsSync(DEMO), 'dist/ is missing: run npm run build').toBe(true)
    const before = leftovers()
    const demo = new LineProcess(process.execPath, [DEMO])
    const { code } = await demo.exited
    const text = demo.outLines.join('\n')
    expect(text).toMatch(/kill -9 broker \d, the leader\n(.*\n)* +[\d.]+ s {2}Broker \d leads/)
    expect(text).toMatch(/Broker \d is in sync again/)
    expect(text).toMatch(/lost +0\n +duplicated +0\n +reordered +0\n/)
    expect(text).toContain('Nothing was lost')
    expect(code).toBe(0)
    expect(leftovers()).toEqual(before)
  })

  it('stops its brokers and removes their data at Ctrl-C', async () => {
    const before = leftovers()
    const demo = new LineProcess(process.execPath, [DEMO])
    await demo.line((line) => line.includes('all three are in sync'))
    expect((await demo.kill('SIGINT')).code).toBe(130)
    expect(leftovers()).toEqual(before)
  })
})
