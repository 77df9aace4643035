/**
 * `millrace start --brokers`, a cluster on one machine by one command: what it prints, what it does when a broker of it or
 * itself dies, how it stops, and what it refuses. Real processes throughout.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { silentLogger } from '../../src/env/logger.ts'
import { Client } from '../../src/index.ts'
import { LineProcess, run } from '../support/child-process.ts'
import { until } from '../support/cluster-processes.ts'
import { inSync } from '../support/every-broker.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')
/** Ctrl-C must have stopped everything within this, in ms; it takes a fraction of a second on an idle machine. */
const STOP_MS_MAX = 5000
/** What makes a cluster of tests find out soon that a broker is gone. */
const QUICK = ['--set', 'broker.session.timeout.ms=1500', '--set', 'broker.heartbeat.interval.ms=300']

interface ClusterPlace {
  readonly clusterId: string
  readonly brokers: readonly {
    readonly pid: number
    readonly nodeId: number
    readonly clusterId: string
    readonly dataDirectory: string
    readonly listeners: readonly { readonly port: number; readonly bootstrap: string }[]
  }[]
}

class StartedCluster {
  readonly process: LineProcess
  readonly place: ClusterPlace

  private constructor(process: LineProcess, place: ClusterPlace) {
    this.process = process
    this.place = place
  }

  static async start(directory: string, ...args: string[]): Promise<StartedCluster> {
    const started = new LineProcess(process.execPath, [
      ...[MAIN, 'start', '--brokers', '3', '--port', '0', '--data-dir', directory, '-o', 'json'],
      ...[...QUICK, ...args],
    ])
    const cluster = new StartedCluster(started, JSON.parse(await started.line()) as ClusterPlace)
    onTestFinished(async () => {
      await started.kill('SIGKILL')
      await until('no broker runs', () => !cluster.pids.some(isRunning))
    })
    return cluster
  }

  get bootstrap(): readonly string[] {
    return this.place.brokers.map(({ listeners }) => listeners[0]!.bootstrap)
  }

  get pids(): readonly number[] {
    return this.place.brokers.map(({ pid }) => pid)
  }

  client(): Client {
    return new Client({ bootstrap: this.bootstrap, retryBackoffMaxMs: 100, logger: silentLogger })
  }
}

