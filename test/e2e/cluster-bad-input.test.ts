/**
 * What goes wrong when a cluster is set up by hand: each mistake is told in a sentence that says what was found, what was
 * wanted and what to do, on the node that makes it and, where another one sees it, there; and the cluster that is there
 * already takes no harm of it (docs/faults.md X12).
 */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { Client } from '../../src/index.ts'
import { LineProcess, run } from '../support/child-process.ts'
import { ClusterProcesses, newClusterId } from '../support/cluster-processes.ts'
import { readValues } from '../support/collect.ts'
import { reservePorts } from '../support/free-ports.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')
/** A node that waits for others stops within this, in ms, whatever it would have waited; it takes a fraction of a second. */
const STOP_MS_MAX = 3000
const TOPIC = 'unharmed'
const VALUES = Array.from({ length: 20 }, (_, index) => `value ${index}`)

let cluster: ClusterProcesses

beforeAll(async () => {
  cluster = await ClusterProcesses.start({ directory: temporaryDirectory('bad-input') })
  await using client = new Client({ bootstrap: cluster.bootstrap })
  await client.admin().createTopics([{ name: TOPIC, partitions: 1, replicationFactor: 3 }])
  await using producer = client.producer()
  for (const value of VALUES) await producer.send({ topic: TOPIC, value })
})
afterAll(() => cluster.kill())

interface Node {
  readonly nodeId: number
  readonly directory?: string
  readonly port?: number
  readonly settings?: Readonly<Record<string, string>>
}

/** The command line of a node that would join the cluster, if it were not for `settings`. */
function startArguments({ nodeId, directory, port = 0, settings = {} }: Node): readonly string[] {
  const all = {
    ...{ 'node.id': String(nodeId), 'cluster.id': cluster.clusterId },
    ...{ 'controller.quorum.voters': cluster.voters },
    ...settings,
  }
  return [
    ...[MAIN, 'start', '--port', String(port), '--log-level', 'info'],
    ...['--data-dir', directory ?? join(temporaryDirectory('bad-input'), 'data')],
    ...Object.entries(all).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
  ]
}

/** Starts a node that must refuse to. */
async function refused(node: Node): Promise<{ readonly code: number | null; readonly err: string }> {
  const { code, out, err } = await run(process.execPath, startArguments(node))
  expect(out.toString()).toBe('')
  return { code, err: err.split('\n').filter((line) => !/^\d{4}-.* INFO /.test(line)).join('\n') } // prettier-ignore
}

/** Starts a node that waits for others; killed when the test has finished. */
function waiting(node: Node): LineProcess {
  const started = new LineProcess(process.execPath, startArguments(node))
  onTestFinished(() => started.kill('SIGKILL').then(() => undefined))
  return started
}

/** The whole cluster serves what it served before, and takes more. */
async function expectUnharmed(): Promise<void> {
  for (const bootstrap of cluster.bootstrap) expect(await readValues(bootstrap, TOPIC)).toEqual(VALUES)
  const value = `value ${VALUES.length}`
  await using client = new Client({ bootstrap: cluster.bootstrap })
  await using producer = client.producer()
  await producer.send({ topic: TOPIC, value })
  VALUES.push(value)
}

