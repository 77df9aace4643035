/**
 * docs/compatibility.md, written from the results of a run and never by hand. Where `CI` is set it is compared instead:
 * whatever ran must have ended as the document says, and rows that could not run there stay what they were.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Reporter, TestCase, TestModule } from 'vitest/node'
import { findTable } from '../../support/markdown.ts'
import { CAPABILITIES } from './capability-names.ts'
import type { Capability } from './capability-names.ts'

const FOLDER = join(import.meta.dirname, '..')
const DOCUMENT = join(FOLDER, '../../docs/compatibility.md')
const HEADER = ['client', 'version', ...CAPABILITIES]
const NOT_RUN = 'not run'
const UNKNOWN_VERSION = '–'

interface Row {
  version: string
  readonly cells: Map<Capability, string>
  readonly reasons: Map<Capability, string>
}

export class MatrixReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const rows = collect(modules)
    const document = render(rows)
    console.log(`\n${document}`)
    if (!isWhole(modules)) return
    if (process.env['CI'] === undefined) {
      writeFileSync(DOCUMENT, document)
      return
    }
    const stale = compare(rows, existsSync(DOCUMENT) ? readFileSync(DOCUMENT, 'utf8') : '')
    if (stale.length === 0) return
    console.error(`docs/compatibility.md is stale, run npm run compat:\n${stale.join('\n')}`)
    process.exitCode = 1
  }
}

/** Whether every client was looked at: nothing is written of a run of some files, or of tests picked by name. */
function isWhole(modules: readonly TestModule[]): boolean {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.test.ts'))
  const tests = modules.flatMap((module) => [...module.children.allTests()])
  const isLeftOut = (test: TestCase): boolean =>
    test.result().state === 'skipped' && test.meta().compat?.notRun === null
  return modules.length === files.length && !tests.some(isLeftOut)
}

function collect(modules: readonly TestModule[]): Map<string, Row> {
  const rows = new Map<string, Row>()
  for (const test of modules.flatMap((module) => [...module.children.allTests()])) {
    const { compat } = test.meta()
    if (compat === undefined) continue
    const row = rows.get(compat.client) ?? { version: UNKNOWN_VERSION, cells: new Map(), reasons: new Map() }
    rows.set(compat.client, row)
    row.version = compat.version ?? row.version
    row.cells.set(compat.capability, outcomeOf(test, compat.notRun))
    if (compat.notRun !== null) row.reasons.set(compat.capability, compat.notRun)
  }
  const byName = ([a]: [string, Row], [b]: [string, Row]): number =>
    a.toLowerCase() < b.toLowerCase() ? -1 : 1
  return new Map([...rows].sort(byName))
}

/** A test that was to run and did not is a failure: its cluster did not start. */
function outcomeOf(test: TestCase, notRun: string | null): string {
  if (notRun !== null) return NOT_RUN
  return test.result().state === 'passed' ? 'passed' : '**failed**'
}

const cellsOf = (name: string, { version, cells }: Row): string[] => [
  name,
  version,
  ...CAPABILITIES.map((capability) => cells.get(capability) ?? NOT_RUN),
]

function render(rows: ReadonlyMap<string, Row>): string {
  const table = [HEADER, ...Array.from(rows, ([name, row]) => cellsOf(name, row))]
  const widths = HEADER.map((_, column) => Math.max(...table.map((cells) => cells[column]!.length)))
  const lineOf = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`
  const [header, ...body] = table.map(lineOf)
  const rule = lineOf(widths.map((width) => '-'.repeat(width)))
  return [
    '# Compatibility',
    '',
    'Clients of others, unchanged, against a cluster of three brokers. Written by `npm run compat` from the results of the',
    'tests in `test/compat/`, which ask every client for the same; CI runs them again and compares. A row of clients that',
    'a machine cannot have is not run there.',
    '',
    ...[header!, rule, ...body],
    '',
    ...reasonsOf(rows),
    '## What is asked',
    '',
    ...Object.entries(MEANINGS).map(([name, meaning]) => `- **${name}**: ${meaning}.`),
    '',
  ].join('\n')
}

const MEANINGS = {
  connect: 'finds all three brokers from a list of them',
  admin: 'makes a topic of five partitions with three replicas, describes it, deletes it',
  'produce: …':
    'writes 300 records to a partition, which lie there with that codec, at the offsets that the client was told, and which our client and the client itself read back',
  idempotence: 'writes with a producer id and sequence numbers',
  assignment: 'reads one partition from an offset, without a group',
  'group and rebalance':
    'a member owns every partition, a second one joins and they share, the second leaves and the first has all again; every record is read once',
  'commit and resume':
    'reads some records, commits, ends; a new process of the same group reads the rest and nothing again',
  'seek by time': 'reads from the first record at or after a time',
  'fail-over':
    'writes and reads in a group while the leader of a partition is killed with SIGKILL: nothing acknowledged is lost or not read',
}

/** Why something was not run, once for a whole client where it has one reason. */
function reasonsOf(rows: ReadonlyMap<string, Row>): string[] {
  const lines = [...rows].flatMap(([name, { reasons }]) => {
    const different = new Set(reasons.values())
    if (reasons.size === CAPABILITIES.length && different.size === 1)
      return [`- ${name}: ${[...different][0]}.`]
    return Array.from(reasons, ([capability, reason]) => `- ${name}, ${capability}: ${reason}.`)
  })
  return lines.length === 0 ? [] : ['Not run:', '', ...lines, '']
}

/** What ran and is not as the document has it, a line each. */
function compare(rows: ReadonlyMap<string, Row>, document: string): string[] {
  const known = new Map((findTable(document, HEADER) ?? []).map((cells) => [cells[0]!, cells]))
  return [...rows].flatMap(([name, row]) => {
    const written = known.get(name)
    return cellsOf(name, row).flatMap((cell, column) => {
      const didRun = cell !== NOT_RUN && cell !== UNKNOWN_VERSION
      if (!didRun || cell === written?.[column]) return []
      return [`  ${name}, ${HEADER[column]}: ${cell}, the document has ${written?.[column] ?? 'nothing'}`]
    })
  })
}
