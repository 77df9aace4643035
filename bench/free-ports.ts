/**
 * Ports of the loopback for processes that must know each other's before any of them listens. All are held until all are
 * known, so that none is given out twice; between release and use another process could take one, and starting fails.
 */
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'

export async function takeFreePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
