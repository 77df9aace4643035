/** Layers, banned calls, dead files, sizes and stray markers (docs/style.md, the rules marked †). */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkArchitecture, countLines, formatFindings } from './support/architecture.ts'
import { LAYERS, PACKAGE_DOORS } from './support/layers.ts'

const root = join(import.meta.dirname, '..')
const files = new Map(
  ['src', 'cli', 'bench', 'test']
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(
        (name) => `${folder}/${name}`,
      ),
    )
    .filter((path) => path.endsWith('.ts') && !path.includes('node_modules'))
    .sort()
    .map((path) => [path, readFileSync(join(root, path), 'utf8')]),
)

describe('the source tree', () => {
  it('keeps the rules of docs/style.md', () => {
    const findings = checkArchitecture(files)
    expect(formatFindings(findings)).toBe('')
  })

  it('stays readable in file size', () => {
    const sources = [...files].filter(([path]) => !path.startsWith('test/'))
    const sizes = sources.map(([path, text]) => ({ path, lines: countLines(text) }))
    sizes.sort((a, b) => b.lines - a.lines)
    const total = sizes.reduce((sum, { lines }) => sum + lines, 0)
    const longest = sizes.slice(0, 10).map(({ path, lines }) => `${String(lines).padStart(5)} ${path}`)
    console.log([`${total} lines in ${sizes.length} source files; the longest:`, ...longest].join('\n'))
    expect(sizes.length).toBeGreaterThan(0)
  })

  it('installs only the runtime dependencies that have a door', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>
      optionalDependencies: Record<string, string>
      scripts: Record<string, string>
    }
    const installed = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })
    expect(installed.sort()).toEqual(Object.keys(PACKAGE_DOORS).sort())
    expect(Object.keys(manifest.scripts).filter((name) => /^(pre|post)?install$/.test(name))).toEqual([])
  })
})

describe('the layer table', () => {
  it('names only folders of its own', () => {
    const folders = new Set(LAYERS.flatMap((layer) => layer.folders))
    const unknown = LAYERS.flatMap((layer) => layer.mayImport.filter((folder) => !folders.has(folder)))
    expect(unknown).toEqual([])
  })

  it('never points upwards', () => {
    const levelOf = (folder: string) => LAYERS.find((layer) => layer.folders.includes(folder))?.level ?? null
    const upwards = LAYERS.flatMap(({ level, folders, mayImport }) =>
      mayImport
        .filter((folder) => (levelOf(folder) ?? Infinity) > (level ?? Infinity))
        .map((to) => [folders[0], to]),
    )
    expect(upwards).toEqual([])
  })
})

