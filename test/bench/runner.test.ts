import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Histogram } from '../../bench/histogram.ts'
import { runWorkload } from '../../bench/runner.ts'
import { NO_CONDITIONS, type Case, type Measurement, type Workload } from '../../bench/workload.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bench-runner-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const rate = (value: number) => ({ name: 'rate', unit: '1/s', value, better: 'higher' as const })
const caseOf = (name: string, run: () => Measurement): Case => ({
  name,
  conditions: NO_CONDITIONS,
  run: () => Promise.resolve(run()),
})
const workloadOf = (
  cases: readonly Case[],
  opened?: (onClose: (task: () => void) => void) => void,
): Workload => ({
  name: 'w',
  summary: 's',
  open: (context) => {
    opened?.((task) => context.onClose(task))
    return Promise.resolve(cases)
  },
})
const options = {
  isToy: false,
  repetitions: 3,
  durability: 'disk' as const,
  profileDirectory: null,
  only: '',
  signal: new AbortController().signal,
  onProgress: () => undefined,
}

describe('runWorkload()', () => {
  it('runs cases in turn, there and back, after a round that does not count', async () => {
    const order: string[] = []
    const measure = (name: string) =>
      caseOf(name, () => ({ metrics: [rate(order.push(name))], work: 'same' }))

    const results = await runWorkload(workloadOf([measure('a'), measure('b')]), { ...options, directory })

    expect(order.join('')).toBe('ba' + 'ab' + 'ba' + 'ab')
    expect(results[0]!.metrics).toEqual([
      { name: 'rate', unit: '1/s', better: 'higher', median: 6, min: 3, max: 7 },
    ])
    expect(results[1]).toMatchObject({ name: 'b', repetitions: 3, latency: null })
  })

  it('pools latencies and names only percentiles that have samples beyond them', async () => {
    const latency = new Histogram()
    for (let ns = 1; ns <= 100; ns++) latency.record(ns)
    const timed = caseOf('a', () => ({ metrics: [], latency, work: 'same' }))

    const [result] = await runWorkload(workloadOf([timed]), { ...options, directory })

    expect(Histogram.fromData(result!.latency!).count).toBe(300)
    expect(result!.metrics.map(({ name, median }) => [name, median])).toEqual([['p50', 0.05], ['p95', 0.095], ['p99', 0.099]]) // prettier-ignore
  })

  it('gives equal work an equal hash and refuses repetitions that did different work', async () => {
    const same = workloadOf([caseOf('a', () => ({ metrics: [], work: '5 bytes' }))])
    const [first] = await runWorkload(same, { ...options, directory })
    const [second] = await runWorkload(same, { ...options, directory, isToy: true, repetitions: 1 })
    expect(first!.workHash).toBe(second!.workHash)
    expect(first!.workHash).toMatch(/^[0-9a-f]{16}$/)

    let count = 0
    const changing = workloadOf([caseOf('a', () => ({ metrics: [], work: `${++count} bytes` }))])
    await expect(runWorkload(changing, { ...options, directory })).rejects.toThrow(
      'Repeated w, a: the repetitions did different work: 2 bytes | 3 bytes | 4 bytes',
    )
  })

  it('closes what was opened, last first, and removes its directory, also after a failure', async () => {
    const closed: string[] = []
    const failing = caseOf('a', () => {
      throw new Error('broken')
    })
    const workload = workloadOf([failing], (onClose) => {
      onClose(
        () => void closed.push(existsSync(join(directory, readdirSync(directory)[0]!)) ? 'first' : 'gone'),
      )
      onClose(() => void closed.push('second'))
    })

    await expect(runWorkload(workload, { ...options, directory })).rejects.toThrow('broken')

    expect(closed).toEqual(['second', 'first'])
    expect(readdirSync(directory)).toEqual([])
  })

  it('runs only the cases that are wanted, and none of them twice for a profile', async () => {
    const order: string[] = []
    const measure = (name: string) =>
      caseOf(name, () => ({ metrics: [rate(order.push(name))], work: 'same' }))
    const workload = workloadOf([measure('TCP, 1 KiB'), measure('TCP, 100 B')])

    const results = await runWorkload(workload, {
      ...options,
      directory,
      only: '100 B',
      repetitions: 1,
      profileDirectory: directory,
    })

    expect(order).toEqual(['TCP, 100 B'])
    expect(results.map(({ name }) => name)).toEqual(['TCP, 100 B'])
  })

  it('stops in the middle of a case when interrupted, and closes what was opened', async () => {
    const interruption = new AbortController()
    const closed: string[] = []
    const endless: Case = {
      name: 'a',
      conditions: NO_CONDITIONS,
      run: () => {
        interruption.abort(new Error('interrupted'))
        return new Promise(() => undefined)
      },
    }
    const workload = workloadOf([endless], (onClose) => onClose(() => void closed.push('closed')))

    const running = runWorkload(workload, { ...options, directory, signal: interruption.signal })

    await expect(running).rejects.toThrow('interrupted')
    expect(closed).toEqual(['closed'])
    expect(readdirSync(directory)).toEqual([])
  })
})
