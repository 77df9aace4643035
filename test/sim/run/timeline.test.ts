/** The timeline of a real life: it can be read, and whoever reads it does not change what happens. */
import { describe, expect, it } from 'vitest'
import { liveHere } from './one-life.ts'
import { replay } from './replay.ts'
import { wrapText } from './wrap.ts'

/** A short life: all clients, and the first seconds of a storm. */
const TASK = { seed: 3, stormMs: 4000, producers: 1, hasGroup: false }

describe('The timeline of a life', () => {
  it('tells the acts, who led what, and the phases, in the order of virtual time, within 120 columns', async () => {
    const printed: string[] = []
    const isWell = await replay({ kind: 'replay', task: TASK, isVerbose: false, tracePath: null }, (line) =>
      printed.push(line),
    )
    const text = printed.join('\n')
    const lines = text.split('\n')
    expect(lines[0]).toBe('npm run sim -- --seed 3 --producers 1 --no-group --storm-ms 4000')
    expect(lines[1]).toMatch(/^cluster {4}\d brokers; /)
    expect(text).toMatch(/^ +\d+\.\d{3} {2}b\d +Controller is active/m)
    expect(text).toMatch(/^ +\d+\.\d{3} {2}t0-0 +is created: leader b\d in epoch 0, replicas [\d ]+$/m)
    expect(text).toMatch(/^ +\d+\.\d{3} {2}act +#0 \w+/m)
    for (const phase of ['storm', 'healing', 'progress', 'verdict', 'end'])
      expect(text).toMatch(new RegExp(`^ +\\d+\\.\\d{3} {2}life +--- ${phase} ---$`, 'm'))
    expect(lines.at(-1)).toBe(isWell ? 'The life went well' : expect.stringContaining('FAILED in its'))
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(120)
    const times = lines.flatMap((line) => /^ +(\d+\.\d{3}) {2}/.exec(line)?.[1] ?? []).map(Number)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
  })

  it('S7: is of the same life as without it, verbose or not, and with its trace kept', async () => {
    const plain = await liveHere(TASK)
    const lines: string[] = []
    const traces: (readonly string[])[] = []
    const watched = await liveHere(TASK, {
      timeline: { print: (line) => lines.push(line), isVerbose: true },
      onTrace: (trace) => traces.push(trace),
    })
    expect(watched.hash).toBe(plain.hash)
    expect(watched.events).toBe(plain.events)
    expect(lines.some((line) => line.includes('Connection closed'))).toBe(true)
    expect(traces[0]!.length).toBeGreaterThanOrEqual(plain.events)
  })
})

describe('A life with something left out', () => {
  it('has none of the clients, acts and faults that it is to be without', async () => {
    const summary = await liveHere({
      seed: 3,
      stormMs: 0,
      producers: 1,
      consumers: 0,
      hasOperator: false,
      hasGroup: false,
    })
    expect(summary.faults.size).toBe(0)
    expect([...summary.marks.keys()].filter((name) => /^(operator|group): /.test(name))).toEqual([])
    expect(summary.failure).toBeNull()
  })
})

describe('wrapText', () => {
  it('breaks between words, indents what goes on, and cuts a word that is too long', () => {
    expect(wrapText('one two three', 2, 8)).toEqual(['one two', '  three'])
    expect(wrapText('abcdefghij', 2, 8)).toEqual(['abcdefgh', '  ij'])
    expect(wrapText('', 2, 8)).toEqual([''])
  })
})
