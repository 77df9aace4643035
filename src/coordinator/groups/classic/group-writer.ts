/** Writes a classic group into the log of its shard, and says what became of it. */
import type { ErrorName } from '../../../protocol/errors.ts'
import { CoordinatorFailure } from '../../shard-context.ts'
import type { ShardContext } from '../../shard-context.ts'
import { groupRecord, groupRecordValue } from './group-record.ts'
import type { GroupSnapshot } from './group-record.ts'

/**
 * Writes the group as it is in this turn.
 *
 * @param done - Called once, never within this call: with null when the record is committed, or with what to tell those who
 *   wait for it, when that will not be known. The group may be closed before, even within this call, since a write finds out
 *   who leads.
 */
export function writeGroup(
  context: ShardContext,
  groupId: string,
  snapshot: GroupSnapshot,
  done: (error: ErrorName | null) => void,
): void {
  void context.write([groupRecord(groupId, groupRecordValue(snapshot))]).then(
    () => done(null),
    (failure: unknown) => {
      const error = failure instanceof CoordinatorFailure ? failure.error : 'UNKNOWN_SERVER_ERROR'
      const cause = failure instanceof Error ? failure.message : String(failure)
      context.logger.warn('A group could not be written', { groupId, error, cause })
      done(error)
    },
  )
}
