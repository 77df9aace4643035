/** Ports that nobody listens on, for processes that must know of each other before they start. */
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'

/** All are held until all are known, so that none is given out twice. Somebody else may take one before it is used. */
export async function freePorts(count: number, host: string): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<Server>((resolve, reject) => {
          const server = createServer()
          server.once('error', reject)
          server.listen(0, host, () => resolve(server))
        }),
    ),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
