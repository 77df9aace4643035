/** The process behind `Worker`: opens the task named on its command line and serves calls until the parent is gone. */
import process from 'node:process'
import { tasks, type TaskName } from './tasks.ts'
import type { AnswerMessage, CallMessage, Task, TaskMethod } from './worker.ts'

const task: Task = tasks[process.argv[2] as TaskName]
let methods: Readonly<Record<string, TaskMethod>> = {
  open: async (parameters: never) => {
    methods = await task(parameters)
  },
}

async function answer({ call, method, argument }: CallMessage): Promise<AnswerMessage> {
  try {
    const run = methods[method]
    if (!run)
      throw new Error(
        `Called ${method} of ${String(process.argv[2])}: it has ${Object.keys(methods).join(', ')}`,
      )
    return { call, kind: 'result', result: await run(argument as never) }
  } catch (error) {
    return { call, kind: 'error', message: error instanceof Error ? String(error.stack) : String(error) }
  }
}

process.on('message', (message: CallMessage) => {
  void answer(message).then((reply) => process.send?.(reply))
})
// Ctrl-C reaches the whole group of processes; the parent decides when this one has done its part.
process.on('SIGINT', () => undefined)
process.on('disconnect', () => process.exit(0))
