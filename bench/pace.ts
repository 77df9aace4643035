/**
 * An open loop: calls are made when they are due, whatever became of those before. The process never sleeps between them:
 * timers are exact to a millisecond only, and waking up would be measured with the rest.
 */

/** Calls `send` for every index below `count` when it is due, all that are due in one turn. */
export function pace(
  count: number,
  dueMs: (index: number) => number,
  send: (index: number) => void,
): Promise<void> {
  return new Promise((resolve) => {
    let next = 0
    const turn = (): void => {
      while (next < count && dueMs(next) <= performance.now()) send(next++)
      if (next < count) setImmediate(turn)
      else resolve()
    }
    turn()
  })
}
