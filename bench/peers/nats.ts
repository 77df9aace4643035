/** NATS JetStream: three servers, streams in files with three replicas. From Debian's `nats-server`. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { takeFreePorts } from '../free-ports.ts'
import { awaitServing } from './await-serving.ts'
import type { NatsServer } from './nats-load.ts'
import { findCommand, ServerGroup, ServerProcess } from './server-process.ts'
import { REPLICAS, type System } from './system.ts'
import { connectWorker } from './worker-load.ts'

export const nats: System = {
  name: 'NATS JetStream R3',
  acks: 'majority',
  settings:
    'three servers, file storage, defaults; publishes with a reply subject, encoded once, 1 024 in flight at the leader; push consumer without acknowledgements',
  clients: [''],
  findObstacle: async ({ durability }) => {
    if (durability === 'disk') return 'it acknowledges before it syncs'
    return findCommand('nats-server') === null ? 'there is no nats-server: install it with apt-get' : null
  },
  start: async (context, directory) => {
    const [ports, routes] = [await takeFreePorts(REPLICAS), await takeFreePorts(REPLICAS)]
    const named: NatsServer[] = ports.map((port, index) => ({ name: `n${index}`, port }))
    const processes = named.map(({ name, port }, index) => {
      const own = join(directory, name)
      mkdirSync(own, { recursive: true })
      const path = join(own, 'nats.conf')
      const urls = routes.map((route) => `nats://127.0.0.1:${route}`).join(', ')
      const config = [
        `server_name: ${name}`,
        `listen: "127.0.0.1:${port}"`,
        `jetstream { store_dir: ${JSON.stringify(own)}, max_mem: 1G, max_file: 40G }`,
        `cluster { name: bench, listen: "127.0.0.1:${routes[index]!}", routes: [${urls}] }`,
      ]
      writeFileSync(path, `${config.join('\n')}\n`)
      const logPath = join(own, 'log')
      return new ServerProcess(context, {
        command: findCommand('nats-server')!,
        commandLine: ['-c', path],
        logPath,
      })
    })
    const servers = new ServerGroup(processes)
    const connect = () => connectWorker(context, 'nats-load', named)
    await awaitServing(servers, connect)
    return { servers, connect, stop: () => servers.stop() }
  },
}
