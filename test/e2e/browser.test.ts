/**
 * Pages in a headless Chromium that speak to a broker process: the bundle works under a policy that allows a page nothing
 * but its own scripts and WebSockets, and a page of an origin that is not welcome gets nowhere (X16).
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { silentLogger } from '../../src/env/logger.ts'
import { Client, text } from '../../src/index.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { openPage } from '../support/browser-page.ts'
import { readValues } from '../support/collect.ts'
import { chromium, skipUnless } from '../support/programs.ts'
import { storedCodecs } from '../support/stored-batches.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

const STRICT = "default-src 'none'; script-src 'self'; connect-src ws://127.0.0.1:*"
/** What zstd needs, which is WebAssembly out of a `data:` URL (docs/decisions/0002-compression-libraries.md). */
const WITH_WEBASSEMBLY = `${STRICT.replace("'self'", "'self' 'wasm-unsafe-eval'")} data:`
/** A page that an attacker's name leads to: it may do what it wants. */
const LAX = "default-src * 'unsafe-inline' 'unsafe-eval'"

const program = chromium()

skipUnless(program)('a page in Chromium', () => {
  let broker: BrokerProcess
  let directory = ''
  beforeAll(async () => {
    directory = temporaryDirectory('browser')
    broker = await BrokerProcess.start({ directory })
  })
  afterAll(() => broker.kill())

  const page = (script: string, policy = STRICT, host?: string) =>
    openPage({
      command: program.command,
      script: `import { done } from '/report.js'
        import { Client, text } from '/bundle/millrace.js'
        ${script}`,
      policy,
      ...(host === undefined ? {} : { host }),
    })

  /** Writes lines with each codec into a partition of its own and reads all of them back. */
  const roundTrip = (topic: string, codecs: readonly string[]): string => `
    const client = new Client({ bootstrap: '${broker.webSocketUrl}' })
    const codecs = ${JSON.stringify(codecs)}
    await client.admin().createTopics([{ name: '${topic}', partitions: codecs.length }])
    const values = Array.from({ length: 500 }, (_, index) => 'line ' + index + ' ' + 'äbc'.repeat(index % 50))
    for (const [partition, compression] of codecs.entries()) {
      const producer = client.producer({ compression })
      await producer.sendAll(values.map((value) => ({ topic: '${topic}', partition, value })))
      await producer.close()
    }
    const read = codecs.map(() => [])
    const consumer = client.consumer({ topics: ['${topic}'], from: 'beginning', untilEnd: true, value: text })
    for await (const record of consumer) read[record.partition].push(record.value)
    await client.close()
    done(read.map((each) => each.length === 500 && each.every((value, index) => value === values[index])))`

  it('writes and reads with none, gzip, snappy and lz4 under a strict policy', async () => {
    const codecs = ['none', 'gzip', 'snappy', 'lz4']

    const { report } = await page(roundTrip('strict', codecs))

    expect(await report).toEqual({ value: [true, true, true, true], violations: [] })
    for (const [partition, codec] of codecs.entries())
      expect(await storedCodecs(directory, 'strict', partition)).toEqual([codec])
    const values = await readValues(broker.bootstrap, 'strict')
    expect([values.length, values[499]]).toEqual([2000, `line 499 ${'äbc'.repeat(49)}`])
  })

  it('writes and reads with zstd where the policy allows WebAssembly', async () => {
    const { report } = await page(roundTrip('zstd', ['zstd']), WITH_WEBASSEMBLY)

    expect(await report).toEqual({ value: [true], violations: [] })
    expect(await storedCodecs(directory, 'zstd')).toEqual(['zstd'])
  })

  it('is told what zstd needs where the policy forbids it, and goes on without', async () => {
    const { report } = await page(`
      const client = new Client({ bootstrap: '${broker.webSocketUrl}' })
      await client.admin().createTopics([{ name: 'forbidden' }])
      const outcomes = []
      const failed = (error) => outcomes.push(error.code, error.message)
      await client.producer({ compression: 'zstd' }).send({ topic: 'forbidden', value: 'x' }).catch(failed)
      await client.producer({ compression: 'gzip' }).send({ topic: 'forbidden', value: 'y' })
      for await (const _ of client.consumer({ topics: ['forbidden'], from: 'beginning', untilEnd: true })) outcomes.push('read')
      await client.close()
      done(outcomes)`)

    const { value, violations } = await report
    const told = expect.stringMatching(/wasm-unsafe-eval.*script-src.*data:.*connect-src/) as string
    expect(value).toEqual(['CLIENT_CODEC_UNAVAILABLE', told, 'read'])
    expect(violations.length).toBeGreaterThan(0) // The policy's own word on it.
  })

  it('really is forbidden to compile strings', async () => {
    const { report } = await page(`
      let caught = 'nothing'
      try { new Function('return 1')() } catch (error) { caught = error.name }
      done(caught)`)

    expect((await report).value).toBe('EvalError')
  })

  it('answers what it reads, and goes on by itself after the broker was killed', async () => {
    await using client = new Client({ bootstrap: broker.bootstrap, logger: silentLogger })
    await client.admin().createTopics([{ name: 'questions' }, { name: 'answers' }])
    const { report } = await page(`
      const client = new Client({ bootstrap: '${broker.webSocketUrl}' })
      const producer = client.producer()
      const consumer = client.consumer({ topics: ['questions'], from: 'beginning', value: text })
      let count = 0
      for await (const { value } of consumer) {
        if (value === 'stop') break
        await producer.send({ topic: 'answers', value: 'answer to ' + value })
        count++
      }
      await client.close()
      done(count)`)
    await using producer = client.producer()
    await using consumer = client.consumer({ topics: ['answers'], from: 'beginning', value: text })
    const answers = consumer[Symbol.asyncIterator]()
    const ask = async (value: string): Promise<string | null> => {
      await producer.send({ topic: 'questions', value })
      const answer = await answers.next()
      return answer.done === true ? null : answer.value.value
    }

    expect(await ask('one')).toBe('answer to one')
    await broker.kill()
    await broker.restart()
    expect(await ask('two')).toBe('answer to two')
    await producer.send({ topic: 'questions', value: 'stop' })

    expect(await report).toEqual({ value: 2, violations: [] })
    expect(await readValues(broker.bootstrap, 'answers')).toEqual(['answer to one', 'answer to two'])
  })

  /** Tries to connect with our client and with a bare WebSocket of each kind; reports how that ended. */
  const tries = (url: string): string => `
    const client = new Client({ bootstrap: '${url}', bootstrapTimeoutMs: 0 })
    const outcome = await client.admin().listTopics().then(() => 'connected', (error) => error.code)
    await client.close()
    const bare = (protocols) => new Promise((resolve) => {
      const socket = new WebSocket('${url}', protocols)
      socket.onopen = () => resolve('connected')
      socket.onerror = () => resolve('refused')
    })
    done([outcome, await bare([]), await bare(['kafka'])])`

  it('X16: of another origin is refused', async () => {
    const { report } = await page(tries(broker.webSocketUrl), STRICT, '127.0.0.2')

    expect(await report).toEqual({
      value: ['CLIENT_CANNOT_CONNECT', 'refused', 'refused'],
      violations: [],
    })
  })

  it('X16: whose own name leads to the broker is refused', async () => {
    const url = broker.webSocketUrl.replace('127.0.0.1', 'rebound.example')

    const { report } = await page(tries(url), LAX, 'rebound.example')

    expect((await report).value).toEqual(['CLIENT_CANNOT_CONNECT', 'refused', 'refused'])
  })

  it('X16: is let in by the setting websocket.origins, and nobody else is then', async () => {
    const choosy = await BrokerProcess.forTest({
      directory: temporaryDirectory('choosy'),
      settings: { 'websocket.origins': 'http://127.0.0.2:*' },
    })

    const welcome = await page(tries(choosy.webSocketUrl), STRICT, '127.0.0.2')
    const other = await page(tries(choosy.webSocketUrl), STRICT, '127.0.0.1')

    expect((await welcome.report).value).toMatchObject(['connected', expect.anything(), 'connected'])
    expect((await other.report).value).toEqual(['CLIENT_CANNOT_CONNECT', 'refused', 'refused'])
    await using program = new Client({ bootstrap: choosy.webSocketUrl })
    expect(await program.admin().listTopics()).toEqual([]) // Programs send no origin and are not concerned.
  })

  it('makes the broker complain of nothing', () => {
    expect(broker.complaints.filter((line) => line.includes(' ERROR '))).toEqual([])
  })
})
