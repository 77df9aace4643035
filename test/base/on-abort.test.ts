import { expect, it, onTestFinished } from 'vitest'
import { onAbort } from '../../src/base/on-abort.ts'

it('tells all who wait for a signal, once and in order, but for those that do not wait any more', () => {
  const { signal, abort } = controller()
  const told: string[] = []
  onAbort(signal, () => told.push('first'))
  const forgetSecond = onAbort(signal, () => told.push('second'))
  const same = (): number => told.push('same')
  const forgetSame = onAbort(signal, same)
  onAbort(signal, same)
  onAbort(signal, () => {
    forgetLast()
    onAbort(signal, () => told.push('too late'))
  })
  const forgetLast = onAbort(signal, () => told.push('last'))
  forgetSecond()
  forgetSame()
  forgetSame()
  abort()
  abort()
  expect(told).toEqual(['first', 'same'])
})

it('tells nobody without a signal, or by one that has fired before', () => {
  const { signal, abort } = controller()
  abort()
  const told: string[] = []
  onAbort(undefined, () => told.push('none'))()
  onAbort(signal, () => told.push('late'))
  abort()
  expect(told).toEqual([])
})

it('is no leak for Node, however many wait at once', async () => {
  const warnings: string[] = []
  const note = ({ name }: Error): number => warnings.push(name)
  process.on('warning', note)
  onTestFinished(() => void process.off('warning', note))
  const { signal, abort } = controller()
  let count = 0
  for (let index = 0; index < 1000; index++) onAbort(signal, () => count++)
  await new Promise((resolve) => setImmediate(resolve))
  expect(warnings).toEqual([])
  abort()
  expect(count).toBe(1000)
})

function controller(): { signal: AbortSignal; abort: () => void } {
  const made = new AbortController()
  return { signal: made.signal, abort: () => made.abort() }
}