describe('the checks themselves', () => {
  const header = '/** What the file is for. */\n'
  /** Findings about one file that another one imports, as `line message` without the dead-file check in the way. */
  const findingsIn = (path: string, code: string, others: Record<string, string> = {}): string[] => {
    const importer = `${header}import './${path.slice('src/'.length)}'\n`
    const texts = new Map([...Object.entries(others), ['src/index.ts', importer], [path, code]])
    return checkArchitecture(texts)
      .filter((finding) => finding.path === path)
      .map(({ line, message }) => `${line} ${message}`)
  }

  it.each([
    ['const now = Date.now()', 'clock.wallTimeMs()'],
    ['const now = new Date()', 'clock.wallTimeMs()'],
    ['const now = performance.now()', 'clock.monotonicMs()'],
    ['setTimeout(run, 5)', 'clock.after()'],
    ['const timer = globalThis.setInterval', 'clock.after()'],
    ['setImmediate(run)', 'clock.endOfTurn()'],
    ['const draw = Math.random()', 'env.random'],
    ['const id = crypto.randomUUID()', 'env.random'],
    ['names.sort((a, b) => a.localeCompare(b))', 'a comparison of code units'],
    ['new Intl.Collator()', 'a comparison of code units'],
    ['const home = process.env.HOME', 'an option handed in'],
    ['const signal = AbortSignal.timeout(5)', 'an AbortController'],
    ['const ref = new WeakRef(log)', 'an owner that closes it'],
    ['const socket = new WebSocket(url)', 'env.network'],
    ['const text = `${Date.now()}`', 'clock.wallTimeMs()'],
    [`// ${'TO' + 'DO'}: later`, 'finish it'],
    ["import { open } from 'node:fs'", 'a port of src/env'],
    ["const { open } = await import('node:fs/promises')", 'a port of src/env'],
    ["import { WebSocket } from 'ws'", 'use what is exported there'],
    ["import crc from 'crc-32'", 'use what is exported there'],
    ["import left from 'left-pad'", 'no dependency of ours'],
    ['export default 1', 'export by name'],
    ['const a = 1\nexport { a as default }', 'export by name'],
    ['export default function run() {}', 'export by name'],
    ["export * from '../bytes/reader.ts'", 're-export'],
    ["export { Reader } from '../bytes/reader.ts'", 're-export'],
    ["import { Broker } from '../broker/broker.ts'", 'log may not import broker'],
    ["import type { Broker } from '../broker/broker.ts'", 'log may not import broker'],
    ["type B = import('../broker/broker.ts').Broker", 'log may not import broker'],
    ["import { NodeClock } from '../env/node/clock.ts'", 'log may not import env/node'],
    ["import { gone } from './gone.ts'", 'does not exist'],
  ])('refuse %j in a layer and say what to use', (code, instead) => {
    const others = {
      'src/bytes/reader.ts': header,
      'src/broker/broker.ts': header,
      'src/env/node/clock.ts': header,
    }
    const findings = findingsIn('src/log/segment.ts', `${header}${code}\n`, others)
    expect(findings).toHaveLength(1)
    expect(findings[0]).toContain(instead)
    expect(findings[0]).toMatch(/^[23] /)
  })

  it.each([
    '// Date.now() and process.env are what we avoid',
    "const message = 'setTimeout(x) and Math.random()'",
    'const message = `process.env ${1} Date.now()`',
    'const pattern = /Math.random/',
    'const when = new Date(timestampMs).toISOString()',
    'const name = this.process.name',
    'for (const process of processes) process.lose()',
    'queueMicrotask(run)',
    "import { Reader } from '../bytes/reader.ts'",
    'const text = `\n${"a"}` // a template keeps the lines in step',
  ])('let %j pass', (code) => {
    expect(findingsIn('src/log/segment.ts', `${header}${code}\n`, { 'src/bytes/reader.ts': header })).toEqual(
      [],
    )
  })

  it('let the adapters do what they are for', () => {
    const clock = `${header}import { readFileSync } from 'node:fs'\nsetTimeout(run, Date.now())\n`
    expect(findingsIn('src/env/node/clock.ts', clock)).toEqual([])
    expect(findingsIn('src/env/browser/clock.ts', `${header}setTimeout(run, performance.now())\n`)).toEqual(
      [],
    )
    expect(findingsIn('src/env/browser/clock.ts', `${header}Buffer.alloc(process.pid)\n`)).toHaveLength(2)
  })

  it('let the simulation yield to the event loop in one file only', () => {
    const yields = `${header}setImmediate(run)\n`
    expect(findingsIn('src/env/sim/scheduler.ts', yields)).toEqual([])
    const second = findingsIn('src/env/sim/z-network.ts', yields, { 'src/env/sim/scheduler.ts': yields })
    expect(second).toEqual([
      '2 setImmediate is used in src/env/sim/scheduler.ts already; use the scheduler there',
    ])
  })

  it('refuse Buffer where browsers run', () => {
    expect(findingsIn('src/bytes/reader.ts', `${header}Buffer.from(a)\n`)[0]).toContain('use Uint8Array')
    expect(findingsIn('src/log/segment.ts', `${header}Buffer.from(a)\n`)).toEqual([])
  })

  it('find files without a header, files too long and files that nobody imports', () => {
    expect(findingsIn('src/log/segment.ts', 'export const a = 1\n')[0]).toContain('no header comment')
    expect(findingsIn('src/log/segment.ts', `#!/usr/bin/env node\n${header}`)).toEqual([])
    expect(findingsIn('src/log/segment.ts', header + 'run()\n'.repeat(499))).toEqual([])
    expect(findingsIn('src/log/segment.ts', header + 'run()\n'.repeat(500))[0]).toContain('501 lines')
    const dead = checkArchitecture(new Map([['src/log/segment.ts', header]]))
    expect(formatFindings(dead)).toBe(
      'src/log/segment.ts:1 imported by no source file; delete it or list it as an entry point',
    )
  })

  it('find files that load one another, but let a part name the type of its whole', () => {
    const others = { 'src/log/a.ts': `${header}import { b } from './b.ts'\n` }
    expect(findingsIn('src/log/b.ts', `${header}import type { A } from './a.ts'\n`, others)).toEqual([])
    expect(findingsIn('src/log/b.ts', `${header}import { a } from './a.ts'\n`, others)).toEqual([
      '2 import cycle src/log/a.ts -> src/log/b.ts -> src/log/a.ts; move what both need below them',
    ])
  })

  it('find files outside every layer', () => {
    const findings = findingsIn('src/attic/x.ts', `${header}import './y.ts'\n`, { 'src/attic/y.ts': header })
    expect(findings[0]).toContain('the file lies in no layer')
  })

  it.each([
    ['await new Promise((resolve) => setTimeout(resolve, 50))', 'the event that is waited for'],
    ['await sleep(50)', 'the event that is waited for'],
    ['const t = Date.now()', 'virtual time'],
    ['vi.useFakeTimers()', "the simulation's clock"],
    ['const x = Math.random()', 'SEED'],
    ["it.only('x', run)", 'every test'],
    ["describe.skip('x', run)", 'skipIf()'],
    ["it('x', { retry: 3 }, run)", 'passes the first time'],
    ["it.todo('x')", 'a test that holds'],
    ["import { createServer } from 'node:net'\nserver.listen(9092)", 'port 0'],
    ["import { createServer } from 'node:net'\nopen({ port: 9092 })", 'port 0'],
  ])('refuse %j in a unit test', (code, instead) => {
    const findings = checkArchitecture(new Map([['test/log/segment.test.ts', code]]))
    expect(findings).toHaveLength(1)
    expect(findings[0]!.message).toContain(instead)
  })

  it.each([
    'const seed = Number(process.env.SEED ?? Date.now())',
    "it.skip('x', run) // Windows has no fsync of directories",
    "it.skipIf(isWindows)('x', run)",
    'const broker = { host: "a", port: 9092 }',
    "import { createServer } from 'node:net'\nserver.listen(0)",
  ])('let %j pass in a unit test', (code) => {
    expect(checkArchitecture(new Map([['test/log/segment.test.ts', code]]))).toEqual([])
  })

  it('let end-to-end tests use real time but no fixed port', () => {
    const code = 'await sleep(5)\nconst t = Date.now()\n'
    expect(checkArchitecture(new Map([['test/e2e/kill.test.ts', code]]))).toEqual([])
    expect(checkArchitecture(new Map([['test/e2e/kill.test.ts', 'start({ port: 9092 })']]))).toHaveLength(1)
  })
})
