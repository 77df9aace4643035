/**
 * Bounds on what the metadata may hold, so that no client can grow it past what every broker must keep in memory
 * (faults.md X26).
 */

/** A partition's directory name has room for five digits after a topic name of 249 characters. */
export const PARTITIONS_PER_TOPIC_MAX = 10_000

/** Partitions of all topics. At some 1 KiB of image, log objects and file handles each, 100 MB per broker. */
export const PARTITIONS_TOTAL_MAX = 100_000

/**
 * Replicas of one partition, and twice as many while it moves: with them the largest change there is, the fencing of a
 * broker that holds a replica of every partition, fits one batch of the metadata log (faults.md MQ-11).
 */
export const REPLICAS_PER_PARTITION_MAX = 10

/**
 * Partitions that one request may create, and so one batch of the metadata log and one turn of the event loop: some 100 ms
 * of work (faults.md S5).
 */
export const PARTITIONS_PER_REQUEST_MAX = 10_000

/** Partitions that one decision of the controller moves of its own accord; the next ones wait for the next. */
export const PARTITIONS_PER_MOVE_MAX = 1000

/** Topics, changes or resources in one request: far above what tools send, below a second of work. */
export const ITEMS_PER_REQUEST_MAX = 10_000

/**
 * Longest text a client may put into a broker's registration (host, rack, listener name) in characters; host names
 * end at 253.
 */
export const REGISTRATION_TEXT_LENGTH_MAX = 255

/** Listeners and supported features in one registration. */
export const REGISTRATION_ITEMS_MAX = 64

/** Producer ids handed to a broker at a time; a broker that stops wastes at most this many of 2^53. */
export const PRODUCER_ID_BLOCK_COUNT = 1000
