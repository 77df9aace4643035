import { describe, expect, it } from 'vitest'
import { drawRounds } from './plan.ts'
import type { Act, Counts, Means, Round } from './plan.ts'

const COUNTS: Counts = {
  kills: 60,
  pauses: 20,
  restarts: 7,
  partitions: 21,
  networkFaults: 9,
  diskFaults: 40,
  corruptions: 8,
  powerCuts: 11,
}
const ALL: Means = { hasTracer: true, hasDisks: true }
const SEEDS = Array.from({ length: 50 }, (_, index) => index)
const SESSION_MS = 1000

const draw = (seed: number, { brokers = 3, means = ALL, counts = COUNTS } = {}): readonly Round[] =>
  drawRounds({ seed, brokers, counts, means, sessionMs: SESSION_MS })

const actsOf = (rounds: readonly Round[]): readonly Act[] => rounds.flatMap(({ acts }) => acts)

function ofKind<K extends Act['kind']>(rounds: readonly Round[], kind: K): Extract<Act, { kind: K }>[] {
  return actsOf(rounds).filter((act): act is Extract<Act, { kind: K }> => act.kind === kind)
}

describe('drawRounds()', () => {
  it('draws the same from the same seed, and something else from another', () => {
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
  })

  it.each([3, 5])(
    'keeps every count exactly, kills and power cuts of all brokers counted by broker (%i)',
    (brokers) => {
      for (const seed of SEEDS) {
        const rounds = draw(seed, { brokers })
        const killed = ofKind(rounds, 'kill').reduce((sum, { times }) => sum + times, 0)
        expect(killed + brokers * ofKind(rounds, 'kill all').length).toBe(60)
        expect(ofKind(rounds, 'pause')).toHaveLength(20)
        expect(ofKind(rounds, 'restart')).toHaveLength(7)
        expect(ofKind(rounds, 'partition')).toHaveLength(21)
        expect(ofKind(rounds, 'network')).toHaveLength(9)
        expect(ofKind(rounds, 'disk')).toHaveLength(40)
        expect(ofKind(rounds, 'corruption')).toHaveLength(8)
        expect(ofKind(rounds, 'power cut').length + brokers * ofKind(rounds, 'power cut of all').length).toBe(
          11,
        )
      }
    },
  )

  it('cuts one way in at least half of the partitions, and pauses for longer than a session', () => {
    for (const seed of SEEDS) {
      const rounds = draw(seed)
      expect(ofKind(rounds, 'partition').filter(({ cut }) => cut === 'out' || cut === 'in')).toHaveLength(11)
      for (const { holdMs } of ofKind(rounds, 'pause')) expect(holdMs).toBeGreaterThan(SESSION_MS)
    }
  })

  it('damages files of one broker at a time, with all others whole, and leaves the whole to nobody but itself', () => {
    for (const seed of SEEDS) {
      const rounds = draw(seed, { brokers: 5 })
      for (const [index, { acts, settling }] of rounds.entries()) {
        if (!acts.some(({ kind }) => ['corruption', 'kill all', 'power cut of all'].includes(kind))) continue
        expect(acts).toHaveLength(1)
        if (acts[0]!.kind !== 'corruption') continue
        expect(settling).toBe('in sync')
        if (index > 0) expect(rounds[index - 1]!.settling).toBe('in sync')
      }
      expect(rounds.at(-1)!.settling).toBe('in sync')
    }
  })

  it('draws every form of every kind, and several faults at once', () => {
    const rounds = SEEDS.flatMap((seed) => draw(seed))
    const forms = new Set(actsOf(rounds).map((act) => JSON.stringify([act.kind, 'cut' in act && act.cut, 'fault' in act && act.fault, 'damage' in act && act.damage, 'times' in act && act.times]))) // prettier-ignore
    expect(forms.size).toBe(2 + 1 + 1 + 1 + 5 + 4 + 5 + 3 + 2)
    expect(rounds.some(({ acts }) => acts.length > 1)).toBe(true)
  })

  it('leaves out what the machine does not allow, and nothing else', () => {
    const none = draw(1, { means: { hasTracer: false, hasDisks: false } })
    expect(ofKind(none, 'disk')).toEqual([])
    expect(ofKind(none, 'power cut')).toEqual([])
    expect(ofKind(none, 'corruption')).toHaveLength(8)
    const traced = draw(1, { means: { hasTracer: true, hasDisks: false } })
    expect(ofKind(traced, 'disk')).toHaveLength(40)
    expect(ofKind(traced, 'disk').some(({ fault }) => fault === 'full disk')).toBe(false)
  })

  it('draws nothing where nothing is asked for', () => {
    const counts = Object.fromEntries(Object.keys(COUNTS).map((name) => [name, 0])) as unknown as Counts
    expect(draw(1, { counts })).toEqual([])
  })
})
