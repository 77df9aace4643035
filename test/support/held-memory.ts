/**
 * How much memory this process holds: what is left after a full collection, on the heap and beside it. The size of the
 * process says nothing of that in a test: V8 keeps what it once had for the next time, more of it on a machine with more.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes; buffers are counted whole from when they are allocated, touched or not. Takes some tens of ms. */
export function heldBytes(): number {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
