/**
 * Apache Kafka: three KRaft nodes, each broker and controller, with the heap and collector of its own start script. Its
 * jars come from Maven Central (bench/peers/install.ts).
 */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { takeFreePorts } from '../free-ports.ts'
import { awaitServing } from './await-serving.ts'
import { KAFKA_JARS } from './install.ts'
import type { KafkaLoadParameters } from './kafka-load.ts'
import { connectLibrdkafka, findLibrdkafkaObstacle, LIBRDKAFKA } from './librdkafka.ts'
import { findCommand, ServerGroup, ServerProcess } from './server-process.ts'
import { REPLICAS, type PeerContext, type System } from './system.ts'
import { connectWorker } from './worker-load.ts'

const JVM_FLAGS = [
  ...['-Xms1G', '-Xmx1G', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20'],
  ...[
    '-XX:InitiatingHeapOccupancyPercent=35',
    '-XX:+ExplicitGCInvokesConcurrent',
    '-Djava.awt.headless=true',
  ],
]
const FORMAT_MS_MAX = 60_000

const jarsOf = ({ packages }: PeerContext): string => join(packages, KAFKA_JARS)

export const kafka: System = {
  name: 'Apache Kafka',
  acks: 'all',
  settings:
    'three KRaft nodes with 1 GiB of heap each; acks=all, min.insync.replicas=2; flush.messages=1 where durability is disk; driven by Millrace’s own client and by librdkafka',
  clients: ['', LIBRDKAFKA],
  findObstacle: async (context) => {
    if (findCommand('java') === null) return 'there is no java: install a Java 17 runtime'
    return existsSync(jarsOf(context)) ? null : 'its jars are missing: npm run bench -- install-peers'
  },
  findClientObstacle: (context, client) => (client === LIBRDKAFKA ? findLibrdkafkaObstacle(context) : null),
  start: async (context, directory) => {
    const [ports, controllerPorts] = [await takeFreePorts(REPLICAS), await takeFreePorts(REPLICAS)]
    const clusterId = randomBytes(16).toString('base64url')
    const voters = controllerPorts.map((port, index) => `${index + 1}@127.0.0.1:${port}`).join(',')
    const classPath = join(jarsOf(context), '*')
    const java = findCommand('java')!
    const processes = ports.map((port, index) => {
      const own = join(directory, `kafka-${index}`)
      mkdirSync(own, { recursive: true })
      const path = join(own, 'server.properties')
      const properties = {
        'process.roles': 'broker,controller',
        'node.id': index + 1,
        'controller.quorum.voters': voters,
        listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPorts[index]!}`,
        'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
        'controller.listener.names': 'CONTROLLER',
        'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
        'log.dirs': join(own, 'data'),
        'offsets.topic.replication.factor': REPLICAS,
        'min.insync.replicas': REPLICAS - 1,
        'file.delete.delay.ms': 0,
      }
      const lines = Object.entries(properties).map(([key, value]) => `${key}=${value}\n`)
      writeFileSync(path, lines.join(''))
      const format = ['-cp', classPath, 'kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', path]
      execFileSync(java, format, { stdio: 'ignore', timeout: FORMAT_MS_MAX })
      const commandLine = [...JVM_FLAGS, '-cp', classPath, 'kafka.Kafka', path]
      return new ServerProcess(context, { command: java, commandLine, logPath: join(own, 'log') })
    })
    const servers = new ServerGroup(processes)
    const bootstrap = ports.map((port) => `127.0.0.1:${port}`).join(',')
    const { durability } = context
    const configs = durability === 'disk' ? { 'flush.messages': 1 } : {}
    const spec = {
      partitions: 1,
      durability,
      replicas: REPLICAS,
      configs: { ...configs, 'retention.ms': -1 },
    }
    const parameters: KafkaLoadParameters = { bootstrap, spec }
    const connect = (client: string) =>
      client === LIBRDKAFKA
        ? connectLibrdkafka(context, bootstrap, configs)
        : connectWorker(context, 'kafka-load', parameters)
    await awaitServing(servers, connect)
    return { servers, connect, stop: () => servers.stop() }
  },
}
