import { describe, expect, it } from 'vitest'
import { ProducerIdSource } from '../../src/broker/producer-id-source.ts'

/** Blocks of three; `isRefusing` makes the controller give none. */
function open() {
  const state = { reservations: 0, isRefusing: false, fails: false }
  const source = new ProducerIdSource(async () => {
    state.reservations++
    await Promise.resolve()
    if (state.fails) throw new Error('the quorum is closed')
    return state.isRefusing ? null : { firstId: 100 * state.reservations, count: 3 }
  })
  return { source, state }
}

describe('ProducerIdSource', () => {
  it('P4: gives each id once, block after block', async () => {
    const { source } = open()
    const ids: (number | null)[] = []
    for (let index = 0; index < 7; index++) ids.push(await source.next())
    expect(ids).toEqual([100, 101, 102, 200, 201, 202, 300])
  })

  it('P4: gives each id once to those who ask at the same time, who share a reservation', async () => {
    const { source, state } = open()
    const ids = await Promise.all(Array.from({ length: 8 }, () => source.next()))
    expect(new Set(ids).size).toBe(8)
    expect(state.reservations).toBe(3)
  })

  it('has none when there are none to reserve, and asks again the next time', async () => {
    const { source, state } = open()
    state.isRefusing = true
    expect(await Promise.all([source.next(), source.next()])).toEqual([null, null])
    expect(state.reservations).toBe(1)
    state.isRefusing = false
    expect(await source.next()).toBe(200)
  })

  it('passes a failure on to all who wait, and is none the worse', async () => {
    const { source, state } = open()
    state.fails = true
    const results = await Promise.allSettled([source.next(), source.next()])
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    state.fails = false
    expect(await source.next()).toBe(200)
  })
})