/** What was said, without what a start says that takes long because the machine is busy. */
function withoutWaiting(lines: readonly string[]): string[] {
  return lines.filter((line) => !/WARN +Waiting to be let in/.test(line))
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function values(client: Client, topic: string): Promise<string[]> {
  await using consumer = client.consumer({ topics: [topic], from: 'beginning', untilEnd: true })
  const found: string[] = []
  for await (const { value } of consumer) found.push(Buffer.from(value!).toString())
  return found
}

/** Loaded into the process that starts the brokers: takes the first port that it has found free, before a broker does. */
const SQUATTER = `
import { Server, createServer } from 'node:net'
const close = Server.prototype.close
let isFirst = process.env.MILLRACE_PARENT === undefined
Server.prototype.close = function (done) {
  if (!isFirst) return close.call(this, done)
  isFirst = false
  const { port, address } = this.address()
  return close.call(this, () => createServer().listen(port, address, () => done()).unref())
}
`

it('begins again on other ports when somebody takes one that was free', async () => {
  const started = new LineProcess(
    process.execPath,
    [MAIN, 'start', '--brokers', '3', '--port', '0', '--data-dir', temporaryDirectory('start-brokers')],
    { env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(SQUATTER)}` } },
  )
  onTestFinished(() => started.kill('SIGKILL').then(() => undefined))
  await started.line((line) => line.includes('Ctrl-C'))

  const said = started.errLines.join('\n')
  expect(said).toMatch(/broker 1 \| error: .*: the address is in use\n/)
  expect(said).toContain('Another process took a port that was free; the brokers begin again on others')
  expect((await started.kill('SIGINT')).code).toBe(0)
})

it('tells where the brokers are and what to try, and Ctrl-C stops them all cleanly', async () => {
  const directory = temporaryDirectory('start-brokers')
  const started = new LineProcess(process.execPath, [
    ...[MAIN, 'start', '--brokers', '3', '--port', '0', '--data-dir', directory],
  ])
  onTestFinished(() => started.kill('SIGKILL').then(() => undefined))
  await started.line((line) => line.includes('Ctrl-C'))

  const text = started.outLines.join('\n')
  expect(text).toMatch(/^Millrace \S+, 3 brokers on this machine\n/)
  expect(text).toMatch(/Kafka +localhost:\d+,localhost:\d+,localhost:\d+\n/)
  expect(text.match(/WebSocket +ws:\/\/localhost:\d+/g)).toHaveLength(3)
  expect(text).toContain(directory)
  const [, bootstrap] = /topic create events -b (\S+)/.exec(text)!
  const tried = await run(process.execPath, [MAIN, 'topic', 'create', 'events', '-b', bootstrap!])
  expect(tried.code, tried.err).toBe(0)
  const described = await run(process.execPath, [
    ...[MAIN, 'topic', 'describe', 'events', '-b', bootstrap!, '-o', 'json'],
  ])
  expect(described.code, described.err).toBe(0)
  const pids = /processes (\d+), (\d+), (\d+)/.exec(text)!.slice(1).map(Number)

  const startedMs = performance.now()
  const { code } = await started.kill('SIGINT')
  expect(performance.now() - startedMs).toBeLessThan(STOP_MS_MAX)

  expect(code).toBe(0)
  expect(pids.filter(isRunning)).toEqual([])
  expect(started.errLines.at(-1)).toBe('Stopped: 3 brokers')
  const stopped = withoutWaiting(started.errLines.slice(0, -1)).sort()
  expect(stopped).toEqual(
    [1, 2, 3].map((nodeId) => `broker ${nodeId} | Stopped cleanly: ${join(directory, `broker-${nodeId}`)}`),
  )
})

it('starts a broker again that was killed, says so, and finds the data of the run before', async () => {
  const directory = temporaryDirectory('start-brokers')
  const first = await StartedCluster.start(directory)
  {
    await using client = first.client()
    await using producer = client.producer()
    await client.admin().createTopics([{ name: 'kept', partitions: 1 }])
    await producer.send({ topic: 'kept', value: 'before' })
    const [topic] = await client.admin().describeTopics(['kept'])
    const leader = topic!.partitions[0]!.leader!
    const { pid } = first.place.brokers.find(({ nodeId }) => nodeId === leader)!

    process.kill(pid, 'SIGKILL')

    expect(await first.process.errLine((line) => line.includes('SIGKILL'))).toBe(
      `broker ${leader} | ended by SIGKILL; it starts again in 1 s`,
    )
    await producer.send({ topic: 'kept', value: 'while one is down' })
    await inSync(first.bootstrap, 'kept')
    expect(await values(client, 'kept')).toEqual(['before', 'while one is down'])
  }
  expect((await first.process.kill('SIGTERM')).code).toBe(0)

  const second = await StartedCluster.start(directory)
  expect(second.place.clusterId).toBe(first.place.clusterId)
  await using client = second.client()
  expect(await values(client, 'kept')).toEqual(['before', 'while one is down'])
})

it('a broker of it ends cleanly when the process that started it is killed', async () => {
  const directory = temporaryDirectory('start-brokers')
  const { process: parent, pids } = await StartedCluster.start(directory)

  await parent.kill('SIGKILL')
  await until('no broker runs', () => !pids.some(isRunning), STOP_MS_MAX)

  const again = await StartedCluster.start(directory)
  expect(withoutWaiting(again.process.errLines)).toEqual([])
})

it('stops the others, and says why, when one of them cannot start', async () => {
  const directory = temporaryDirectory('start-brokers')
  const running = await StartedCluster.start(directory)
  const other = await run(process.execPath, [
    ...[MAIN, 'start', '--brokers', '2', '--port', '0', '--data-dir', directory],
  ])

  expect(other.code).toBe(1)
  expect(other.out.toString()).toBe('')
  expect(other.err).toMatch(/broker [12] \| error: Locked .*broker-[12]: process \d+ on .* holds it/)
  expect(other.err).toMatch(/error: Cannot start the cluster: broker [12] ended with code 1, see above/)
  expect(running.pids.every(isRunning)).toBe(true)
  expect(withoutWaiting(running.process.errLines)).toEqual([])
})

it('refuses counts that are none, and memory without disk', async () => {
  const directory = join(temporaryDirectory('start-brokers'), 'data')
  const start = (...args: string[]) =>
    run(process.execPath, [MAIN, 'start', '--port', '0', ...args, '--data-dir', directory])

  for (const count of ['0', '16', 'x', '-1', '1.5']) {
    const { code, err } = await start('--brokers', count)
    expect({ code, err: err.split('\n')[0] }).toEqual({
      code: 2,
      err: expect.stringMatching(/--brokers .*1 .*15/) as string,
    })
  }
  const { code, err } = await run(process.execPath, [MAIN, 'start', '--brokers', '3', '--ephemeral'])
  expect(code).toBe(2)
  expect(err).toMatch(/^error: Cannot start: --brokers keeps its data on disk, and --ephemeral wants none\n/)
  expect(existsSync(directory)).toBe(false)
})
