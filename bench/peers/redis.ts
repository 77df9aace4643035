/** Redis Streams: a primary and two replicas, the append-only file on. From Debian's `redis-server`. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { takeFreePorts } from '../free-ports.ts'
import { awaitServing } from './await-serving.ts'
import { findCommand, ServerGroup, ServerProcess } from './server-process.ts'
import { REPLICAS, type System } from './system.ts'
import { connectWorker } from './worker-load.ts'

export const redis: System = {
  name: 'Redis Streams, WAIT 2',
  acks: 'all',
  settings:
    'append-only file, synced every second (os) or at each turn before it answers (disk); pipelines of 500 XADD and a WAIT 2, encoded once, on 4 connections; replicas confirm what they have received',
  clients: [''],
  findObstacle: async () =>
    findCommand('redis-server') === null ? 'there is no redis-server: install it with apt-get' : null,
  start: async (context, directory) => {
    const ports = await takeFreePorts(REPLICAS)
    const processes = ports.map((port, index) => {
      const own = join(directory, `redis-${index}`)
      mkdirSync(own, { recursive: true })
      const replication = index === 0 ? [] : ['--replicaof', `127.0.0.1 ${ports[0]!}`]
      const options = {
        '--port': String(port),
        '--bind': '127.0.0.1',
        '--dir': own,
        '--appendonly': 'yes',
        '--appendfsync': context.durability === 'disk' ? 'always' : 'everysec',
        '--save': '',
        '--repl-diskless-sync-delay': '0',
        '--repl-backlog-size': '256mb',
        '--client-output-buffer-limit': 'replica 2gb 2gb 60',
      }
      const commandLine = [...Object.entries(options).flat(), ...replication]
      const logPath = join(own, 'log')
      return new ServerProcess(context, { command: findCommand('redis-server')!, commandLine, logPath })
    })
    const servers = new ServerGroup(processes)
    const connect = () => connectWorker(context, 'redis-load', ports[0]!)
    await awaitServing(servers, connect)
    return { servers, connect, stop: () => servers.stop() }
  },
}
