/** The tasks that a benchmark may run in a process of their own, by name. */
import { skeletonNode } from './limits/skeleton-node.ts'
import { wirePeer } from './limits/wire-peer.ts'
import { connectionLoad } from './load/connection-load.ts'
import { consumerLoad } from './load/consumer-load.ts'
import { embedded } from './load/embedded.ts'
import { failOverLoad } from './load/fail-over-load.ts'
import { groupLoad } from './load/group-load.ts'
import { frameLoad } from './load/frame-load.ts'
import { openLoopLoad } from './load/open-loop-load.ts'
import { producerLoad } from './load/producer-load.ts'
import { requestLoad } from './load/request-load.ts'
import { kafkaLoad } from './peers/kafka-load.ts'
import { natsLoad } from './peers/nats-load.ts'
import { rabbitmqLoad } from './peers/rabbitmq-load.ts'
import { redisLoad } from './peers/redis-load.ts'

export const tasks = {
  'skeleton-node': skeletonNode,
  'wire-peer': wirePeer,
  'connection-load': connectionLoad,
  'consumer-load': consumerLoad,
  embedded,
  'fail-over-load': failOverLoad,
  'frame-load': frameLoad,
  'group-load': groupLoad,
  'kafka-load': kafkaLoad,
  'nats-load': natsLoad,
  'open-loop-load': openLoopLoad,
  'producer-load': producerLoad,
  'rabbitmq-load': rabbitmqLoad,
  'redis-load': redisLoad,
  'request-load': requestLoad,
} as const

export type TaskName = keyof typeof tasks
