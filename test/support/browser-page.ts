/**
 * Pages in a headless Chromium. A small HTTP server gives out the page under a Content-Security-Policy, its script, and
 * the browser's bundle; the page reports by going to `/report?…`, since the policy lets it connect to brokers alone.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { LineProcess } from './child-process.ts'
import { temporaryDirectory } from './temp-directory.ts'

const BUNDLE = join(import.meta.dirname, '../../dist/browser')
const JAVASCRIPT = 'text/javascript; charset=utf-8'

export interface PageOptions {
  /** The Chromium to run. */
  readonly command: string
  /** A module. `import … from '/bundle/millrace.js'`; `done(value)` of '/report.js' ends it. */
  readonly script: string
  readonly policy: string
  /** Name or address under which the page is served; it is part of its origin. All names mean 127.0.0.1. */
  readonly host?: string
}

/** What every page can import from '/report.js': it says what the page has to say, violations of the policy included. */
const REPORT = `
export const violations = []
addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
  violations.push(violatedDirective + ' ' + blockedURI))
export function done(value) {
  location.replace('/report?' + encodeURIComponent(JSON.stringify({ value, violations })))
}
const failed = (error) => done('failed: ' + (error?.stack ?? error))
addEventListener('error', (event) => failed(event.error ?? event.message))
addEventListener('unhandledrejection', (event) => failed(event.reason))
`

export interface Report {
  readonly value: unknown
  /** Directives of the policy that were violated, with what was blocked. */
  readonly violations: readonly string[]
}

/** Opens a page; the promise is for what it reports. Everything is gone when the test has finished. */
export async function openPage({
  command,
  script,
  policy,
  host = '127.0.0.1',
}: PageOptions): Promise<{ readonly report: Promise<Report> }> {
  let resolveReport: (report: Report) => void
  const reported = new Promise<Report>((resolve) => (resolveReport = resolve))
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url!, 'http://page')
    const answer = (type: string, body: string | Buffer): void => {
      response.writeHead(200, { 'content-type': type, 'content-security-policy': policy }).end(body)
    }
    if (pathname === '/') answer('text/html', '<!doctype html><script type="module" src="/page.js"></script>')
    else if (pathname === '/page.js') answer(JAVASCRIPT, script)
    else if (pathname === '/report.js') answer(JAVASCRIPT, REPORT)
    else if (pathname.startsWith('/bundle/'))
      answer(JAVASCRIPT, readFileSync(join(BUNDLE, basename(pathname))))
    else if (pathname === '/report') {
      answer('text/plain', '')
      resolveReport(JSON.parse(decodeURIComponent(search.slice(1))) as Report)
    } else response.writeHead(404).end()
  })
  const isAddress = /^[\d.]+$/.test(host)
  await new Promise<void>((resolve) => server.listen(0, isAddress ? host : '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const browser = new LineProcess(command, [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
    '--host-resolver-rules=MAP *.example 127.0.0.1',
    `--user-data-dir=${temporaryDirectory('chromium')}`,
    `http://${host}:${port}/`,
  ])
  onTestFinished(async () => {
    await browser.kill('SIGKILL')
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const ended = browser.exited.then(({ code, signal }) => {
    throw new Error(
      `Chromium ended with ${code ?? signal} before its page reported:\n${browser.errLines.join('\n')}`,
    )
  })
  const report = Promise.race([reported, ended])
  report.catch(() => undefined) // Whoever waits for it is told.
  return { report }
}
