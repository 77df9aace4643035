/** All planted bugs. */
import type { PlantedBug } from '../planted-bug.ts'
import { CLIENT_BUGS } from './clients.ts'
import { CONTROLLER_BUGS } from './controller.ts'
import { GROUP_BUGS } from './groups.ts'
import { LOG_CONTENT_BUGS } from './log-content.ts'
import { LOG_BUGS } from './log.ts'
import { RAFT_BUGS } from './raft.ts'
import { REPLICATION_BUGS } from './replication.ts'

export const PLANTED_BUGS: readonly PlantedBug[] = [
  ...REPLICATION_BUGS,
  ...LOG_BUGS,
  ...LOG_CONTENT_BUGS,
  ...RAFT_BUGS,
  ...CONTROLLER_BUGS,
  ...GROUP_BUGS,
  ...CLIENT_BUGS,
]
