/**
 * Numbers for connections, unique within the process, for logs. The one counter that is shared by all adapters
 * but the simulated network, whose runs must not depend on what ran before them.
 */

let lastId = 0

export function nextConnectionId(): number {
  return ++lastId
}