describe('a node of a cluster does not start', () => {
  it('without cluster.id on a new directory', async () => {
    const { code, err } = await refused({ nodeId: 4, settings: { 'cluster.id': '' } })

    expect(code).toBe(1)
    expect(err).toMatch(/^error: Cannot start node 4 of a cluster: cluster\.id is not set/)
    expect(err).toContain('Set the same on every node')
  })

  it('with the cluster.id of another cluster on its directory', async () => {
    const other = newClusterId()
    const [directory] = cluster.directories
    await cluster.broker(1).stop()
    const { code, err } = await refused({
      nodeId: 1,
      directory: directory!,
      settings: { 'cluster.id': other },
    })
    await cluster.broker(1).restart()

    expect(code).toBe(1)
    expect(err).toBe(
      `error: Opened the data directory ${directory}: it belongs to cluster ${cluster.clusterId}, and this is cluster ${other}\n` +
        '  Choose the directory that belongs to this broker with --data-dir\n',
    )
    await expectUnharmed()
  })

  it('with the node.id of another node on its directory', async () => {
    const [directory] = cluster.directories
    await cluster.broker(1).stop()
    const { code, err } = await refused({ nodeId: 2, directory: directory! })
    await cluster.broker(1).restart()

    expect(code).toBe(1)
    expect(err).toContain(`${directory}: it belongs to node 1, and this is node 2\n`)
    await expectUnharmed()
  })

  it('on a directory that another process uses', async () => {
    const { directory, pid } = cluster.broker(2)
    const { code, err } = await refused({ nodeId: 2, directory })

    expect(code).toBe(1)
    expect(err).toMatch(new RegExp(`^error: Locked ${directory}: process ${pid} on .* holds it\n`))
    expect(err).toContain('Stop that process, or choose another directory')
    await expectUnharmed()
  })

  it('on a port that is taken', async () => {
    const { port } = cluster.broker(3)
    const { code, err } = await refused({ nodeId: 4, port })

    expect(code).toBe(1)
    expect(err).toContain(`127.0.0.1:${port}: the address is in use\n  Choose another port with --port\n`)
  })

  it('with a list of voters that is none', async () => {
    for (const voters of ['1@localhost', '1@a:1,1@b:2', '1@a:1,2@a:1', '1@a:0', 'a']) {
      const { code, err } = await refused({ nodeId: 4, settings: { 'controller.quorum.voters': voters } })
      expect(code).toBe(2)
      expect(err).toContain(`error: Cannot set controller.quorum.voters to "${voters}": it must be`)
      expect(err).toContain('NODE_ID@HOST:PORT')
    }
  })

  it('without cluster.secret when other nodes are on other machines', async () => {
    const voters = '1@127.0.0.1:9092,2@10.0.0.2:9092,3@10.0.0.3:9092'
    const { code, err } = await refused({ nodeId: 1, settings: { 'controller.quorum.voters': voters } })

    expect(code).toBe(1)
    expect(err).toContain(
      'cluster.secret is not set, and node 2 is on 10.0.0.2. Set the same secret on every node',
    )
  })
})

/** What a node that gave up has said, but for its log. */
function lastWords({ errLines }: LineProcess): string {
  return errLines.filter((line) => !/^\d{4}-/.test(line)).join('\n')
}

it('a node that others refuse for good gives up with the reason, they tell of it, and its directory is bound to nothing', async () => {
  const other = newClusterId()
  const directory = join(temporaryDirectory('bad-input'), 'data')
  const foreign = waiting({ nodeId: 4, directory, settings: { 'cluster.id': other } })
  const twin = waiting({ nodeId: 3 })
  const stranger = waiting({ nodeId: 5, settings: { 'cluster.secret': 'a secret that nobody knows' } })
  const codes = await Promise.all([foreign, twin, stranger].map(async ({ exited }) => (await exited).code))

  expect(codes).toEqual([1, 1, 1])
  expect(lastWords(foreign)).toMatch(
    new RegExp(
      `^error: Cannot join the cluster as node 4, nodes? .* refused: .*cluster "${other}" meets node \\d of cluster "${cluster.clusterId}".*\\. Set cluster\\.id to that of the cluster`,
    ),
  )
  expect(lastWords(twin)).toMatch(
    /^error: Cannot join the cluster as node 3, .* refused: .*node id 3 is taken by \S+, which has another data directory.*\. Stop the other process/,
  )
  expect(lastWords(stranger)).toMatch(
    /^error: Cannot join the cluster as node 5, .* refused: .*only one of the two nodes has cluster\.secret.*\. Set the same cluster\.secret on every node$/,
  )
  const complaints = cluster.complaints.join('\n')
  for (const code of ['PEER_WRONG_CLUSTER', 'PEER_DUPLICATE_NODE', 'PEER_WRONG_PROOF'])
    expect(complaints).toMatch(new RegExp(`Refused a node of the cluster .*${code}`))
  await expectUnharmed()

  // The same directory serves a node that is set up as it should be, whatever number that has.
  const corrected = waiting({ nodeId: 6, directory })
  await corrected.line((line) => line.includes('Ctrl-C'))
  await corrected.kill('SIGTERM')
})

