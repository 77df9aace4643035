/** The least bytes a value can take, by which the count of an array is judged before anything is allocated. */
import type { Field } from './fields.ts'
import { hasVersion } from './versions.ts'

const SCALAR_BYTES = {
  bool: 1,
  int8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  int64Bound: 8,
  float64: 8,
  uuid: 16,
} as const

/** Bytes of the shortest form of `field` in `version`; never more than any value of it takes. */
export function wireBytesMin(field: Field, version: number, isFlexible: boolean): number {
  switch (field.kind) {
    case 'string':
      return isFlexible ? 1 : 2
    case 'bytes':
    case 'records':
    case 'array':
      return isFlexible ? 1 : 4
    case 'struct': {
      if (hasVersion(field.nullable, version)) return 1
      let size = isFlexible ? 1 : 0
      for (const part of Object.values(field.shape!)) {
        if (part.tag === null && hasVersion(part.versions, version))
          size += wireBytesMin(part, version, isFlexible)
      }
      return size
    }
    default:
      return SCALAR_BYTES[field.kind]
  }
}
