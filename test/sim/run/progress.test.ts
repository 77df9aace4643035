/** What a run shows while it is under way. */
import { describe, expect, it } from 'vitest'
import { Progress } from './progress.ts'
import { aFailure, aLife } from './support.ts'
import { Tally } from './tally.ts'

function shown(isTty: boolean, columns = 120) {
  const written: string[] = []
  let nowMs = 0
  const progress = new Progress({ write: (text) => written.push(text), isTty, columns, now: () => nowMs })
  const tally = new Tally()
  return {
    written,
    progress,
    /** A life that took so long. */
    live: (ms: number, life = aLife(1)) => {
      nowMs += ms
      tally.add(life)
      progress.update(tally, 10)
    },
  }
}

describe('Progress', () => {
  it('writes one line over and over on a terminal, and takes it away', () => {
    const { written, progress, live } = shown(true)
    live(500)
    live(500)
    progress.clear()
    progress.clear()
    expect(written).toEqual([
      '\r\x1b[2K1 of 10 lives, none failed, 0.02 h simulated, 120× real time, 4.5 s left',
      '\r\x1b[2K2 of 10 lives, none failed, 0.03 h simulated, 120× real time, 4 s left',
      '\r\x1b[2K',
    ])
  })

  it('does not write so often that nobody can read it', () => {
    const { written, live } = shown(true)
    for (let count = 0; count < 10; count++) live(30)
    expect(written).toHaveLength(1)
  })

  it('prints a line now and then elsewhere', () => {
    const { written, live } = shown(false)
    for (let count = 0; count < 10; count++) live(4000)
    expect(written).toEqual([
      '4 of 10 lives, none failed, 0.07 h simulated, 15× real time, 24 s left\n',
      '8 of 10 lives, none failed, 0.13 h simulated, 15× real time, 8 s left\n',
    ])
  })

  it('tells of failures', () => {
    const { written, live } = shown(true)
    live(500, aFailure(1, 'R2: something is lacking'))
    expect(written[0]).toContain('1 FAILED')
  })

  it('is no wider than the terminal', () => {
    const { written, live } = shown(true, 40)
    live(500)
    expect(written[0]).toHaveLength(5 + 39)
  })
})
