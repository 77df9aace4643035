/** Marks: which lines of logs they count, and when one that is lacking fails a run. */
import { describe, expect, it } from 'vitest'
import { MarkCounts, MARKS, marksOf } from '../life/marks.ts'
import type { Said } from '../support/sim-cluster.ts'

const said = (level: Said['level'], message: string, fields: Said['fields'] = {}): Said => ({
  ...{ atMs: 0, node: 'b1', level, message, fields },
})

describe('Marks', () => {
  it('count lines by level and message, without numbers and addresses in them', () => {
    expect(marksOf(said('warn', 'Cannot fetch; trying again'))).toEqual(['warn: Cannot fetch; trying again'])
    const [one, other] = [1, 2].map((id) =>
      marksOf(said('info', `No connection to node ${id}: ws://b${id}:9092/ is silent`)),
    )
    expect(one).toEqual(other)
  })

  it('count what is told by debug lines only where it is rare', () => {
    expect(marksOf(said('debug', 'Connection closed'))).toEqual([])
    expect(marksOf(said('debug', 'Metadata snapshot is written'))).toHaveLength(1)
  })

  it('tell votes that were refused from pre-votes, and cuts of one epoch from those of more', () => {
    expect(marksOf(said('debug', 'Refused a vote', { isPreVote: true }))).toEqual(['pre-vote refused'])
    expect(marksOf(said('debug', 'Refused a vote', { isPreVote: false }))).toEqual(['vote refused'])
    const cut = 'Cutting a log that has left its leader’s'
    expect(marksOf(said('info', cut, { epochs: 1 }))).toEqual([`info: ${cut}`])
    expect(marksOf(said('info', cut, { epochs: 2 }))).toContain('cut across two leader epochs or more')
  })

  it('are lacking only in a run that is long enough, and by their number for each seed', () => {
    const counts = new MarkCounts()
    counts.add(new Map(), 9)
    expect(counts.missing()).toEqual([])
    const all = new Map(MARKS.map(({ name, perSeed = 0 }) => [name, 1 + 9 * perSeed]))
    counts.add(all, 1)
    expect(counts.missing()).toEqual(['info: Controller is active'].filter((name) => all.get(name)! < 10))
    counts.add(new Map(), 10)
    expect(counts.missing()).toEqual(['info: Controller is active'])
  })
})
