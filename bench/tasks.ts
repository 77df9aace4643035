/** The tasks that a benchmark may run in a process of their own, by name. */
import { wirePeer } from './limits/wire-peer.ts'
import { connectionLoad } from './load/connection-load.ts'
import { consumerLoad } from './load/consumer-load.ts'
import { embedded } from './load/embedded.ts'
import { frameLoad } from './load/frame-load.ts'
import { openLoopLoad } from './load/open-loop-load.ts'
import { producerLoad } from './load/producer-load.ts'
import { requestLoad } from './load/request-load.ts'

export const tasks = {
  'wire-peer': wirePeer,
  'connection-load': connectionLoad,
  'consumer-load': consumerLoad,
  embedded,
  'frame-load': frameLoad,
  'open-loop-load': openLoopLoad,
  'producer-load': producerLoad,
  'request-load': requestLoad,
} as const

export type TaskName = keyof typeof tasks
