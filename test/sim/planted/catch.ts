/**
 * Lets the catcher of a planted bug loose on it, in a process of its own.
 *
 * Caught is a bug only if a check has failed: a process that ends without a word, a test that does not exist or a file that does not
 * load are errors of this harness and are told as such.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import type { PlantedBug, TestName } from './planted-bug.ts'
import { plant } from './planted-bug.ts'
import type { LifeLine, LivesOrder } from './planted-lives.ts'

export interface Outcome {
  readonly bug: PlantedBug
  /** What the check said; null: nothing noticed the bug. */
  readonly message: string | null
  /** Of the life that failed; null: none did, it was a test. */
  readonly seed: number | null
  /** Lives that were lived. */
  readonly seedCount: number
  readonly ms: number
}

/** A life takes 1 to 4 s of a core, which may be shared by many; with a bug it may end only at the bound of events. */
const LIFE_MS_MAX = 120_000
const TEST_MS_MAX = 120_000

/** Makes the module with the bug in it. @returns Path of its JavaScript. */
export function compile(bug: PlantedBug, directory: string): string {
  const source = plant(bug, readFileSync(bug.file, 'utf8'))
  const { outputText, diagnostics = [] } = ts.transpileModule(source, {
    fileName: bug.file,
    reportDiagnostics: true,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  })
  if (diagnostics.length > 0) {
    const [{ messageText }] = diagnostics as [ts.Diagnostic]
    throw new Error(`Planted ${bug.id} in ${bug.file}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)
  }
  mkdirSync(directory, { recursive: true })
  const path = `${directory}/${bug.id}.js`
  writeFileSync(path, outputText)
  return path
}

/** @param seeds - For random lives, in this order; none: the test alone is tried. */
export async function catchBug(
  bug: PlantedBug,
  seeds: readonly number[],
  directory: string,
): Promise<Outcome> {
  const startMs = performance.now()
  const { catcher, file } = bug
  const sourcePath = compile(bug, directory)
  let found: Found = { message: null, seed: null, seedCount: 0 }
  if (seeds.length > 0) {
    const planted = { file, sourcePath }
    found = lastOf(await runLives({ seeds, hasGroup: catcher.hasGroup ?? false, planted }))
  }
  if (found.message === null && catcher.test !== null)
    found = { ...found, message: await runTest(bug, catcher.test, sourcePath, directory) }
  return { bug, ...found, ms: Math.round(performance.now() - startMs) }
}

type Found = Pick<Outcome, 'message' | 'seed' | 'seedCount'>

function lastOf(lines: readonly LifeLine[]): Found {
  const { seed, failure } = lines.at(-1)!
  return { message: failure, seed: failure === null ? null : seed, seedCount: lines.length }
}

/** Lives with a bug, until one fails, or all without. @throws {Error} The process ended without a word, or not at all. */
export async function runLives(order: LivesOrder): Promise<LifeLine[]> {
  const script = fileURLToPath(new URL('./planted-lives.js', import.meta.url))
  const { stdout, stderr, isTimeUp } = await run(
    [script, JSON.stringify(order)],
    {},
    LIFE_MS_MAX * order.seeds.length,
  )
  const lines = stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as LifeLine)
  const isWhole = lines.length === order.seeds.length || lines.some(({ failure }) => failure !== null)
  if (!isWhole || isTimeUp) {
    const why = isTimeUp ? 'it took too long' : stderr.slice(-2000)
    throw new Error(`Lived with ${order.planted?.file ?? 'no bug'}: ${lines.length} lives, then ${why}`)
  }
  return lines
}

async function runTest(
  bug: PlantedBug,
  { file, name }: TestName,
  sourcePath: string,
  directory: string,
): Promise<string | null> {
  const reportPath = `${directory}/${bug.id}.json`
  rmSync(reportPath, { force: true })
  const pattern = name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
  const flags = ['--config', 'vitest.planted.config.ts', '--reporter=json', `--outputFile=${reportPath}`]
  const { stderr } = await run(
    ['node_modules/vitest/vitest.mjs', 'run', file, '-t', pattern, ...flags],
    { PLANTED_FILE: bug.file, PLANTED_SOURCE: sourcePath },
    TEST_MS_MAX,
  )
  const results = readReport(reportPath)
  const ran = results.filter(({ status }) => status === 'passed' || status === 'failed')
  if (ran.length === 0) throw new Error(`Ran “${name}” of ${file}: no such test ran; ${stderr.slice(-2000)}`)
  const failed = ran.find(({ status }) => status === 'failed')
  return failed === undefined ? null : `${failed.title}: ${failed.failureMessages[0] ?? ''}`
}

interface TestResult {
  readonly status: string
  readonly title: string
  readonly failureMessages: readonly string[]
}

function readReport(path: string): readonly TestResult[] {
  try {
    const report = JSON.parse(readFileSync(path, 'utf8')) as {
      testResults: readonly { assertionResults: readonly TestResult[] }[]
    }
    return report.testResults.flatMap(({ assertionResults }) => assertionResults)
  } catch {
    return [] // Vitest ended before it could write it; who called says what it printed.
  }
}

interface Ended {
  readonly stdout: string
  readonly stderr: string
  readonly isTimeUp: boolean
}

function run(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  limitMs: number,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [stdout, stderr, isTimeUp] = ['', '', false]
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()))
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()))
    const timer = setTimeout(() => {
      isTimeUp = true
      child.kill('SIGKILL')
    }, limitMs)
    child.on('error', reject)
    child.on('close', () => {
      clearTimeout(timer)
      resolve({ stdout, stderr, isTimeUp })
    })
  })
}
