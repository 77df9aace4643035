/**
 * The browser's bundle, built afresh: nothing of Node in it, and it works where strings cannot be compiled, as under a
 * strict Content-Security-Policy. The page is played by a Node process with such a ban and a WebSocket of the `ws` package.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { build } from 'vite'
import { startBroker } from '../../src/testing.ts'

const ROOT = join(import.meta.dirname, '../..')
/** What a page loads before it can connect, in bytes, not compressed; codecs come later and only where needed. */
const ENTRY_BYTES_MAX = 260_000
/** The same as a server sends it. Both are said in docs/consumer-groups.md. */
const ENTRY_GZIP_BYTES_MAX = 70_000

let directory: string
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-browser-'))
  await build({
    root: ROOT,
    configFile: join(ROOT, 'vite.browser.config.ts'),
    logLevel: 'error',
    build: { outDir: directory },
  })
})
afterAll(() => rmSync(directory, { recursive: true }))

const PAGE = `
import { createRequire } from 'node:module'
globalThis.WebSocket = createRequire(process.argv[1]).call(null, 'ws').WebSocket
const { Client, text } = await import(process.argv[2])
const client = new Client({ bootstrap: process.argv[3] })
await client.admin().createTopics([{ name: 'page', partitions: 1 }])
const producer = client.producer({ compression: 'gzip' })
await producer.sendAll(Array.from({ length: 100 }, (_, index) => ({ topic: 'page', value: 'from a page ' + index })))
const consumer = client.consumer({ topics: ['page'], from: 'beginning', untilEnd: true, value: text })
let last
for await (const record of consumer) last = record
console.log(last.offset, last.value)
await client.close()
`

describe('the browser bundle', () => {
  it('imports nothing but itself, and nothing of Node', () => {
    const files = readdirSync(directory).filter((name) => name.endsWith('.js'))
    expect(files).toContain('millrace.js')
    for (const name of files) {
      const code = readFileSync(join(directory, name), 'utf8')
      const specifiers = [...code.matchAll(/\b(?:from|import)\s*\(?\s*["'`]([^"'`\n]+)["'`]/g)].map(
        ([, specifier]) => specifier!,
      )
      expect(specifiers.filter((specifier) => !specifier.startsWith('./'))).toEqual([])
    }
    const entry = readFileSync(join(directory, 'millrace.js'))
    expect(entry.length).toBeLessThan(ENTRY_BYTES_MAX)
    expect(gzipSync(entry).length).toBeLessThan(ENTRY_GZIP_BYTES_MAX)
    // A page's policy would report the attempt.
    expect(entry.toString()).not.toMatch(/\bFunction\(/)
  })

  it('produces and consumes where strings cannot be compiled', async () => {
    await using broker = await startBroker()
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        '--disallow-code-generation-from-strings',
        '--input-type=module',
        '--eval',
        PAGE,
        join(ROOT, 'package.json'),
        pathToFileURL(join(directory, 'millrace.js')).href,
        `ws://${broker.bootstrap}`,
      ],
      { timeout: 20_000 },
    )
    expect(stdout.trim()).toBe('99 from a page 99')
  })
})
