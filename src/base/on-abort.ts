/**
 * Who waits for a signal to fire, by one listener for each signal: a thousand calls may share one that their owner fires when it
 * closes, and Node takes eleven listeners for a leak and says so.
 */

const tasksOf = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Runs `task` once when a signal fires, after those that came before. One that has fired already does not fire again.
 *
 * @param signal - Undefined: it never fires.
 * @param task - Must not throw.
 * @returns Forgets the task.
 */
export function onAbort(signal: AbortSignal | undefined, task: () => void): () => void {
  if (signal === undefined) return () => undefined
  const tasks = tasksOf.get(signal) ?? watch(signal)
  const entry = (): void => task() // Of its own, whoever else waits with the same task.
  tasks.add(entry)
  return () => {
    tasks.delete(entry)
  }
}

function watch(signal: AbortSignal): Set<() => void> {
  const tasks = new Set<() => void>()
  tasksOf.set(signal, tasks)
  signal.addEventListener(
    'abort',
    () => {
      // What is forgotten while the others are told is not told any more, nor what comes only then.
      for (const entry of [...tasks]) if (tasks.delete(entry)) entry()
    },
    { once: true },
  )
  return tasks
}
