/**
 * RabbitMQ Streams: three clustered nodes with the stream plugin. From Debian's `rabbitmq-server`, which brings Erlang.
 *
 * Nodes find each other through Erlang's port mapper, epmd. A run has one of its own, on a port of its own: node names
 * then collide with nobody's, and no epmd is left behind, as one that a node starts for itself would be. The first node
 * forms the cluster; the others join it once it serves, since nodes that start at the same time may each form one.
 */
import { existsSync, mkdirSync, readdirSync, realpathSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { takeFreePorts } from '../free-ports.ts'
import { awaitServing } from './await-serving.ts'
import type { RabbitLoadParameters } from './rabbitmq-load.ts'
import { findCommand, ServerGroup, ServerProcess } from './server-process.ts'
import { REPLICAS, type System } from './system.ts'
import { connectWorker } from './worker-load.ts'

/** The client that does not use sub-entries. */
const PLAIN = 'plain publishes'
/** Packages have the server's own script here. The one on the path runs as another user, and drops its environment. */
const SCRIPT = '/usr/lib/rabbitmq/bin/rabbitmq-server'
const PLUGIN = 'rabbitmq_stream'
const COOKIE_MODE = 0o400
/** A node takes five to ten seconds on a quiet machine. */
const LISTENING_MS_MAX = 90_000
const RETRY_MS = 100

export const rabbitmq: System = {
  name: 'RabbitMQ Streams',
  acks: 'majority',
  settings:
    'three nodes, defaults; sub-entries of some 700 records (100 B) or 512 (1 KiB), uncompressed, or plain entries where “by plain publishes” is said, encoded once, 20 frames unconfirmed at the leader; at a fixed rate each record is a publish of its own either way; reads from the leader with 20 credits',
  clients: ['', PLAIN],
  findObstacle: async ({ durability }) => {
    if (durability === 'disk') return 'it acknowledges before it syncs'
    return findMissing(SCRIPT)
  },
  start: async (context, directory) => {
    const [epmdPort, ...ports] = await takeFreePorts(1 + 2 * REPLICAS)
    mkdirSync(directory, { recursive: true })
    const plugins = join(directory, 'enabled_plugins')
    writeFileSync(plugins, `[${PLUGIN}].\n`)
    writeFileSync(join(directory, '.erlang.cookie'), 'bench', { mode: COOKIE_MODE })
    const epmd = new ServerProcess(context, {
      // Ctrl-C reaches it, too: nodes that are being stopped would miss it and start another.
      command: '/bin/sh',
      commandLine: ['-c', 'trap "" INT; exec "$0" "$@"', findCommand('epmd')!, '-address', '127.0.0.1', '-port', String(epmdPort)], // prettier-ignore
      logPath: join(directory, 'epmd.log'),
    })
    await awaitListening(epmdPort!, [epmd])
    const startNode = (index: number): ServerProcess => {
      const own = join(directory, `rabbitmq-${index}`)
      mkdirSync(own)
      const config = join(own, 'rabbitmq.conf')
      writeFileSync(config, configOf(index, ports[index]!))
      return new ServerProcess(context, {
        command: SCRIPT,
        commandLine: [],
        logPath: join(own, 'log'),
        environment: {
          HOME: directory,
          ERL_EPMD_ADDRESS: '127.0.0.1',
          ERL_EPMD_PORT: String(epmdPort),
          ERL_CRASH_DUMP_BYTES: '0',
          RABBITMQ_NODENAME: nodeName(index),
          RABBITMQ_DIST_PORT: String(ports[REPLICAS + index]),
          RABBITMQ_CONF_ENV_FILE: '/dev/null',
          RABBITMQ_CONFIG_FILE: config,
          RABBITMQ_ADVANCED_CONFIG_FILE: join(own, 'advanced.config'),
          RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
          RABBITMQ_MNESIA_BASE: join(own, 'data'),
          RABBITMQ_LOG_BASE: join(own, 'logs'),
          RABBITMQ_PID_FILE: join(own, 'pid'),
          RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
          // Also for the helper by which a node makes sure of an epmd: it may outlive one that is killed while it starts.
          ERL_AFLAGS: '-start_epmd false',
          // The script becomes the node, whose costs are measured, instead of waiting for it; Ctrl-C is left to the run.
          RUNNING_UNDER_SYSTEMD: 'true',
          RABBITMQ_SERVER_START_ARGS: '+B i',
        },
      })
    }
    const first = startNode(0)
    await awaitListening(ports[0]!, [epmd, first])
    const others = Array.from({ length: REPLICAS - 1 }, (_, index) => startNode(index + 1))
    const servers = new ServerGroup([first, ...others])
    const connectLoad = (client: string) => {
      const parameters: RabbitLoadParameters = { port: ports[0]!, hasSubEntries: client !== PLAIN }
      return connectWorker(context, 'rabbitmq-load', parameters)
    }
    await Promise.all(others.map((node, index) => awaitListening(ports[index + 1]!, [epmd, node])))
    await awaitServing(servers, connectLoad)
    const stop = async (): Promise<void> => {
      await servers.stop()
      await epmd.stop()
    }
    return { servers, connect: connectLoad, stop }
  },
}

/** @param script - Path of the server's script. @returns What is missing, and how to get it; null if nothing is. */
export function findMissing(script: string): string | null {
  const how = 'install rabbitmq-server with apt-get'
  if (!existsSync(script)) return `there is no ${script}: ${how}`
  const command = ['erl', 'epmd'].find((name) => findCommand(name) === null)
  if (command !== undefined) return `there is no Erlang (${command}): ${how}`
  const plugins = join(dirname(realpathSync(script)), '../plugins')
  const hasPlugin = existsSync(plugins) && readdirSync(plugins).some((name) => name.startsWith(`${PLUGIN}-`))
  return hasPlugin ? null : 'its server has no stream plugin: it came with version 3.9'
}

const nodeName = (index: number): string => `bench-${index}@localhost`

function configOf(index: number, port: number): string {
  const lines = [
    'listeners.tcp = none',
    `stream.listeners.tcp.1 = 127.0.0.1:${port}`,
    'stream.advertised_host = 127.0.0.1',
    `stream.advertised_port = ${port}`,
    'log.file = false',
    'log.console = true',
    'log.console.level = warning',
  ]
  if (index > 0) {
    lines.push(
      'cluster_formation.peer_discovery_backend = classic_config',
      `cluster_formation.classic_config.nodes.1 = ${nodeName(0)}`,
    )
  }
  return `${lines.join('\n')}\n`
}

/** @throws {Error} If one of the servers ended, or nobody listens in time. */
async function awaitListening(port: number, servers: readonly ServerProcess[]): Promise<void> {
  const endMs = performance.now() + LISTENING_MS_MAX
  for (;;) {
    for (const server of servers) server.requireRunning()
    const isListening = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
      socket.on('connect', () => socket.destroy())
    })
    if (isListening) return
    if (performance.now() > endMs) {
      throw new Error(`Started RabbitMQ: nobody listens on port ${port} after ${LISTENING_MS_MAX} ms`)
    }
    await sleep(RETRY_MS)
  }
}
