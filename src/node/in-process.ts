/**
 * Connections inside this process, beside those of the machine: `in-process://NAME.in-process` leads to a broker that
 * was started in the same process, by any of its clients here. One network a process, as there is one loopback.
 */
import type { Clock, Network } from '../env/index.ts'
import { InProcessNetwork } from '../env/memory/in-process-network.ts'

/** Host names with this ending are listened on in-process, and by nobody else. */
export const IN_PROCESS_SUFFIX = '.in-process'

let shared: InProcessNetwork | null = null

/** The process's own network. */
export function inProcessNetwork(clock: Clock): InProcessNetwork {
  shared ??= new InProcessNetwork({ clock })
  return shared
}

/** Listens in-process or on the machine, by the ending of the host name. */
export function joinNetworks(inProcess: Network, machine: Network): Network {
  return {
    listen: (options, accept) =>
      (options.host.endsWith(IN_PROCESS_SUFFIX) ? inProcess : machine).listen(options, accept),
    connect: (url, options) => (url.startsWith('in-process:') ? inProcess : machine).connect(url, options),
  }
}
