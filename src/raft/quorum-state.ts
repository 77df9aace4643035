/**
 * The file `quorum-state` in the metadata log's directory: the epoch this node has reached and whom it voted for. An
 * epoch is used only after the file that holds it is durable, so no two starts ever share one (M1, M2).
 *
 *   {"leaderId":1,"leaderEpoch":7,"votedId":1,"votedDirectoryId":"…","data_version":1,"crc32c":"0a1b2c3d"}
 *
 * The fields are Kafka's; `crc32c` is ours, in hex, over the JSON of the fields before it. A file that does not match
 * its checksum is refused: an older epoch must not be taken for the newest (M10).
 */
import { crc32c } from '../bytes/crc32c.ts'
import { ZERO_UUID } from '../bytes/uuid.ts'
import type { FileSystem } from '../env/index.ts'
import { readWhole, writeAtomically } from '../log/atomic-file.ts'
import { QuorumError } from './metadata-quorum.ts'

export interface QuorumState {
  /** Node that leads `leaderEpoch`, -1 when unknown. */
  readonly leaderId: number
  readonly leaderEpoch: number
  /** Node that got this one's vote in `leaderEpoch`, -1 for none. */
  readonly votedId: number
  readonly votedDirectoryId: string
}

/** Of a node that has never heard of an epoch. */
export const NO_STATE: QuorumState = {
  leaderId: -1,
  leaderEpoch: 0,
  votedId: -1,
  votedDirectoryId: ZERO_UUID,
}

export const QUORUM_STATE_FILE = 'quorum-state'

const DATA_VERSION = 1

/** @returns The state, or null when the file does not exist. @throws {QuorumError} `QUORUM_STATE_CORRUPT`. */
export async function readQuorumState(files: FileSystem, directory: string): Promise<QuorumState | null> {
  const path = `${directory}/${QUORUM_STATE_FILE}`
  const bytes = await readWhole(files, path)
  return bytes === null ? null : parseQuorumState(new TextDecoder().decode(bytes), path)
}

/** @throws {FileError} The epoch must not be used then. */
export async function writeQuorumState(
  files: FileSystem,
  directory: string,
  state: QuorumState,
): Promise<void> {
  const bytes = new TextEncoder().encode(formatQuorumState(state))
  await writeAtomically(files, directory, QUORUM_STATE_FILE, bytes)
}

export function formatQuorumState(state: QuorumState): string {
  const fields = {
    leaderId: state.leaderId,
    leaderEpoch: state.leaderEpoch,
    votedId: state.votedId,
    votedDirectoryId: state.votedDirectoryId,
    data_version: DATA_VERSION,
  }
  return `${JSON.stringify({ ...fields, crc32c: checksum(fields) })}\n`
}

/** @throws {QuorumError} `QUORUM_STATE_CORRUPT`. */
export function parseQuorumState(text: string, path: string): QuorumState {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw corrupt(path, 'it is not JSON', error)
  }
  if (typeof parsed !== 'object' || parsed === null) throw corrupt(path, 'it is not an object')
  const { crc32c: found, ...fields } = parsed as Record<string, unknown>
  const expected = checksum(fields)
  if (found !== expected)
    throw corrupt(path, `checksum is ${JSON.stringify(found)}, of the content it is ${expected}`)
  if (fields['data_version'] !== DATA_VERSION) {
    throw corrupt(path, `data_version is ${JSON.stringify(fields['data_version'])}, known is ${DATA_VERSION}`)
  }
  const whole = (name: string): number => {
    const value = fields[name]
    if (!Number.isInteger(value) || (value as number) < -1)
      throw corrupt(path, `${name} is no whole number from -1 on`)
    return value as number
  }
  const votedDirectoryId = fields['votedDirectoryId']
  return {
    leaderId: whole('leaderId'),
    leaderEpoch: whole('leaderEpoch'),
    votedId: whole('votedId'),
    votedDirectoryId: typeof votedDirectoryId === 'string' ? votedDirectoryId : ZERO_UUID,
  }
}

function checksum(fields: Readonly<Record<string, unknown>>): string {
  const bytes = new TextEncoder().encode(JSON.stringify(fields))
  return crc32c(bytes).toString(16).padStart(8, '0')
}

function corrupt(path: string, problem: string, cause?: unknown): QuorumError {
  return new QuorumError('QUORUM_STATE_CORRUPT', `Cannot read ${path}: ${problem}`, { cause })
}
