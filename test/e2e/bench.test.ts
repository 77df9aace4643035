/** The benchmark as a user runs it: the built command, its worker process, its report and its charts. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readReport } from '../../bench/report.ts'

const main = join(import.meta.dirname, '../../dist/bench/main.js')
let directory = ''
let output = ''
let report = ''

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bench-'))
  const where = ['--data-dir', join(directory, 'data'), '--results', directory]
  output = execFileSync(process.execPath, [main, 'limits', '--toy', ...where], {
    encoding: 'utf8',
    stdio: 'pipe',
  })
  report = join(
    directory,
    readdirSync(directory).find((name) => name.endsWith('.json'))!,
  )
})
afterAll(() => rmSync(directory, { recursive: true }))

describe('npm run bench', () => {
  it('measures, prints where and how, leaves a report and cleans up', () => {
    expect(output).toContain('Toy sizes')
    expect(output).toContain(report)
    expect(readdirSync(join(directory, 'data'))).toEqual([])
    const names = readReport(report).cases.map(({ name }) => name)
    for (const part of [
      'TCP one way',
      'WebSocket one way',
      'there and back',
      'append, group commit',
      'CRC-32C',
    ]) {
      expect(names.some((name) => name.includes(part))).toBe(true)
    }
  })

  it('does work with the same hash when it is run again', () => {
    const results = join(directory, 'again')
    execFileSync(process.execPath, [main, '--toy', 'limits', '--data-dir', join(directory, 'data'), '--results', results], { stdio: 'pipe' }) // prettier-ignore
    const again = readReport(join(results, readdirSync(results)[0]!))
    const hashes = (cases: typeof again.cases) => cases.map(({ name, workHash }) => [name, workHash])
    expect(hashes(again.cases)).toEqual(hashes(readReport(report).cases))
  })

  it('draws charts beside the report', () => {
    const paths = execFileSync(process.execPath, [main, 'chart', report], { encoding: 'utf8' })
      .trim()
      .split('\n')
    expect(paths.length).toBeGreaterThan(1)
    expect(readFileSync(paths[0]!, 'utf8')).toMatch(/^<svg [\s\S]*<\/svg>\n$/)
  })

  it('compares like with like, and otherwise fails with what differs', () => {
    const same = spawnSync(process.execPath, [main, 'diff', report, report], { encoding: 'utf8' })
    expect(same).toMatchObject({ status: 0, stdout: expect.stringContaining('within the spread') as string })

    const other = join(directory, 'other.json')
    writeFileSync(other, readFileSync(report, 'utf8').replace(/"cores": \d+/, '"cores": 999'))
    const unlike = spawnSync(process.execPath, [main, 'diff', report, other], { encoding: 'utf8' })
    expect(unlike.status).toBe(1)
    expect(unlike.stderr).toMatch(/Compared unlike runs:\n {2}cores: \d+ against 999/)
  })

  it('refuses workloads that do not exist', () => {
    const result = spawnSync(process.execPath, [main, 'speed'], { encoding: 'utf8' })
    expect(result.status).toBe(1)
    expect(result.stderr).toContain('Chose workloads: no speed, only limits')
  })
})
