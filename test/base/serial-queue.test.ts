import { describe, expect, it } from 'vitest'
import { SerialQueue } from '../../src/base/serial-queue.ts'

describe('SerialQueue', () => {
  it('runs one task at a time, in order, and goes on after one that failed', async () => {
    const queue = new SerialQueue(10)
    const events: string[] = []
    const task =
      (name: string, fails = false) =>
      async (): Promise<string> => {
        events.push(`${name} begins`)
        await Promise.resolve()
        events.push(`${name} ends`)
        if (fails) throw new Error(name)
        return name
      }
    const results = await Promise.allSettled([
      queue.run(task('a')),
      queue.run(task('b', true)),
      queue.run(task('c')),
    ])
    expect(events).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  })

  it('refuses more tasks than its bound', async () => {
    const queue = new SerialQueue(1)
    const never = queue.run(() => new Promise<void>(() => undefined))
    void queue.run(() => Promise.resolve())
    await expect(queue.run(() => Promise.resolve())).rejects.toThrow('over its bound of 1 tasks')
    void never
  })
})
