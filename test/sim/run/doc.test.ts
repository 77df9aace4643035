/** docs/simulation.md names the faults, marks and options that there are; UPDATE_DOCS=1 writes the lists anew. */
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FAULTS } from '../life/faults.ts'
import { MARKS } from '../life/marks.ts'
import { parseOrder } from './options.ts'
import { wrapText } from './wrap.ts'

const PATH = new URL('../../../docs/simulation.md', import.meta.url)

/** Puts a list between `<!-- name -->` and `<!-- /name -->`. */
function fill(text: string, name: string, lines: readonly string[]): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const [before = '', rest = ''] = text.split(begin)
  const after = rest.split(end)[1]
  if (after === undefined) throw new Error(`Cannot fill ${name}: there is no place for it`)
  return `${before}${begin}\n\n${lines.join('\n')}\n\n${end}${after}`
}

describe('docs/simulation.md', () => {
  it('lists the faults and the marks that there are', () => {
    const text = readFileSync(PATH, 'utf8')
    const faults = wrapText(Object.keys(FAULTS).map((name) => `\`${name}\``).join(', '), 0) // prettier-ignore
    const marks = MARKS.map(({ name, withinSeeds }) => `- ${name} (in ${withinSeeds} lives)`)
    const wanted = fill(fill(text, 'faults', faults), 'marks', marks)
    if (process.env['UPDATE_DOCS'] !== undefined) writeFileSync(PATH, wanted)
    else expect(text).toBe(wanted)
  })

  it('shows options that there are, and all that one life has', () => {
    const text = readFileSync(PATH, 'utf8')
    const help = parseOrder(['--help'])
    if (help.kind !== 'tell') throw new Error('Help tells')
    const known = new Set(help.text.match(/--[a-z][a-z-]+/g))
    // Those of other commands are on lines that name these.
    const ours = text.replace(/^.*npm run chaos.*$/gm, '')
    for (const option of ours.match(/--[a-z][a-z-]+/g) ?? []) expect(known).toContain(option)
    const { 1: ofOne = '' } = /One life:([\s\S]*?)Both:/.exec(help.text) ?? []
    const options = ofOne.match(/--[a-z][a-z-]+/g) ?? []
    expect(options.length).toBeGreaterThan(5)
    for (const option of options) expect(text).toContain(option)
  })
})
