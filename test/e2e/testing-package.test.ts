/**
 * `millrace/testing` as a project has it that installed the package: what `npm pack` packs, in a directory of its own, with
 * the samples of docs/testing.md as that project's tests.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { run } from '../support/child-process.ts'
import { findSamples } from '../support/markdown.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

const ROOT = join(import.meta.dirname, '../..')
const samples = findSamples(readFileSync(join(ROOT, 'docs/testing.md'), 'utf8'))
/** What a test file of the sample's kind begins with. */
const ofVitest = samples.filter(({ text }) => text.includes("from 'vitest'"))
const ofNode = samples.filter(({ text }) => text.includes("from 'node:test'"))

describe('the packed package', () => {
  let project: string
  let packed: readonly string[]
  beforeAll(() => {
    project = temporaryDirectory('testing-package')
    const modules = join(project, 'node_modules')
    mkdirSync(join(modules, 'millrace'), { recursive: true })
    const told = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', project], {
      cwd: ROOT,
      encoding: 'utf8',
    })
    const [{ filename, files }] = JSON.parse(told) as [{ filename: string; files: { path: string }[] }]
    packed = files.map(({ path }) => path)
    execFileSync(
      'tar',
      ['xzf', join(project, filename), '--strip-components=1', '-C', 'node_modules/millrace'],
      {
        cwd: project,
      },
    )
    for (const name of readdirSync(join(ROOT, 'node_modules')))
      if (!name.startsWith('.') && name !== 'millrace')
        symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
    writeFileSync(join(project, 'package.json'), '{ "type": "module" }')
    ofVitest.forEach(({ text }, index) => writeFileSync(join(project, `sample-${index}.test.ts`), text))
    ofNode.forEach(({ text }, index) => writeFileSync(join(project, `sample-${index}.node.js`), text))
  })

  it('holds no test of its own', () => {
    expect(packed).toContain('dist/src/sim/world.js')
    expect(packed.filter((path) => /^test\/|\.test\.|vitest/.test(path))).toEqual([])
  })

  it('runs the samples of node:test', async () => {
    expect(ofNode.length).toBeGreaterThan(0)
    for (const index of ofNode.keys()) {
      const { code, out } = await run(process.execPath, ['--test', join(project, `sample-${index}.node.js`)])
      expect(code, out.toString()).toBe(0)
    }
  })

  it('runs the samples of vitest', async () => {
    expect(ofVitest.length).toBeGreaterThan(1)
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
    const { code, out, err } = await run(process.execPath, [vitest, 'run', '--root', project, '--no-color'])
    expect(code, `${out.toString()}\n${err}`).toBe(0)
  })
})
