import { describe, expect, it } from 'vitest'
import { Deque } from '../../src/base/deque.ts'

describe('Deque', () => {
  it('keeps order through growth and wrap-around, at both ends', () => {
    const deque = new Deque<number>()
    const model: number[] = []
    for (let step = 0; step < 1000; step++) {
      if (step % 3 === 2) expect(deque.shift()).toBe(model.shift())
      else if (step % 7 === 6) expect(deque.pop()).toBe(model.pop())
      else {
        deque.push(step)
        model.push(step)
      }
      expect(deque.count).toBe(model.length)
      expect(deque.peek()).toBe(model[0])
      expect(deque.peekLast()).toBe(model.at(-1))
    }
  })

  it('answers undefined when empty', () => {
    const deque = new Deque<number>()
    expect([deque.peek(), deque.peekLast(), deque.shift(), deque.pop()]).toEqual(Array(4).fill(undefined))
  })
})
