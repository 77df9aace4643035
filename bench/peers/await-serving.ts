/** A system serves when a stream of three replicas can be made and written to; before that, each attempt fails. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServerGroup } from './server-process.ts'
import type { PeerLoad } from './system.ts'

const SERVING_MS_MAX = 90_000
const RETRY_MS = 100

/** @throws {Error} If a server ended, or with the last attempt's error once it took too long. */
export async function awaitServing(
  servers: ServerGroup,
  connect: (client: string) => Promise<PeerLoad>,
): Promise<void> {
  const endMs = performance.now() + SERVING_MS_MAX
  for (let attempt = 0; ; attempt++) {
    try {
      const load = await connect('')
      try {
        await load.prepare(`serving-${attempt}`)
        await load.remove()
      } finally {
        await load.stop()
      }
      return
    } catch (error) {
      servers.requireRunning()
      if (performance.now() > endMs) throw error
      await sleep(RETRY_MS)
    }
  }
}
