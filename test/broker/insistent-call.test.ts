import { describe, expect, it } from 'vitest'
import { InsistentCall } from '../../src/broker/insistent-call.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'

/** @param answers - Of one call after the other, each after 10 ms; then null. */
function insistent(answers: readonly (string | null)[]) {
  const simulation = new Simulation({ seed: 'insistent' })
  const { env } = simulation.node('a')
  const left = [...answers]
  const calledAt: number[] = []
  const refused: { error: string; againInMs: number }[] = []
  const defects: Error[] = []
  const call = new InsistentCall(env, {
    pause: { initialMs: 100, maxMs: 5000 },
    call: async () => {
      calledAt.push(simulation.nowMs)
      await new Promise<void>((resolve) => env.clock.after(10, resolve))
      const answer = left.shift() ?? null
      if (answer === 'DEFECT') throw new Error(answer)
      return answer
    },
    onRefused: (error, againInMs) => refused.push({ error, againInMs }),
    onDefect: (error) => defects.push(error),
  })
  return { simulation, call, calledAt, refused, defects }
}

describe('InsistentCall', () => {
  it('calls once when nothing refuses it', async () => {
    const { simulation, call, calledAt, refused } = insistent([])
    call.now()
    await simulation.run(60_000)
    expect(calledAt).toEqual([0])
    expect(refused).toEqual([])
  })

  it('calls again until it is not refused, after pauses that grow', async () => {
    const { simulation, call, calledAt, refused } = insistent(Array.from({ length: 9 }, () => 'FULL'))
    call.now()
    await simulation.run(60_000)
    expect(calledAt).toHaveLength(10)
    const gaps = calledAt.slice(1).map((atMs, index) => atMs - calledAt[index]! - 10)
    expect(gaps.map(Math.round)).toEqual(refused.map(({ againInMs }) => Math.round(againInMs)))
    expect(gaps[0]).toBeLessThanOrEqual(100)
    expect(gaps[0]).toBeLessThan(gaps.at(-1)!)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5001)
  })

  it('begins with short pauses anew once it was not refused', async () => {
    const { simulation, call, refused } = insistent([
      ...Array.from({ length: 6 }, () => 'FULL'),
      null,
      'FULL',
    ])
    call.now()
    await simulation.run(30_000)
    call.now()
    await simulation.run(60_000)
    expect(refused).toHaveLength(7)
    expect(refused.at(-1)!.againInMs).toBeLessThanOrEqual(100)
  })

  it('calls again at once for what came while it called, and does not wait for a pause', async () => {
    const { simulation, call, calledAt } = insistent([null, 'FULL', null])
    call.now()
    await simulation.run(5)
    call.now()
    call.now()
    await simulation.run(25)
    expect(calledAt.map(Math.round)).toEqual([0, 10])
    call.now()
    await simulation.run(60_000)
    expect(calledAt.map(Math.round)).toEqual([0, 10, 25])
  })

  it('S1: ends when it is stopped, during a call or a pause', async () => {
    for (const stopMs of [5, 15]) {
      const { simulation, call, calledAt } = insistent(['FULL'])
      call.now()
      await simulation.run(stopMs)
      call.stop()
      call.now()
      await simulation.run(60_000)
      expect(calledAt).toEqual([0])
      expect([...simulation.pending()]).toEqual([])
    }
  })

  it('tells of a defect, once', async () => {
    const { simulation, call, defects } = insistent(['DEFECT'])
    call.now()
    await simulation.run(60_000)
    expect(defects.map(({ message }) => message)).toEqual(['DEFECT'])
  })
})
