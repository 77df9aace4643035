/**
 * The command: what it prints, what it answers to its caller, and what Ctrl-C and broken pipes do to it. Whatever has to do
 * with processes (starting, signals, pipes, exit codes) is shown with real ones of the built command; the rest runs the
 * same command in this process, with streams of its own, since starting one takes longer than the command. One broker on a
 * free port serves all tests that need one; those that are about starting have their own.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand as run } from '../support/run-command.ts'
import type { CommandResult as Result } from '../support/run-command.ts'

const COMMAND = join(import.meta.dirname, '../../dist/cli/main.js')

const directory = mkdtempSync(join(tmpdir(), 'millrace-cli-'))
const children = new Set<Running>()

/** A process of the command, with what it printed so far. */
class Running {
  readonly child: ChildProcessWithoutNullStreams
  readonly ended: Promise<Result>
  out = ''
  err = ''
  readonly #outChunks: Buffer[] = []
  #watchers: (() => void)[] = []

  constructor(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('MILLRACE_'))
    this.child = spawn(process.execPath, [COMMAND, ...args], {
      cwd: directory,
      env: { ...Object.fromEntries(inherited), ...environment },
    })
    children.add(this)
    this.child.stdin.on('error', () => undefined) // The process may end before it has read everything.
    this.child.stdout.on('data', (chunk: Buffer) => {
      this.#outChunks.push(chunk)
      this.out += chunk.toString('latin1')
      this.#changed()
    })
    this.child.stderr.on('data', (chunk: Buffer) => {
      this.err += chunk.toString()
      this.#changed()
    })
    this.ended = new Promise((resolve) => {
      this.child.on('close', (code) => {
        children.delete(this)
        this.#changed()
        resolve({ code, out: Buffer.concat(this.#outChunks).toString(), err: this.err })
      })
    })
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#outChunks)
  }

  /** Resolves once `holds` does; fails when the process ends first. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`The process ended with ${this.child.exitCode}:\n${this.out}\n${this.err}`)
      }
      await new Promise<void>((resolve) => this.#watchers.push(resolve))
    }
  }

  #changed(): void {
    for (const watcher of this.#watchers.splice(0)) watcher()
  }
}

/** Runs the command in a process of its own, to its end. */
function runProcess(args: readonly string[], input: string | Buffer = ''): Promise<Result> {
  const running = new Running(args)
  running.child.stdin.end(input)
  return running.ended
}

/** A port at which nothing listens. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

interface Place {
  readonly clusterId: string
  readonly listeners: readonly { readonly bootstrap: string; readonly url: string; readonly port: number }[]
  readonly dataDirectory: string | null
  readonly durability: string
}

async function startBroker(...args: string[]): Promise<{ running: Running; place: Place }> {
  const running = new Running(['start', '--port', '0', '-o', 'json', ...args])
  await running.until(() => running.out.includes('\n'))
  return { running, place: JSON.parse(running.out) as Place }
}

async function stop(running: Running): Promise<Result> {
  running.child.kill('SIGINT')
  return running.ended
}

let shared: { running: Running; place: Place }
let tcp: string
let webSocket: string
let topicCount = 0

/** Runs a command against the shared broker. */
function client(args: readonly string[], input: string | Buffer = ''): Promise<Result> {
  return run(args, input, { MILLRACE_BOOTSTRAP: tcp })
}

async function createTopic(...flags: string[]): Promise<string> {
  const topic = `topic-${++topicCount}`
  expect(await client(['topic', 'create', topic, ...flags])).toMatchObject({ code: 0, err: '' })
  return topic
}

beforeAll(async () => {
  expect(existsSync(COMMAND), 'dist/ is missing: run npm run build').toBe(true)
  process.chdir(directory)
  shared = await startBroker('--ephemeral')
  tcp = shared.place.listeners[0]!.bootstrap
  webSocket = shared.place.listeners[0]!.url
})

afterAll(async () => {
  for (const running of children) running.child.kill('SIGKILL')
  await Promise.all([...children].map(({ ended }) => ended))
  rmSync(directory, { recursive: true, force: true })
})

describe('millrace', () => {
  it('shows its help without arguments, and its version', async () => {
    const help = await runProcess([])
    expect(help.code).toBe(0)
    expect(help.out).toContain('Usage: millrace')
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
      version: string
    }
    expect(await runProcess(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' })
  })

  it('answers by the exit code of its process', async () => {
    const unreachable = ['topic', 'list', '-b', `127.0.0.1:${await freePort()}`, '--connect-timeout', '0s']
    const commands = [['tpoic'], unreachable, ['topic', 'describe', 'nothing', '-b', tcp]]
    const results = await Promise.all(commands.map((args) => runProcess(args)))
    expect(results.map(({ code, out }) => [code, out])).toEqual([2, 3, 5].map((code) => [code, '']))
    expect(results[0]!.err).toMatch(/^error: Unknown command 'tpoic'/)
  })

  it.each([
    { args: ['tpoic'], message: "Unknown command 'tpoic' (Did you mean topic?)" },
    { args: ['topic', 'crate'], message: "Unknown command 'crate' (Did you mean create?)" },
    { args: ['topic', 'list', '--ouput', 'json'], message: 'Did you mean --output?' },
    { args: ['topic', 'create'], message: "Missing required argument 'names'" },
    { args: ['topic', 'create', 'x', '-p', '0'], message: 'Wanted a whole number from 1' },
    { args: ['tail', 'x', '-n', '5', '--from', 'end'], message: 'cannot be used with' },
    { args: ['tail', 'x', '--format', '%x'], message: 'There is no placeholder %x' },
    { args: ['topic', 'list', '-b', 'http://x'], message: 'Cannot read the bootstrap list' },
    { args: ['start', '--ephemeral', '-d', 'x'], message: '--ephemeral has no use for --data-dir' },
    { args: ['start', '--set', 'no.such=1'], message: 'Cannot set broker config "no.such"' },
    {
      args: ['start', '--set', 'node.id=x'],
      message: 'Cannot set node.id to "x": it must be a whole number',
    },
  ])('answers 2 to $args, and says why', async ({ args, message }) => {
    const { code, out, err } = await run(args)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err.toLowerCase()).toContain(message.toLowerCase())
    expect(err).toMatch(/^error: [^\n]+\n/)
  })
})

describe('topics', () => {
  it('are created, listed, described, altered and deleted', async () => {
    const topic = await createTopic('-p', '3', '-c', 'retention.ms=7d')
    expect((await client(['topic', 'list'])).out).toMatch(new RegExp(`^${topic}\t3\t1\t\\S{22}\tfalse$`, 'm'))
    expect((await client(['topic', 'alter', topic, '-p', '4', '-c', 'segment.bytes=1MiB'])).code).toBe(0)
    const described = JSON.parse((await client(['topic', 'describe', topic, '-o', 'json'])).out) as {
      name: string
      partitions: { partition: number; leader: number; endOffset: number }[]
      configs: { name: string; value: string; source: string }[]
    }[]
    expect(described[0]!.partitions).toMatchObject(
      [0, 1, 2, 3].map((partition) => ({ partition, endOffset: 0 })),
    )
    expect(described[0]!.configs).toEqual(
      expect.arrayContaining([
        { name: 'retention.ms', value: '604800000', source: 'topic' },
        { name: 'segment.bytes', value: '1048576', source: 'topic' },
      ]),
    )
    expect(await client(['topic', 'delete', topic])).toEqual({
      code: 0,
      out: `Deleted topic ${topic}\n`,
      err: '',
    })
    expect((await client(['topic', 'describe', topic])).code).toBe(5)
    expect((await client(['topic', 'delete', topic, '--if-exists'])).code).toBe(0)
  })

  it('exist once: a second creation fails unless that is said to be fine', async () => {
    const topic = await createTopic()
    const again = await client(['topic', 'create', topic])
    expect(again.code).toBe(1)
    expect(again.err).toContain('--if-not-exists')
    expect((await client(['topic', 'create', topic, '--if-not-exists'])).code).toBe(0)
  })

  it.each(['../x', '.', 'a b', 'x'.repeat(250), 'ü'])('cannot be called %s', async (name) => {
    const { code, err } = await client(['topic', 'create', name])
    expect(code).toBe(2)
    expect(err).toContain('letters, digits')
  })

  it('can be called __proto__ like anything else', async () => {
    expect((await client(['topic', 'create', '__proto__'])).code).toBe(0)
    expect((await client(['produce', '__proto__'], 'x\n')).code).toBe(0)
    expect((await client(['tail', '__proto__', '-e'])).out).toBe('x\n')
  })

  it.each([['topic', 'describe'], ['tail'], ['produce'], ['topic', 'delete'], ['topic', 'alter', '-p', '2']])(
    'that do not exist are answered with 5 and the nearest name (%s)',
    async (...words) => {
      const topic = await createTopic()
      const { code, err } = await client([...words, `${topic}x`])
      expect(code).toBe(5)
      expect(err).toContain(`Cannot find topic "${topic}x"`)
      expect(err).toContain('Did you mean topic-')
    },
  )

  it('of a broker that is not there are answered with 3 and what to do', async () => {
    const { code, err } = await run([
      'topic',
      'list',
      '-b',
      `127.0.0.1:${await freePort()}`,
      '--connect-timeout',
      '0s',
    ])
    expect(code).toBe(3)
    expect(err).toContain('millrace start')
  })
})

describe('produce and tail', () => {
  it('carry a file of lines unchanged, over TCP and over WebSocket', async () => {
    const topic = await createTopic()
    const lines = Buffer.from(
      Array.from({ length: 5000 }, (_, index) => `line ${index}`).join('\n') + '\n\n\r\n',
    )
    const binary = Buffer.from([0, 255, 27, 10, 200, 10])
    const input = Buffer.concat([lines, binary])
    for (const bootstrap of [tcp, webSocket]) {
      const produced = await runProcess(['produce', topic, '-b', bootstrap], input)
      expect(produced).toMatchObject({ code: 0, out: '' })
      expect(produced.err).toMatch(new RegExp(`^5,004 records to ${topic} in `))
    }
    for (const bootstrap of [tcp, webSocket]) {
      const tail = new Running(['tail', topic, '-b', bootstrap, '--from', 'beginning', '--exit-at-end'])
      expect((await tail.ended).code).toBe(0)
      expect(tail.bytes.equals(Buffer.concat([input, input]))).toBe(true)
    }
  })

  it('keep a last line without an end', async () => {
    const topic = await createTopic()
    await client(['produce', topic, '-q'], 'a\nb')
    expect((await client(['tail', topic, '-e'])).out).toBe('a\nb\n')
  })

  it('carry keys, headers, partitions and compression', async () => {
    const topic = await createTopic('-p', '2')
    const flags = ['-k', ':', '-H', 'a=1', '-H', 'a=2', '-p', '1', '-z', 'gzip']
    await client(['produce', topic, ...flags], 'k:v:w\n:\n')
    const { out } = await client(['tail', topic, '-e', '-o', 'json'])
    const records = JSON.parse(out) as object[]
    const headers = ['1', '2'].map((value) => ({ key: 'a', value, valueEncoding: 'utf8' }))
    expect(records).toMatchObject([
      { topic, partition: 1, offset: 0, key: 'k', value: 'v:w', valueEncoding: 'utf8', headers },
      { topic, partition: 1, offset: 1, key: '', value: '', headers },
    ])
  })

  it('show the last records over all partitions, oldest first', async () => {
    const topic = await createTopic('-p', '3')
    for (const line of ['a', 'b', 'c', 'd'])
      await client(['produce', topic, '-p', String(line.charCodeAt(0) % 3)], line)
    expect((await client(['tail', topic, '-e', '-n', '3'])).out).toBe('b\nc\nd\n')
    expect((await client(['tail', topic, '-e', '--since', '1h', '-p', '1'])).out).toBe('a\nd\n')
    expect((await client(['tail', topic, '-e', '-p', '1', '--from', '1', '-f', '%p %o %v'])).out).toBe(
      '1 1 d\n',
    )
  })

  it('name the first line that fails, and stop there', async () => {
    const topic = await createTopic()
    const { code, err } = await client(['produce', topic, '-k', ':'], 'a:1\nb:2\nno key\nc:3\n')
    expect(code).toBe(1)
    expect(err).toContain('Cannot write line 3: it has no key separator ":"')
    expect((await client(['tail', topic, '-e'])).out).toBe('1\n2\n')
  })

  it('say what is wrong with a record that the broker refuses', async () => {
    const topic = await createTopic('-c', 'max.message.bytes=1KiB')
    const { code, err } = await client(['produce', topic], `${'x'.repeat(10_000)}\n`)
    expect(code).toBe(1)
    expect(err).toContain('Cannot write line 1: ')
    expect(err).toContain('max.message.bytes')
  })

  it('refuse partitions that do not exist', async () => {
    const topic = await createTopic()
    expect(await client(['produce', topic, '-p', '1'], 'x')).toMatchObject({ code: 5 })
    expect(await client(['tail', topic, '-p', '1'])).toMatchObject({ code: 5 })
  })

  it('follow what comes, and end cleanly with Ctrl-C', async () => {
    const topic = await createTopic()
    await client(['produce', topic], 'before\n')
    const tail = new Running(['tail', topic, '-b', tcp])
    await tail.until(() => tail.out.includes('before'))
    await client(['produce', topic], 'after\n')
    await tail.until(() => tail.out.includes('after'))
    expect(await stop(tail)).toEqual({ code: 0, out: 'before\nafter\n', err: '' })
  })

  it('end silently when the reader of the pipe goes', async () => {
    const topic = await createTopic()
    await client(['produce', topic], `${'x'.repeat(1000)}\n`.repeat(2000))
    const tail = new Running(['tail', topic, '-b', tcp, '--from', 'beginning'])
    await tail.until(() => tail.out.length > 0)
    tail.child.stdout.destroy()
    expect(await tail.ended).toMatchObject({ code: 0, err: '' })
  })

  it('write what was read when Ctrl-C comes, and say how far that was', async () => {
    const topic = await createTopic()
    const producing = new Running(['produce', topic, '-b', tcp])
    producing.child.stdin.write('one\ntwo\nnot whole')
    const tail = new Running(['tail', topic, '-b', tcp])
    await tail.until(() => tail.out === 'one\ntwo\n')
    const stopped = await stop(producing)
    expect(stopped.code).toBe(130)
    expect(stopped.err).toBe(`Stopped by Ctrl-C after line 2: 2 records to ${topic}, all that was read\n`)
    await stop(tail)
    expect((await client(['tail', topic, '-e'])).out).toBe('one\ntwo\n')
  })
})

describe('start', () => {
  it('says where it listens, where its data is and what an acknowledgement means, and stops cleanly', async () => {
    const running = new Running(['start', '--port', '0', '-d', 'plain', '--log-level', 'silent'])
    await running.until(() => running.out.includes('Ctrl-C'))
    expect(running.out).toMatch(/Kafka +localhost:[1-9]\d+\n/)
    expect(running.out).toMatch(/WebSocket +ws:\/\/localhost:[1-9]\d+\n/)
    expect(running.out).toContain(join(directory, 'plain'))
    expect(running.out).toContain('disk: an acknowledged record is on stable storage')
    const { code, err } = await stop(running)
    expect({ code, err }).toEqual({ code: 0, err: `Stopped cleanly: ${join(directory, 'plain')}\n` })
  })

  it('keeps topics and records over a restart, also after kill -9, and reconnects who follows', async () => {
    const first = await startBroker('-d', 'kept')
    const { port, bootstrap } = first.place.listeners[0]!
    const environment = { MILLRACE_BOOTSTRAP: bootstrap }
    await run(['topic', 'create', 'kept'], '', environment)
    await run(['produce', 'kept'], 'one\n', environment)
    const tail = new Running(['tail', 'kept', '-b', bootstrap])
    await tail.until(() => tail.out === 'one\n')
    await run(['produce', 'kept'], 'two\n', environment)
    await tail.until(() => tail.out === 'one\ntwo\n') // so it follows, and is not only about to
    first.running.child.kill('SIGKILL')
    await first.running.ended
    await tail.until(() => tail.err.includes('note: '))
    const second = new Running(['start', '-o', 'json', '-d', 'kept', '--port', String(port)])
    await second.until(() => second.out.includes('\n'))
    expect(JSON.parse(second.out)).toMatchObject({ clusterId: first.place.clusterId })
    await run(['produce', 'kept'], 'three\n', environment)
    await tail.until(() => tail.out === 'one\ntwo\nthree\n')
    expect((await stop(tail)).code).toBe(0)
    expect((await stop(second)).code).toBe(0)
  })

  it('says what holds a port that is taken', async () => {
    const { port } = shared.place.listeners[0]!
    const { code, err } = await run(['start', '--ephemeral', '--port', String(port), '--log-level', 'silent'])
    expect(code).toBe(1)
    expect(err).toContain(`127.0.0.1:${port}`)
    expect(err).toContain('--port')
  })

  it('refuses a directory that another broker uses, and one of another cluster', async () => {
    const { running } = await startBroker('-d', 'used')
    const quiet = ['start', '--port', '0', '-d', 'used', '--log-level', 'silent']
    const locked = await run(quiet)
    expect(locked.code).toBe(1)
    expect(locked.err).toContain(`process ${running.child.pid}`)
    expect((await run(['verify', 'used'])).code).toBe(1)
    await stop(running)
    const foreign = await run([...quiet, '--set', 'cluster.id=AAAAAAAAAAAAAAAAAAAAAB'])
    expect(foreign.code).toBe(1)
    expect(foreign.err).toContain('AAAAAAAAAAAAAAAAAAAAAB')
  })

  it('takes settings from flags, environment and file, in this order, and explains them', async () => {
    writeFileSync(
      join(directory, 'b.properties'),
      '# a comment\nnum.partitions=2\nlog.dir=from-file\nnode.id=5\n',
    )
    const environment = { MILLRACE_CONFIG: 'b.properties', MILLRACE_LOG_DIR: 'from-environment' }
    const flags = ['--set', 'node.id=7', '--host', '0.0.0.0']
    const { out } = await run(['config', 'explain', '--given', '-o', 'json', ...flags], '', environment)
    const rows = JSON.parse(out) as { name: string; value: string; source: string }[]
    expect(new Map(rows.map(({ name, value, source }) => [name, `${value} from ${source}`]))).toEqual(
      new Map([
        ['num.partitions', '2 from b.properties:2'],
        ['node.id', '7 from --set node.id'],
        ['log.dir', 'from-environment from MILLRACE_LOG_DIR'],
        ['listeners', 'any://0.0.0.0:9092 from --host'],
      ]),
    )
  })

  it('names file and line of a setting that is wrong, and a file that is missing', async () => {
    writeFileSync(join(directory, 'bad.properties'), 'num.partitions=2\nnum.partition=3\n')
    const bad = await run(['start', '-c', 'bad.properties'])
    expect(bad.code).toBe(2)
    expect(bad.err).toContain('the nearest is num.partitions')
    expect((await run(['start', '-c', 'none.properties'])).code).toBe(5)
  })
})

/** Long enough for compression to be worth it. */
const VALUES = ['one', 'two', 'three'].map((word) => word.repeat(100))

describe('dump and verify', () => {
  beforeAll(async () => {
    const { running, place } = await startBroker('-d', 'data')
    const environment = { MILLRACE_BOOTSTRAP: place.listeners[0]!.bootstrap }
    await run(['topic', 'create', 'events'], '', environment)
    for (const line of VALUES) await run(['produce', 'events', '-z', 'gzip'], line, environment)
    await stop(running)
  })

  const log = (data: string): string => join(directory, data, 'events-0', '00000000000000000000.log')

  it('find nothing wrong after a clean stop', async () => {
    const { code, out, err } = await run(['verify', 'data'])
    expect({ code, err }).toMatchObject({
      code: 0,
      err: expect.stringContaining('stopped cleanly: no damage') as string,
    })
    expect(out).toMatch(/^events\t0\t0\t3\t1\t3\t3\t\d+\tsound$/m)
  })

  it('print batches and records of a file', async () => {
    const { code, out } = await run(['dump', join('data', 'events-0'), '--records', '-o', 'ndjson'])
    const batches = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { records: { value: string }[] })
    expect(code).toBe(0)
    expect(batches).toMatchObject(
      [0, 1, 2].map((offset) => ({ baseOffset: offset, lastOffset: offset, codec: 'gzip' })),
    )
    expect(batches.flatMap(({ records }) => records.map(({ value }) => value))).toEqual(VALUES)
  })

  it('name file and position of one flipped bit, wherever it is', async () => {
    const whole = readFileSync(log('data'))
    const secondBatch = whole.readInt32BE(8) + 12
    for (const position of [3, 14, 70].map((within) => secondBatch + within)) {
      cpSync(join(directory, 'data'), join(directory, 'flipped'), { recursive: true })
      const bytes = Buffer.from(whole)
      bytes[position]! ^= 4
      writeFileSync(log('flipped'), bytes)
      const { code, err } = await run(['verify', 'flipped'])
      expect(code, `position ${position}`).toBe(1)
      expect(err).toContain(`${log('flipped')}:${secondBatch} `)
      rmSync(join(directory, 'flipped'), { recursive: true })
    }
  })

  it('answer 5 to what is not there', async () => {
    mkdirSync(join(directory, 'empty'), { recursive: true })
    expect((await run(['dump', 'nothing.log'])).code).toBe(5)
    expect((await run(['dump', 'empty'])).code).toBe(5)
    expect((await run(['verify', 'nothing'])).code).toBe(5)
  })
})

describe('completion', () => {
  it('offers live names of topics, and nothing when there is no broker', async () => {
    const topic = await createTopic()
    const { out } = await client(['__complete', '--line', `millrace tail ${topic}`])
    expect(out.split('\n')).toContain(topic)
    const silent = await run(['__complete', '--', 'tail', '-b', '127.0.0.1:1', ''])
    expect(silent).toEqual({ code: 0, out: '', err: '' })
  })
})
