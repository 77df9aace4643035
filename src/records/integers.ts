/**
 * Big-endian integers at a position of a byte array, for fields whose place is known: no allocation, no DataView.
 * Data plane. The caller has checked that the field lies inside the array.
 *
 * 64-bit integers are numbers: exact up to 2^53 - 1 either way, rounded past that. A rounded value is never a safe
 * integer, so `Number.isSafeInteger` on the result tells whether it can be trusted.
 */

const TWO_TO_32 = 0x1_0000_0000

export function int16At(bytes: Uint8Array, position: number): number {
  return ((bytes[position]! << 24) | (bytes[position + 1]! << 16)) >> 16
}

export function int32At(bytes: Uint8Array, position: number): number {
  return (
    (bytes[position]! << 24) |
    (bytes[position + 1]! << 16) |
    (bytes[position + 2]! << 8) |
    bytes[position + 3]!
  )
}

export function uint32At(bytes: Uint8Array, position: number): number {
  return int32At(bytes, position) >>> 0
}

export function int64At(bytes: Uint8Array, position: number): number {
  return int32At(bytes, position) * TWO_TO_32 + uint32At(bytes, position + 4)
}

export function setInt16At(bytes: Uint8Array, position: number, value: number): void {
  bytes[position] = value >> 8
  bytes[position + 1] = value
}

/** Takes signed and unsigned values alike. */
export function setInt32At(bytes: Uint8Array, position: number, value: number): void {
  bytes[position] = value >> 24
  bytes[position + 1] = value >> 16
  bytes[position + 2] = value >> 8
  bytes[position + 3] = value
}

/** @param value - A safe integer. */
export function setInt64At(bytes: Uint8Array, position: number, value: number): void {
  setInt32At(bytes, position, Math.floor(value / TWO_TO_32))
  setInt32At(bytes, position + 4, value)
}
