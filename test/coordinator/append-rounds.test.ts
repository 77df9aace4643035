import { describe, expect, it } from 'vitest'
import { AppendRounds, BURST, ROUND_MS } from '../../src/coordinator/append-rounds.ts'
import { ManualClock, settle } from '../controller/support.ts'

function stage() {
  const clock = new ManualClock()
  const rounds = new AppendRounds(clock)
  const appended: string[] = []
  return { clock, appended, write: (name: string) => rounds.join(() => appended.push(name)) }
}

/** Uses up what may follow each other at once. */
async function exhaust({ write, appended }: ReturnType<typeof stage>): Promise<void> {
  for (let index = 0; index < BURST; index++) {
    write('before')
    await settle()
  }
  expect(appended.splice(0)).toHaveLength(BURST)
}

describe('rounds of appends', () => {
  it('are at the end of the turn of a write that comes after a pause, with all that was written in it', async () => {
    const { appended, write } = stage()
    write('a')
    write('b')
    expect(appended).toEqual([])
    await settle()
    expect(appended).toEqual(['a', 'b'])
  })

  it('gather what comes often, and let no write wait for longer than it is said', async () => {
    const it = stage()
    await exhaust(it)
    it.write('a')
    await settle()
    it.clock.advance(ROUND_MS - 1)
    it.write('b')
    await settle()
    expect(it.appended).toEqual([])

    it.clock.advance(1)
    expect(it.appended).toEqual(['a', 'b'])
  })

  it('are one in ROUND_MS for as long as writes come without a pause', async () => {
    const it = stage()
    await exhaust(it)
    let roundCount = 0
    for (let ms = 0; ms < 10 * ROUND_MS; ms++) {
      it.write('x')
      it.clock.advance(1)
      await settle()
      if (it.appended.splice(0).length > 0) roundCount++
    }
    expect(roundCount).toBe(10)
  })

  it('go on for the others when one of them throws', async () => {
    const clock = new ManualClock()
    const rounds = new AppendRounds(clock)
    const appended: string[] = []
    for (let index = 0; index < BURST; index++) {
      rounds.join(() => undefined)
      await settle()
    }
    rounds.join(() => appended.push('a'))
    rounds.join(() => {
      throw new Error('broken')
    })
    rounds.join(() => appended.push('c'))
    expect(() => clock.advance(ROUND_MS)).toThrow('broken')
    expect(appended).toEqual(['a'])
    clock.advance(ROUND_MS)
    expect(appended).toEqual(['a', 'c'])
  })

  it('do not wait for each other after a pause again', async () => {
    const it = stage()
    await exhaust(it)
    it.clock.advance(BURST * ROUND_MS)
    await exhaust(it)
  })
})
