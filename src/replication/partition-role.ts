/** Who a replica is in the leader epoch in effect: see the picture in `partition.ts`. */
import type { FollowerState } from './follower-state.ts'
import type { LeaderState } from './leader-state.ts'

export type Role =
  | { readonly kind: 'leader'; readonly state: LeaderState }
  | { readonly kind: 'follower'; readonly state: FollowerState }
  | { readonly kind: 'idle' }

export const IDLE: Role = { kind: 'idle' }

/** Committed records that this replica lacks; null while it cannot tell. */
export function lagOf(role: Role): number | null {
  switch (role.kind) {
    case 'leader':
      return 0
    case 'follower':
      return role.state.lag
    case 'idle':
      return null
  }
}
