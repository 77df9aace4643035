/** Millrace itself: three brokers, each a process, driven over TCP as every other system is. */
import { ClusterProcess } from '../cluster-process.ts'
import type { KafkaLoadParameters } from './kafka-load.ts'
import { connectLibrdkafka, findLibrdkafkaObstacle, LIBRDKAFKA } from './librdkafka.ts'
import { REPLICAS, type System } from './system.ts'
import { connectWorker } from './worker-load.ts'

export const millrace: System = {
  name: 'Millrace',
  acks: 'all',
  settings: 'defaults of broker, producer and consumer',
  clients: ['', LIBRDKAFKA],
  findObstacle: async () => null,
  findClientObstacle: (context, client) => (client === LIBRDKAFKA ? findLibrdkafkaObstacle(context) : null),
  start: async (context, directory) => {
    const cluster = await ClusterProcess.start(context, { directory })
    const { durability } = context
    const spec = { partitions: 1, durability, replicas: REPLICAS }
    const parameters: KafkaLoadParameters = { bootstrap: cluster.bootstrap, spec }
    return {
      servers: cluster,
      connect: (client) =>
        client === LIBRDKAFKA
          ? connectLibrdkafka(context, cluster.bootstrap, { durability })
          : connectWorker(context, 'kafka-load', parameters),
      stop: () => cluster.stop(),
    }
  },
}