describe('a node that others refuse says why, and they do', () => {
  it('when its list of voters leads to the wrong nodes', async () => {
    const [one, two, three] = cluster.voters.split(',').map((voter) => voter.slice(2))
    const voters = `1@${two},2@${three},3@${one}`
    const node = waiting({ nodeId: 4, settings: { 'controller.quorum.voters': voters } })

    const line = await node.errLine((each) => each.includes('PEER_WRONG_NODE'))
    expect(line).toMatch(/ERROR .*the other end refuses: this is node \d, wanted was node \d/)
    await expectUnharmed()
  })

  it('when its list of voters names it, and that of the cluster does not: it serves without a vote', async () => {
    const [port] = await reservePorts(1)
    // It finds the others if the one that leads them is on its list.
    await using client = new Client({ bootstrap: cluster.bootstrap })
    const { controllerId } = await client.admin().describeCluster()
    const left = controllerId === 1 ? 2 : 1
    const voters = cluster.voters.split(',').filter((voter) => !voter.startsWith(`${left}@`))
    const settings = { 'controller.quorum.voters': `${voters.join(',')},4@127.0.0.1:${port}` }
    const node = waiting({ nodeId: 4, port: port!, settings })

    const line = await node.errLine((each) => each.includes('controller.quorum.voters'))
    expect(line).toMatch(/WARN .*does not let it vote: .* nodeId=4 given="?[123],[123],4"? voters="?1,2,3"?$/)
    await expectUnharmed()
  })
})

it('a node that reaches nobody says within seconds whom it waits for, and stops when it is told to', async () => {
  const [own, ...others] = await reservePorts(3)
  const voters = [own, ...others].map((port, index) => `${index + 1}@127.0.0.1:${port}`).join(',')
  const settings = { 'controller.quorum.voters': voters, 'cluster.id': newClusterId() }
  const node = waiting({ nodeId: 1, port: own!, settings })

  const line = await node.errLine((each) => each.includes('Waiting for'))
  expect(line).toMatch(
    new RegExp(
      `WARN +Waiting for the voters 1, 2, 3: a new cluster begins when all of them are up; node 2: no connection to ws://127\\.0\\.0\\.1:${others[0]}: .*; node 3: no connection to ws://127\\.0\\.0\\.1:${others[1]}: `,
    ),
  )
  const startedMs = performance.now()
  const { code } = await node.kill('SIGTERM')

  expect(performance.now() - startedMs).toBeLessThan(STOP_MS_MAX)
  expect(code).toBe(130)
  expect(node.errLines.at(-1)).toBe('Stopped before it served')
})

it('nodes whose lists of voters disagree make no cluster, say whose list is another, and begin once it is corrected', async () => {
  const ports = await reservePorts(3)
  const listOf = (ids: readonly number[]): string =>
    ids.map((id) => `${id}@127.0.0.1:${ports[id - 1]}`).join()
  const clusterId = newClusterId()
  const start = (nodeId: number, ids: readonly number[]): LineProcess => {
    const settings = { 'controller.quorum.voters': listOf(ids), 'cluster.id': clusterId }
    return waiting({ nodeId, port: ports[nodeId - 1]!, settings })
  }
  // Each is up after the one before has failed to reach it, and has to reach that one itself.
  const unreachable = (node: LineProcess, nodeId: number): Promise<string> =>
    node.errLine((each) => each.includes(`No connection to node ${nodeId} `))
  const one = start(1, [1, 2, 3])
  await unreachable(one, 2)
  const two = start(2, [1, 2, 3])
  await unreachable(two, 3)
  const wrong = start(3, [2, 3])
  const said =
    /: a new cluster begins when all of them are up; node 3 goes by the voters 2, 3 and this node by 1, 2, 3: give both the same controller\.quorum\.voters nodeId/
  await Promise.all([one, two].map((node) => node.errLine((each) => said.test(each))))
  await wrong.errLine((each) => each.includes('node 2 goes by the voters 1, 2, 3 and this node by 2, 3:'))
  await wrong.kill('SIGTERM')

  const right = start(3, [1, 2, 3])
  await Promise.all([one, two, right].map((node) => node.line((each) => each.includes('Ctrl-C'))))
})

describe('a topic is refused', () => {
  const create = (...args: string[]) =>
    run(process.execPath, [MAIN, 'topic', 'create', 'refused', '-b', cluster.bootstrap.join(), ...args])

  it('with more replicas than there are brokers', async () => {
    const { code, err } = await create('--replication-factor', '5')

    expect(code).toBe(2)
    expect(err).toMatch(
      /^error: Cannot create topic 'refused': Replication factor is 5, but only [3-6] of [3-6] brokers are alive \(INVALID_REPLICATION_FACTOR\)\n {2}There must be as many brokers as replicas\n$/,
    )
  })

  it('with a min.insync.replicas that it can never reach', async () => {
    const { code, err } = await create('--replication-factor', '2', '--config', 'min.insync.replicas=3')

    expect(code).toBe(2)
    expect(err).toContain(
      'Cannot set min.insync.replicas to 3: the topic has 2 replicas, so no write with acks=all could succeed',
    )
  })
})
