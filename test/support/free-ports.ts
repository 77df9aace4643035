/**
 * Ports for processes that must know each other's before any of them runs, and that come back on the same port after
 * they were killed. They lie below those that the system gives to outgoing connections: one of these may take a dead
 * broker's port and keep it from coming back.
 */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import type { Server } from 'node:net'

/** Linux gives 32,768 and above to outgoing connections; well-known services sit below 20,000. */
const FIRST_PORT = 20_000
const END_PORT = 32_768
const HOST = '127.0.0.1'

/** So many distinct ports on which nobody listens. */
export async function reservePorts(count: number): Promise<readonly number[]> {
  // All are held until all are known, so that none is given out twice.
  const held = new Map<number, Server>()
  while (held.size < count) {
    const port = randomInt(FIRST_PORT, END_PORT)
    const server = held.has(port) ? null : await tryListen(port)
    if (server !== null) held.set(port, server)
  }
  await Promise.all(Array.from(held.values(), (server) => new Promise((resolve) => server.close(resolve))))
  return [...held.keys()]
}

function tryListen(port: number): Promise<Server | null> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(null))
    server.listen(port, HOST, () => resolve(server))
  })
}
