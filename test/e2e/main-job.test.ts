/**
 * The main job, as README.md tells it, with real processes only: a topic is created, a file of lines is written by the
 * command, followed by another process of the command, read by kcat, by our client over WebSocket and asked for by kafkajs;
 * the broker is killed in the middle of writing and started again, and every line that was acknowledged is there once, in
 * order.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Kafka, logLevel } from 'kafkajs'
import { beforeAll, describe, expect, it } from 'vitest'
import { Prng } from '../../src/env/sim/prng.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { LineProcess, run } from '../support/child-process.ts'
import { readValues } from '../support/collect.ts'
import { checkLogs, formatFaults, LogHistory } from '../support/log-checker.ts'
import { kcat } from '../support/programs.ts'
import { seedFromEnv } from '../support/seed.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

const ROOT = join(import.meta.dirname, '../..')
const MAIN = join(ROOT, 'dist/cli/main.js')
/** Thousands of lines, many of them alike, as in real files. */
const FILE = readFileSync(join(ROOT, 'package-lock.json'), 'utf8')
const LINES = FILE.split('\n').slice(0, -1)
/** A line that the file does not have. */
const END = 'that was all'

const millrace = (bootstrap: string, ...args: string[]): LineProcess =>
  new LineProcess(process.execPath, [MAIN, ...args], { env: { MILLRACE_BOOTSTRAP: bootstrap } })

async function succeed(process: LineProcess): Promise<void> {
  const { code } = await process.exited
  expect(code, process.errLines.join('\n')).toBe(0)
}

describe('a file of lines', () => {
  let broker: BrokerProcess
  let tail: LineProcess
  beforeAll(async () => {
    broker = await BrokerProcess.start({ directory: temporaryDirectory('main-job') })
    return () => broker.kill()
  })

  it('goes into a topic by the command', async () => {
    await succeed(millrace(broker.bootstrap, 'topic', 'create', 'lines'))
    tail = millrace(broker.webSocketUrl, 'tail', 'lines', '--from', 'beginning')
    const produce = millrace(broker.bootstrap, 'produce', 'lines')

    produce.write(FILE)
    produce.endInput()

    await succeed(produce)
    expect(produce.errLines).toEqual([expect.stringMatching(/^[\d,]+ records to lines in /)])
    expect(Number(/^[\d,]+/.exec(produce.errLines[0]!)![0].replaceAll(',', ''))).toBe(LINES.length)
  })

  it('comes out of another process that follows, over WebSocket', async () => {
    const more = millrace(broker.bootstrap, 'produce', 'lines', '--quiet')
    more.write(`${END}\n`)
    more.endInput()
    await succeed(more)

    await tail.line((line) => line === END)

    expect(tail.outLines).toEqual([...LINES, END])
    expect((await tail.kill('SIGINT')).code).toBe(0)
  })

  it.skipIf(kcat().missing !== null)('comes out of kcat', async () => {
    const args = ['-C', '-q', '-e', '-X', 'fetch.wait.max.ms=20', '-t', 'lines']

    const { code, out, err } = await run('kcat', ['-b', broker.bootstrap, ...args])

    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out.toString()).toBe(`${FILE}${END}\n`)
  })

  it('comes out of our client over WebSocket', async () => {
    expect(await readValues(broker.webSocketUrl, 'lines')).toEqual([...LINES, END])
  })

  it('is where kafkajs is told that it is', async () => {
    const admin = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING }).admin()
    await admin.connect()

    const offsets = await admin.fetchTopicOffsets('lines')

    const end = String(LINES.length + 1)
    expect(offsets).toEqual([{ partition: 0, offset: end, high: end, low: '0' }])
    await admin.disconnect()
  })

  it('is still there after the broker stopped, and found sound', async () => {
    await broker.stop()
    const { directory } = broker
    const verified = spawnSync(process.execPath, [MAIN, 'verify', directory], { encoding: 'utf8' })
    await broker.restart()

    expect({ code: verified.status, err: verified.stderr }).toMatchObject({
      code: 0,
      err: expect.stringContaining('no damage') as string,
    })
    expect(await readValues(broker.bootstrap, 'lines')).toEqual([...LINES, END])
    expect(broker.complaints).toEqual([])
  })
})

describe('a broker that is killed while a file is being written', () => {
  const prng = new Prng(String(seedFromEnv('main job')), 'main job')
  const ROUNDS = 3
  /** Each line is another one. */
  const NUMBERED = Array.from({ length: 60_000 }, (_, index) => `${index} ${LINES[index % LINES.length]!}`)

  it('F-KILL: has every line once and in order, since the command goes on by itself', async () => {
    const broker = await BrokerProcess.forTest({ directory: temporaryDirectory('main-job-kill') })
    const history = new LogHistory()
    await succeed(millrace(broker.bootstrap, 'topic', 'create', 'lines'))
    const follower = millrace(broker.bootstrap, 'tail', 'lines', '--from', 'beginning', '--format', '%o %v')
    const produce = millrace(broker.bootstrap, 'produce', 'lines')
    const sent = NUMBERED.map((line) => history.sent('produce', 'lines', line.split(' ', 1)[0]!, line))
    let writtenCount = 0
    const write = (count: number): void => {
      produce.write(`${NUMBERED.slice(writtenCount, writtenCount + count).join('\n')}\n`)
      writtenCount += count
    }

    const half = NUMBERED.length / ROUNDS / 2
    for (let round = 0; round < ROUNDS; round++) {
      write(half)
      const seen = writtenCount - 1 - prng.below(half)
      await follower.line((line) => Number(line.split(' ', 1)[0]) >= seen)
      write(half) // Has no time to be acknowledged.
      await broker.kill()
      await broker.restart()
    }
    produce.endInput()

    await succeed(produce)
    await follower.line((line) => line.startsWith(`${NUMBERED.length - 1} `))
    await follower.kill('SIGINT')
    for (const [offset, record] of sent.entries()) history.acknowledged(record, offset)
    const records = (lines: readonly string[]) =>
      lines.map((line) => {
        const [offset, id, ...rest] = line.split(' ')
        return { offset: Number(offset), id: id!, content: [id, ...rest].join(' ') }
      })
    const last = (await readValues(broker.webSocketUrl, 'lines')).map((line, offset) => `${offset} ${line}`)
    const reads = [
      { reader: 'tail', log: 'lines', records: records(follower.outLines), isFinal: true },
      { reader: 'client', log: 'lines', records: records(last), isFinal: true },
    ]
    expect(formatFaults(checkLogs(history, reads))).toBe('')
    expect(produce.errLines.at(-1)).toMatch(/^60,000 records to lines in /)
  })
})
